//! Who gets a slot, and the row of what got none.

use super::{
    Logger, Recorded,
    slot::{Age, Key, Slot},
};
use crate::foundation::time::Instant;

/// The row of what was lost and not yet told.
#[derive(Clone, Debug)]
pub(super) struct Overflow {
    pub(super) count: u64,
    pub(super) age: Age,
}

impl<const GROUPS: usize, const NAMES: usize, const LINE: usize, const SERVICES: usize, const FORMATTERS: usize>
    Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>
{
    /// The group that still collects for `key`. One whose time is over is closed here, so that a clock that steps back
    /// cannot open it again beside its successor.
    pub(super) fn find(&mut self, hash: u32, key: &Key<'_>, now: Instant) -> Option<&mut Slot<NAMES, LINE>> {
        let window = self.window;
        let slot = (self.hashes.iter().zip(&mut self.slots))
            .find_map(|(other, slot)| (*other == hash && slot.collects(key)).then_some(slot))?;
        if now < slot.age.due_at(window) {
            return Some(slot);
        }
        slot.age.is_ready = true;
        self.worker.is_late = true;
        None
    }

    /// Gives a line a slot: a free one, or that of a lesser line.
    pub(super) fn add_line(&mut self, mut slot: Slot<NAMES, LINE>, now: Instant) -> Recorded {
        slot.is_line = true;
        if !self.slots.is_full() {
            self.push(0, slot);
            return Recorded::Ready;
        }
        let lesser = (self.slots.iter_mut())
            .filter(|other| other.is_line && other.events.level < slot.events.level)
            .min_by_key(|other| (other.events.level, other.age.sequence));
        let Some(lesser) = lesser else {
            self.lose(slot.events.events, now);
            return Recorded::Lost;
        };
        let replaced = lesser.events.events;
        *lesser = slot;
        self.worker.is_late = true;
        self.lose(replaced, now);
        Recorded::Ready
    }

    pub(super) fn push(&mut self, hash: u32, slot: Slot<NAMES, LINE>) {
        let is_line = slot.is_line;
        self.worker.is_late |= slot.age.due_at(self.window) < self.worker.sleeps_until;
        if self.slots.push(slot).is_ok() {
            // As long as the slots, which had room.
            let _ = self.hashes.push(hash);
            self.lines = self.lines.saturating_add(usize::from(is_line));
        }
    }

    pub(super) fn take(&mut self, index: usize) -> Option<Slot<NAMES, LINE>> {
        swap_out(&mut self.hashes, index);
        let slot = swap_out(&mut self.slots, index)?;
        self.lines = self.lines.saturating_sub(usize::from(slot.is_line));
        Some(slot)
    }

    pub(super) fn lose(&mut self, events: u64, now: Instant) {
        self.counts.lost = self.counts.lost.saturating_add(events);
        self.tell(events, now);
    }

    /// Adds to the row that tells what was lost.
    pub(super) fn tell(&mut self, events: u64, now: Instant) {
        if self.is_stopped {
            return;
        }
        let age = self.age(now, false);
        self.worker.is_late |= age.due_at(self.window) < self.worker.sleeps_until;
        let overflow = self.overflow.get_or_insert(Overflow { count: 0, age });
        overflow.count = overflow.count.saturating_add(events);
        overflow.age.last_at = now;
    }
}

/// Removes an element and puts the last into its place, without a panic to be reached.
fn swap_out<T, const N: usize>(vec: &mut heapless::Vec<T, N>, index: usize) -> Option<T> {
    let len = vec.len();
    if index >= len {
        return None;
    }
    let last = vec.pop()?;
    match vec.get_mut(index) {
        Some(place) => Some(core::mem::replace(place, last)),
        None => Some(last),
    }
}
