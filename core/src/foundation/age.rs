//! Entries of a table from the oldest to the newest, for the state machines that need that order.
//!
//! The links lie in the entries' own values, so that other state machines do not pay for them. Every call but
//! [`AgeList::step_back`] is O(1).

use crate::foundation::{
    readings::StepBack,
    storage::{Link, Storage},
    table::Table,
    time::{Halves, Instant},
};

/// A value that can be in an [`AgeList`]. A table may have several lists; each entry is in one of them at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aged<L, T> {
    at: Halves,
    older: L,
    newer: L,
    pub(crate) value: T,
}

/// The two ends of a list, which is sorted by age as long as it follows the clock's steps back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AgeList<L> {
    oldest: L,
    newest: L,
}

impl<L: Link, T> Aged<L, T> {
    /// A value that is in no list yet.
    pub(crate) const fn new(value: T) -> Self {
        Self { at: Halves::ZERO, older: L::NONE, newer: L::NONE, value }
    }

    /// Since when it is in its list.
    pub(crate) const fn at(&self) -> Instant {
        self.at.get()
    }

    const fn set_at(&mut self, at: Instant) {
        self.at = Halves::new(at);
    }
}

impl<L: Link> AgeList<L> {
    pub(crate) const fn new() -> Self {
        Self { oldest: L::NONE, newest: L::NONE }
    }

    /// The slot of the oldest entry, and the entry.
    pub(crate) fn oldest<'a, K, T, S: Storage<Link = L>, H>(
        &self,
        table: &'a Table<K, Aged<L, T>, S, H>,
    ) -> Option<(usize, &'a Aged<L, T>)> {
        let slot = self.oldest.index();
        table.get(slot).map(|(_, entry)| (slot, entry))
    }

    /// Since when the newest entry is in the list; the beginning of time if there is none.
    pub(crate) fn newest_at<K, T, S: Storage<Link = L>, H>(&self, table: &Table<K, Aged<L, T>, S, H>) -> Instant {
        table.get(self.newest.index()).map_or(Instant::ZERO, |(_, entry)| entry.at())
    }

    /// Puts an entry that is in no list at the new end.
    pub(crate) fn push<K, T, S: Storage<Link = L>, H>(
        &mut self,
        table: &mut Table<K, Aged<L, T>, S, H>,
        slot: usize,
        at: Instant,
    ) {
        let link = L::to(slot);
        let Some(entry) = table.get_mut(slot) else { return };
        entry.set_at(at);
        entry.older = self.newest;
        entry.newer = L::NONE;
        match table.get_mut(self.newest.index()) {
            Some(before) => before.newer = link,
            None => self.oldest = link,
        }
        self.newest = link;
    }

    /// Takes out an entry that is in this list.
    pub(crate) fn unlink<K, T, S: Storage<Link = L>, H>(
        &mut self,
        table: &mut Table<K, Aged<L, T>, S, H>,
        slot: usize,
    ) {
        let Some((_, &Aged { older, newer, .. })) = table.get(slot) else { return };
        match table.get_mut(older.index()) {
            Some(before) => before.newer = newer,
            None => self.oldest = newer,
        }
        match table.get_mut(newer.index()) {
            Some(after) => after.older = older,
            None => self.newest = older,
        }
    }

    /// What lies ahead of a clock that has stepped back begins where that says. O(entries that do).
    pub(crate) fn step_back<K, T, S: Storage<Link = L>, H>(
        &self,
        table: &mut Table<K, Aged<L, T>, S, H>,
        step: StepBack,
    ) {
        let (mut link, mut is_ahead) = (self.newest, false);
        while let Some(entry) = table.get_mut(link.index()) {
            let moved = step.moved(entry.at());
            // What is older than something that lay ahead follows it.
            let moved = if is_ahead { moved.earlier(step.to()) } else { moved };
            if moved == entry.at() {
                break;
            }
            is_ahead |= moved == step.to();
            entry.set_at(moved);
            link = entry.older;
        }
    }
}
