//! The ids, each in a place that it keeps, and the index that finds them.
//!
//! Places are used anew in the order in which they were freed, the last one first. So in a full cache the new id takes the
//! place of the oldest, and the places go round as a ring in the order of arrival: what a check touches of them lies side by
//! side. Links from the older to the newer beside them keep the exact order where ids leave it: forgotten, marked anew,
//! claimed, committed.

use core::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
    mem,
};

use super::{
    index::{Index, Tag},
    state::State,
};
use crate::foundation::{
    storage::{Allocate, Inline, Link, Storage},
    time::{Halves, Instant},
};

/// The most places that a link can tell apart.
const MOST: usize = 0xffff_fffe;

pub(super) struct Ids<K, V, S: Storage> {
    index: Index<S>,
    places: S::Of<Option<Held<K, V, S::Link>>>,
    links: S::Of<Links<S::Link>>,
    /// The last of the places that were freed.
    freed: S::Link,
    /// The places from here on were never used.
    unused: usize,
    len: usize,
}

/// An id that is held, and what is kept with it.
#[derive(Clone)]
pub(super) struct Held<K, V, L: Link> {
    tag: L::Fingerprint,
    pub(super) state: State,
    at: Halves,
    pub(super) key: K,
    pub(super) value: V,
}

/// The neighbours of an id in its order; of a vacant place, `newer` is the place that was freed before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links<L> {
    pub(super) older: L,
    pub(super) newer: L,
}

impl<K, V, L: Link> Held<K, V, L> {
    /// When its life or its lease began.
    pub(super) const fn at(&self) -> Instant {
        self.at.get()
    }

    pub(super) const fn set_at(&mut self, at: Instant) {
        self.at = Halves::new(at);
    }
}

impl<K, V, const N: usize> Ids<K, V, Inline<N>> {
    pub(super) const fn new() -> Self {
        const { assert!(N > 0 && N < u16::MAX as usize, "a cache has 1 to 65,534 places") };
        Self {
            index: Index::<Inline<N>>::new(),
            places: [const { None }; N],
            links: [Links { older: <u16 as Link>::NONE, newer: <u16 as Link>::NONE }; N],
            freed: <u16 as Link>::NONE,
            unused: 0,
            len: 0,
        }
    }
}

impl<K, V, S: Allocate> Ids<K, V, S> {
    /// For `capacity` ids, at least one and at most `u32::MAX - 1`.
    pub(super) fn allocate(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, MOST);
        Self {
            index: Index::allocate(capacity),
            places: S::allocate(capacity, || None),
            links: S::allocate(capacity, || Links { older: S::Link::NONE, newer: S::Link::NONE }),
            freed: S::Link::NONE,
            unused: 0,
            len: 0,
        }
    }
}

impl<K, V, S: Storage> Ids<K, V, S> {
    pub(super) fn capacity(&self) -> usize {
        self.places.as_ref().len()
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == self.capacity()
    }

    /// The id in a place, if there is one.
    pub(super) fn get(&self, place: usize) -> Option<&Held<K, V, S::Link>> {
        self.places.as_ref().get(place)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Held<K, V, S::Link>> {
        self.places.as_mut().get_mut(place)?.as_mut()
    }

    pub(super) fn links(&self, place: usize) -> Option<Links<S::Link>> {
        self.links.as_ref().get(place).copied()
    }

    pub(super) fn links_mut(&mut self, place: usize) -> Option<&mut Links<S::Link>> {
        self.links.as_mut().get_mut(place)
    }

    /// The place of `key`, whose hash is `hash`.
    #[inline]
    pub(super) fn find<Q>(&self, hash: u64, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let tag = S::Link::fingerprint(hash);
        let is = |place| self.get(place).is_some_and(|held| held.tag == tag && held.key.borrow() == key);
        self.index.find(tag, is).map(|(_, place)| place)
    }

    /// The cell by which the id in a place is found.
    #[inline]
    pub(super) fn cell(&self, place: usize) -> Option<usize> {
        self.index.find(self.get(place)?.tag, |other| other == place).map(|(cell, _)| cell)
    }

    /// The cell of the id that goes next, if it is worth asking for it in advance.
    #[inline]
    pub(super) fn cell_in_advance(&self, place: usize) -> Option<usize> {
        if Index::<S>::IS_FAR && self.is_full() { self.cell(place) } else { None }
    }

    /// Puts in a key that is not there, whose hash is `hash`, and tells its place; from a full cache both come back.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, key: K, value: V, state: State) -> Result<usize, (K, V)> {
        let (place, before) = match self.links(self.freed.index()) {
            Some(links) => (self.freed.index(), links.newer),
            None => (self.unused, S::Link::NONE),
        };
        let tag: Tag<S> = S::Link::fingerprint(hash);
        let Some(content) = self.places.as_mut().get_mut(place) else { return Err((key, value)) };
        *content = Some(Held { tag, state, at: Halves::ZERO, key, value });
        if place == self.unused {
            self.unused = self.unused.saturating_add(1);
        } else {
            self.freed = before;
        }
        self.index.insert(tag, place);
        self.len = self.len.saturating_add(1);
        Ok(place)
    }

    /// Takes the id out of a place; `cell` is its own, if that is known.
    #[inline]
    pub(super) fn remove(&mut self, place: usize, cell: Option<usize>) -> Option<(K, V)> {
        let cell = cell.or_else(|| self.cell(place))?;
        let Held { key, value, .. } = self.places.as_mut().get_mut(place)?.take()?;
        let places = self.places.as_ref();
        self.index.remove(cell, |place| Some(places.get(place)?.as_ref()?.tag));
        let before = mem::replace(&mut self.freed, S::Link::to(place));
        if let Some(links) = self.links_mut(place) {
            links.newer = before;
        }
        self.len = self.len.saturating_sub(1);
        Some((key, value))
    }

    /// Finds every id by another hash from now on. O(capacity).
    pub(super) fn rehash<H: BuildHasher>(&mut self, hasher: &H)
    where
        K: Hash,
    {
        self.index.clear();
        for place in 0..self.unused {
            let Some(held) = self.get_mut(place) else { continue };
            let tag: Tag<S> = S::Link::fingerprint(hasher.hash_one(&held.key));
            held.tag = tag;
            self.index.insert(tag, place);
        }
    }
}

impl<K: Clone, V: Clone, const N: usize> Clone for Ids<K, V, Inline<N>> {
    fn clone(&self) -> Self {
        Self { index: self.index.clone(), places: self.places.clone(), ..*self }
    }
}
