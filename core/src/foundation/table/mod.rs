//! A map of fixed capacity under the keyed state machines.
//!
//! Slots and the heads of the hash chains are two arrays; a slot that is vacant links to the next vacant one, a slot
//! that is occupied to the next of its chain. So it holds exactly its capacity, nothing ever moves (a slot's number
//! names its entry for as long as that lives), there are no tombstones, and look-up, insert and remove cost one hash
//! and an expected one or two steps along a chain, for keys that the peers cannot aim (see
//! [`HashSeed`](crate::foundation::hash::HashSeed)).

use core::{
    borrow::Borrow,
    fmt,
    hash::{BuildHasher, Hash},
    mem,
};

use crate::foundation::storage::{Allocate, Inline, Link, Storage};

/// The most slots that a link can tell apart.
const MOST: usize = 0xffff_fffe;

pub(crate) struct Table<K, V, S: Storage, H> {
    heads: S::Of<S::Link>,
    slots: S::Of<Slot<K, V, S::Link>>,
    /// The first of the slots that were freed.
    freed: S::Link,
    /// The slots from here on were never used; so a new table needs no list of them.
    unused: usize,
    len: usize,
    hasher: H,
}

enum Slot<K, V, L: Link> {
    Vacant {
        next: L,
    },
    /// The fingerprint says what chain it is in, without another hash, and keeps a look-up from most of the keys it passes.
    Occupied {
        fingerprint: L::Fingerprint,
        next: L,
        key: K,
        value: V,
    },
}

type Fingerprint<S> = <<S as Storage>::Link as Link>::Fingerprint;

impl<K, V, H, const N: usize> Table<K, V, Inline<N>, H> {
    pub(crate) const fn new(hasher: H) -> Self {
        const { assert!(N > 0 && N < u16::MAX as usize, "a table has 1 to 65,534 slots") };
        Self {
            heads: [<u16 as Link>::NONE; N],
            slots: [const { Slot::Vacant { next: <u16 as Link>::NONE } }; N],
            freed: <u16 as Link>::NONE,
            unused: 0,
            len: 0,
            hasher,
        }
    }
}

impl<K, V, S: Allocate, H> Table<K, V, S, H> {
    /// A table for `capacity` entries; `S` decides where. At most `u32::MAX - 1` slots, at least one entry.
    pub(crate) fn allocate(capacity: usize, hasher: H) -> Self {
        let slots = capacity.clamp(1, MOST);
        // More chains than slots: fewer steps to a key that is not there, each of them a cache miss.
        let chains = slots.saturating_add(slots / 2);
        Self {
            heads: S::allocate(chains, || S::Link::NONE),
            slots: S::allocate(slots, || Slot::Vacant { next: S::Link::NONE }),
            freed: S::Link::NONE,
            unused: 0,
            len: 0,
            hasher,
        }
    }
}

impl<K, V, S: Storage, H> Table<K, V, S, H> {
    /// The most entries.
    pub(crate) fn capacity(&self) -> usize {
        self.slots()
    }

    /// The numbers of slots are below this.
    pub(crate) fn slots(&self) -> usize {
        self.slots.as_ref().len()
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len == self.capacity()
    }

    /// The entry in a slot, if there is one.
    pub(crate) fn get(&self, slot: usize) -> Option<(&K, &V)> {
        match self.slots.as_ref().get(slot)? {
            Slot::Vacant { .. } => None,
            Slot::Occupied { key, value, .. } => Some((key, value)),
        }
    }

    /// The value in a slot, if there is one.
    pub(crate) fn get_mut(&mut self, slot: usize) -> Option<&mut V> {
        match self.slots.as_mut().get_mut(slot)? {
            Slot::Vacant { .. } => None,
            Slot::Occupied { value, .. } => Some(value),
        }
    }

    /// All entries with their slots, in the order of the slots. O(capacity).
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &K, &V)> {
        (0..self.slots()).zip(self.slots.as_ref()).filter_map(|(index, slot)| match slot {
            Slot::Vacant { .. } => None,
            Slot::Occupied { key, value, .. } => Some((index, key, value)),
        })
    }

    /// The chain that a fingerprint belongs to.
    fn chain(&self, fingerprint: Fingerprint<S>) -> usize {
        S::Link::scale(fingerprint, self.heads.as_ref().len())
    }

    fn next_of(&self, link: S::Link) -> S::Link {
        match self.slots.as_ref().get(link.index()) {
            Some(Slot::Vacant { next } | Slot::Occupied { next, .. }) => *next,
            None => S::Link::NONE,
        }
    }

    fn head_mut(&mut self, chain: usize) -> Option<&mut S::Link> {
        self.heads.as_mut().get_mut(chain)
    }
}

impl<K: Eq + Hash, V, S: Storage, H: BuildHasher> Table<K, V, S, H> {
    pub(crate) fn hash<Q>(&self, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: Hash + ?Sized,
    {
        self.hasher.hash_one(key)
    }

    /// The slot of `key`, whose hash is `hash`.
    #[inline]
    pub(crate) fn find<Q>(&self, hash: u64, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let wanted = S::Link::fingerprint(hash);
        let mut link = *self.heads.as_ref().get(self.chain(wanted))?;
        while let Some(Slot::Occupied { fingerprint, next, key: candidate, .. }) = self.slots.as_ref().get(link.index())
        {
            if *fingerprint == wanted && candidate.borrow() == key {
                return Some(link.index());
            }
            link = *next;
        }
        None
    }

    /// Puts in a key that is not there yet, whose hash is `hash`, and tells its slot; a full table gives both back.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, key: K, value: V) -> Result<usize, (K, V)> {
        let Some((slot, fingerprint, next)) = self.take_slot(hash) else { return Err((key, value)) };
        if let Some(content) = self.slots.as_mut().get_mut(slot) {
            *content = Slot::Occupied { fingerprint, next, key, value };
        }
        Ok(slot)
    }

    /// A vacant slot for a key of this hash, counted and linked to; with its fingerprint, and what it links to. `None`
    /// from a full table.
    #[inline]
    fn take_slot(&mut self, hash: u64) -> Option<(usize, Fingerprint<S>, S::Link)> {
        let link = if self.freed != S::Link::NONE {
            self.freed
        } else if self.unused < self.capacity() {
            S::Link::to(self.unused)
        } else {
            return None;
        };
        let following = self.next_of(link);
        let fingerprint = S::Link::fingerprint(hash);
        let chain = self.chain(fingerprint);
        let head = self.head_mut(chain)?;
        let next = mem::replace(head, link);
        if self.freed == link {
            self.freed = following;
        } else {
            self.unused = self.unused.saturating_add(1);
        }
        self.len = self.len.saturating_add(1);
        Some((link.index(), fingerprint, next))
    }

    /// Takes an entry out of its slot.
    #[inline]
    pub(crate) fn remove(&mut self, slot: usize) -> Option<(K, V)> {
        let Slot::Occupied { fingerprint, .. } = self.slots.as_ref().get(slot)? else { return None };
        self.unlink(self.chain(*fingerprint), S::Link::to(slot));
        let vacant = Slot::Vacant { next: self.freed };
        match mem::replace(self.slots.as_mut().get_mut(slot)?, vacant) {
            Slot::Vacant { .. } => None,
            Slot::Occupied { key, value, .. } => {
                self.freed = S::Link::to(slot);
                self.len = self.len.saturating_sub(1);
                Some((key, value))
            }
        }
    }

    /// Replaces the hash's seed and puts every entry where it belongs now; slots keep their entries. O(capacity).
    pub(crate) fn rehash(&mut self, hasher: H) {
        self.hasher = hasher;
        self.heads.as_mut().fill(S::Link::NONE);
        for index in 0..self.unused {
            let Some((key, _)) = self.get(index) else { continue };
            let changed = S::Link::fingerprint(self.hash(key));
            let chain = self.chain(changed);
            let Some(head) = self.head_mut(chain) else { continue };
            let after = mem::replace(head, S::Link::to(index));
            if let Some(Slot::Occupied { fingerprint, next, .. }) = self.slots.as_mut().get_mut(index) {
                (*fingerprint, *next) = (changed, after);
            }
        }
    }

    fn unlink(&mut self, chain: usize, link: S::Link) {
        let after = self.next_of(link);
        let Some(head) = self.head_mut(chain) else { return };
        if *head == link {
            *head = after;
            return;
        }
        let mut before = *head;
        while before != S::Link::NONE {
            let following = self.next_of(before);
            if following == link {
                if let Some(Slot::Occupied { next, .. }) = self.slots.as_mut().get_mut(before.index()) {
                    *next = after;
                }
                return;
            }
            before = following;
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S: Storage, H> fmt::Debug for Table<K, V, S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(_, key, value)| (key, value))).finish()
    }
}

#[cfg(test)]
mod tests;
