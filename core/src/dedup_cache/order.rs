//! Ids from the oldest to the newest: those that are marked, and those that are claimed, each for itself.
//!
//! Every call but [`Order::step_back`] is O(1).

use super::ids::{Held, Ids, Links};
use crate::foundation::{
    readings::StepBack,
    storage::{Link, Storage},
    time::Instant,
};

/// The two ends, which stay sorted by age as long as they follow the clock's steps back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<L> {
    oldest: L,
    newest: L,
}

impl<L: Link> Order<L> {
    pub(super) const fn new() -> Self {
        Self { oldest: L::NONE, newest: L::NONE }
    }

    /// The place of the oldest id; out of any range if there is none.
    pub(super) fn oldest_place(&self) -> usize {
        self.oldest.index()
    }

    /// The place of the oldest id, and the id.
    pub(super) fn oldest<'a, K, V, S: Storage<Link = L>>(
        &self,
        ids: &'a Ids<K, V, S>,
    ) -> Option<(usize, &'a Held<K, V, L>)> {
        let place = self.oldest.index();
        ids.get(place).map(|held| (place, held))
    }

    /// When the newest began; the beginning of time if there is none.
    pub(super) fn newest_at<K, V, S: Storage<Link = L>>(&self, ids: &Ids<K, V, S>) -> Instant {
        ids.get(self.newest.index()).map_or(Instant::ZERO, Held::at)
    }

    /// Puts an id that is in no order at the new end.
    pub(super) fn push<K, V, S: Storage<Link = L>>(&mut self, ids: &mut Ids<K, V, S>, place: usize, at: Instant) {
        let Some(held) = ids.get_mut(place) else { return };
        held.set_at(at);
        if let Some(links) = ids.links_mut(place) {
            *links = Links { older: self.newest, newer: L::NONE };
        }
        let link = L::to(place);
        match ids.links_mut(self.newest.index()) {
            Some(before) => before.newer = link,
            None => self.oldest = link,
        }
        self.newest = link;
    }

    /// Takes out an id that is in this order.
    pub(super) fn unlink<K, V, S: Storage<Link = L>>(&mut self, ids: &mut Ids<K, V, S>, place: usize) {
        let Some(Links { older, newer }) = ids.links(place) else { return };
        match ids.links_mut(older.index()) {
            Some(before) => before.newer = newer,
            None => self.oldest = newer,
        }
        match ids.links_mut(newer.index()) {
            Some(after) => after.older = older,
            None => self.newest = older,
        }
    }

    /// What lies ahead of a clock that has stepped back begins where that says. O(ids that do).
    pub(super) fn step_back<K, V, S: Storage<Link = L>>(&self, ids: &mut Ids<K, V, S>, step: StepBack) {
        let (mut link, mut is_ahead) = (self.newest, false);
        while let Some(held) = ids.get_mut(link.index()) {
            let at = held.at();
            let moved = step.moved(at);
            // What is older than something that lay ahead follows it.
            let moved = if is_ahead { moved.earlier(step.to()) } else { moved };
            if moved == at {
                break;
            }
            is_ahead |= moved == step.to();
            held.set_at(moved);
            link = ids.links(link.index()).map_or(L::NONE, |links| links.older);
        }
    }
}
