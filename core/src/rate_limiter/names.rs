//! What a limiter keeps of its keys.

use core::borrow::Borrow;

/// What a limiter keeps of its keys: [`Prints`] or [`Keys`].
pub trait Naming<K> {
    /// What is kept of one key, beside its fingerprint.
    type Name;

    /// That of no key.
    const NONE: Self::Name;
    /// That of every key, if there is nothing to it.
    const ALL: Option<Self::Name>;
}

/// How a key is told from others of the same fingerprint, when it is asked for as a `Q`.
pub trait Names<K, Q: ?Sized>: Naming<K> {
    /// True if this is what was kept of the key.
    fn is(name: &Self::Name, key: &Q) -> bool;

    /// What to keep of it. It runs outside every lock.
    fn name(key: &Q) -> Self::Name;
}

/// Of its keys a limiter keeps fingerprints only: no key is made, compared or dropped. How rarely two keys are taken for
/// one says [`RateLimiter`](crate::rate_limiter::RateLimiter).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Prints;

impl<K> Naming<K> for Prints {
    type Name = ();

    const NONE: () = ();
    const ALL: Option<()> = Some(());
}

impl<K: Borrow<Q>, Q: ?Sized> Names<K, Q> for Prints {
    fn is((): &(), _: &Q) -> bool {
        true
    }

    fn name(_: &Q) {}
}

/// A limiter keeps its keys beside the fingerprints: it never takes two for one, and can list them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Keys;

impl<K> Naming<K> for Keys {
    type Name = Option<K>;

    const NONE: Option<K> = None;
    const ALL: Option<Option<K>> = None;
}

impl<K: Clone + Eq> Names<K, K> for Keys {
    fn is(name: &Option<K>, key: &K) -> bool {
        name.as_ref() == Some(key)
    }

    fn name(key: &K) -> Option<K> {
        Some(key.clone())
    }
}
