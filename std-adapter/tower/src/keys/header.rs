//! The value of a header.

use http::{HeaderValue, Request};

use super::{KeyOf, NoKey};

/// The value of a header, as it was sent: for a limiter of [`HeaderValue`].
///
/// A request without it, with an empty one or with several has [`NoKey`]: of several nobody knows which one the service
/// behind goes by.
///
/// Who can make values up has a fresh quota with each. So take what was authenticated before, or limit the address too.
///
/// ```
/// use http::{HeaderValue, Request};
/// use steadfast_tower::keys::{Header, KeyOf, NoKey};
///
/// let request = Request::builder().header("X-Api-Key", "k1").body(()).unwrap();
/// assert_eq!(Header("x-api-key").key_of(&request), Ok(Some(HeaderValue::from_static("k1"))));
/// assert_eq!(Header("authorization").key_of(&request), Err(NoKey));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Header(
    /// Its name.
    pub &'static str,
);

impl<B> KeyOf<Request<B>> for Header {
    type Key = HeaderValue;

    fn key_of(&self, request: &Request<B>) -> Result<Option<HeaderValue>, NoKey> {
        let mut values = request.headers().get_all(self.0).iter();
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() => Ok(Some(value.clone())),
            _ => Err(NoKey),
        }
    }
}
