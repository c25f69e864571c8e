//! The value of a header.

use http::{HeaderValue, Request, header::AsHeaderName};

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
///
/// A [`HeaderName`](http::HeaderName) need not be parsed at each request:
///
/// ```
/// use http::HeaderName;
/// use steadfast_tower::keys::Header;
///
/// static API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// let by_key = Header(&API_KEY);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Header<N = &'static str>(
    /// Its name.
    pub N,
);

impl<B, N: AsHeaderName + Copy> KeyOf<Request<B>> for Header<N> {
    type Key = HeaderValue;

    fn key_of(&self, request: &Request<B>) -> Result<Option<HeaderValue>, NoKey> {
        let mut values = request.headers().get_all(self.0).iter();
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() => Ok(Some(value.clone())),
            _ => Err(NoKey),
        }
    }
}
