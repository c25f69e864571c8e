//! Whom a request counts for: the client's address behind proxies, a header, everyone, or a closure of yours.
//!
//! - [`PeerIp`] is the client's address: of the connection, or what trusted proxies say of it.
//! - [`Header`] is the value of a header, such as an API key.
//! - [`Everyone`] is one key for all requests.
//! - A closure `Fn(&Request) -> Result<Option<Key>, NoKey>` is any other; a pair of these is both together.
//!
//! **Outcomes**: a key; `None`, which is not limited; or [`NoKey`], for which a layer has an
//! answer.

mod header;
mod network;
mod peer_ip;
#[cfg(test)]
mod tests;

use core::{error::Error, fmt};

pub use header::Header;
pub use network::BadNetwork;
pub use peer_ip::{PeerAddr, PeerIp};

/// Finds the key of a request. Every `Fn(&R) -> Result<Option<K>, NoKey>` does.
///
/// ```
/// use http::Request;
/// use steadfast_tower::keys::{KeyOf, NoKey};
///
/// /// Who an authentication outside this layer has found the client to be.
/// #[derive(Clone)]
/// struct User {
///     id: u64,
///     is_internal: bool,
/// }
///
/// let by_user = |request: &Request<()>| match request.extensions().get::<User>() {
///     Some(user) if user.is_internal => Ok(None), // not limited
///     Some(user) => Ok(Some(user.id)),
///     None => Err(NoKey),
/// };
/// let mut request = Request::new(());
/// assert_eq!(by_user.key_of(&request), Err(NoKey));
/// request.extensions_mut().insert(User { id: 7, is_internal: false });
/// assert_eq!(by_user.key_of(&request), Ok(Some(7)));
/// ```
#[doc(alias("KeyExtractor", "PeerIpKeyExtractor", "SmartIpKeyExtractor"))]
pub trait KeyOf<R> {
    /// What a limiter or breaker tells requests apart by.
    type Key;

    /// The key of `request`; `None` if it is not limited.
    ///
    /// # Errors
    ///
    /// [`NoKey`] if it should have one and has none.
    fn key_of(&self, request: &R) -> Result<Option<Self::Key>, NoKey>;
}

impl<R, K, F: Fn(&R) -> Result<Option<K>, NoKey>> KeyOf<R> for F {
    type Key = K;

    fn key_of(&self, request: &R) -> Result<Option<K>, NoKey> {
        self(request)
    }
}

/// Both together: each address has a quota with each API key. Not limited if one of the two is not.
impl<R, A: KeyOf<R>, B: KeyOf<R>> KeyOf<R> for (A, B) {
    type Key = (A::Key, B::Key);

    fn key_of(&self, request: &R) -> Result<Option<Self::Key>, NoKey> {
        Ok(self.0.key_of(request)?.zip(self.1.key_of(request)?))
    }
}

/// A request has no key, though it should: no address is known, a header is missing or ambiguous.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoKey;

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request has no key")
    }
}

impl Error for NoKey {}

/// One key for all requests: a limit of the whole service, with a limiter of `()`.
///
/// ```
/// use steadfast::{Gcra, RateLimiter};
/// use steadfast_tower::{keys::Everyone, limit::LimitLayer};
///
/// let limiter = RateLimiter::<(), _>::builder(Gcra::per_second(1_000)).build();
/// let layer = LimitLayer::new(&limiter, Everyone);
/// # let _ = layer;
/// ```
#[doc(alias = "GlobalKeyExtractor")]
#[derive(Clone, Copy, Debug)]
pub struct Everyone;

impl<R> KeyOf<R> for Everyone {
    type Key = ();

    fn key_of(&self, _: &R) -> Result<Option<()>, NoKey> {
        Ok(Some(()))
    }
}
