//! Keys that are kept.

use core::borrow::Borrow;

use steadfast_core::rate_limiter::{Names, Naming};

/// A limiter keeps its keys beside the fingerprints: it never takes two for one, and can list them. Each key is made and
/// dropped outside every lock; only its [`Eq`] runs inside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Keys;

impl<K> Naming<K> for Keys {
    type Name = Option<K>;

    const NONE: Option<K> = None;
    const ALL: Option<Option<K>> = None;
}

impl<K: Borrow<Q>, Q: Eq + ToOwned<Owned = K> + ?Sized> Names<K, Q> for Keys {
    fn is(name: &Option<K>, key: &Q) -> bool {
        name.as_ref().is_some_and(|name| name.borrow() == key)
    }

    fn name(key: &Q) -> Option<K> {
        Some(key.to_owned())
    }
}
