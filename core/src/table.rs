//! A map of fixed capacity under the keyed machines.
//!
//! Slots and the heads of the hash chains are two arrays; a slot that is vacant links to the next vacant one, a slot that
//! is occupied to the next of its chain. So it holds exactly its capacity, nothing ever moves (a slot's number names its
//! entry for as long as that lives), there are no tombstones, and look-up, insert and remove cost one hash and an
//! expected one or two steps along a chain, for keys that the peers cannot aim (see [`HashSeed`](crate::HashSeed)).

use core::{
    borrow::Borrow,
    fmt,
    hash::{BuildHasher, Hash},
    mem,
};

use crate::storage::{Allocate, Inline, Link, Storage};

/// The most slots that a link can tell apart.
const MOST: usize = u32::MAX as usize - 1;

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

enum Slot<K, V, L> {
    Vacant { next: L },
    Occupied { next: L, key: K, value: V },
}

impl<K, V, H, const N: usize> Table<K, V, Inline<N>, H> {
    pub(crate) const fn new(hasher: H) -> Self {
        const { assert!(N > 0 && N < u16::MAX as usize, "a table has 1 to 65,534 slots") };
        Self {
            heads: [u16::MAX; N],
            slots: [const { Slot::Vacant { next: u16::MAX } }; N],
            freed: u16::MAX,
            unused: 0,
            len: 0,
            hasher,
        }
    }
}

impl<K, V, S: Allocate, H> Table<K, V, S, H> {
    /// A table of `capacity` slots; `S` decides where. At most `u32::MAX - 1`, at least 1.
    pub(crate) fn allocate(capacity: usize, hasher: H) -> Self {
        let capacity = capacity.clamp(1, MOST);
        Self {
            // Twice as many chains as slots: half the steps to a key that is not there, each of them a cache miss.
            heads: S::allocate(capacity.saturating_mul(2), || S::Link::NONE),
            slots: S::allocate(capacity, || Slot::Vacant { next: S::Link::NONE }),
            freed: S::Link::NONE,
            unused: 0,
            len: 0,
            hasher,
        }
    }
}

impl<K, V, S: Storage, H> Table<K, V, S, H> {
    pub(crate) fn capacity(&self) -> usize {
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
        (0..self.capacity()).zip(self.slots.as_ref()).filter_map(|(index, slot)| match slot {
            Slot::Vacant { .. } => None,
            Slot::Occupied { key, value, .. } => Some((index, key, value)),
        })
    }

    /// The chain that a hash belongs to: its upper half scaled to the number of chains, without a division.
    #[expect(clippy::arithmetic_side_effects, reason = "a 32-bit by 32-bit product fits in 64 bits")]
    fn chain(&self, hash: u64) -> usize {
        (((hash >> 32) * self.heads.as_ref().len() as u64) >> 32) as usize
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
    pub(crate) fn find<Q>(&self, hash: u64, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut link = *self.heads.as_ref().get(self.chain(hash))?;
        while let Some(Slot::Occupied { next, key: candidate, .. }) = self.slots.as_ref().get(link.index()) {
            if candidate.borrow() == key {
                return Some(link.index());
            }
            link = *next;
        }
        None
    }

    /// Puts in a key that is not there yet, whose hash is `hash`, and tells its slot; a full table gives both back.
    pub(crate) fn insert(&mut self, hash: u64, key: K, value: V) -> Result<usize, (K, V)> {
        let link = if self.freed != S::Link::NONE {
            self.freed
        } else if self.unused < self.capacity() {
            S::Link::to(self.unused)
        } else {
            return Err((key, value));
        };
        let following = self.next_of(link);
        let chain = self.chain(hash);
        let Some(next) = self.heads.as_ref().get(chain).copied() else { return Err((key, value)) };
        let Some(slot) = self.slots.as_mut().get_mut(link.index()) else { return Err((key, value)) };
        *slot = Slot::Occupied { next, key, value };
        if let Some(head) = self.head_mut(chain) {
            *head = link;
        }
        if self.freed == link {
            self.freed = following;
        } else {
            self.unused = self.unused.saturating_add(1);
        }
        self.len = self.len.saturating_add(1);
        Ok(link.index())
    }

    /// Takes an entry out of its slot.
    pub(crate) fn remove(&mut self, slot: usize) -> Option<(K, V)> {
        let (key, _) = self.get(slot)?;
        let chain = self.chain(self.hash(key));
        self.unlink(chain, S::Link::to(slot));
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
            let chain = self.chain(self.hash(key));
            let Some(head) = self.head_mut(chain) else { continue };
            let after = mem::replace(head, S::Link::to(index));
            if let Some(Slot::Occupied { next, .. }) = self.slots.as_mut().get_mut(index) {
                *next = after;
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

impl<K: Clone, V: Clone, S: Storage, H: Clone> Clone for Table<K, V, S, H>
where
    S::Of<S::Link>: Clone,
    S::Of<Slot<K, V, S::Link>>: Clone,
{
    fn clone(&self) -> Self {
        Self {
            heads: self.heads.clone(),
            slots: self.slots.clone(),
            freed: self.freed,
            unused: self.unused,
            len: self.len,
            hasher: self.hasher.clone(),
        }
    }
}

impl<K: Clone, V: Clone, L: Copy> Clone for Slot<K, V, L> {
    fn clone(&self) -> Self {
        match self {
            Self::Vacant { next } => Self::Vacant { next: *next },
            Self::Occupied { next, key, value } => {
                Self::Occupied { next: *next, key: key.clone(), value: value.clone() }
            }
        }
    }
}

#[cfg(test)]
mod tests;
