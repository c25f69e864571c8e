//! A group that collects, or a line that waits.

use super::{
    Event, ServiceId,
    bytes::same,
    entry::Events,
    names::{Name, Names},
    text::{Rules, Text},
};
use crate::foundation::time::{Instant, Span};

/// What decides whether two events belong together: compared exactly, after a hash of it.
#[derive(Debug)]
pub(super) struct Key<'a> {
    pub(super) service: ServiceId,
    pub(super) kind: &'static str,
    pub(super) target: Name<'a>,
}

impl Key<'_> {
    /// A cheap filter before the exact comparison, the same on every target. It needs no secret: what somebody can win
    /// by making it collide is one comparison for each group, which is what the look-up costs anyway.
    pub(super) fn hash(&self) -> u32 {
        mix(mix(u32::from(self.service.0), self.kind.as_bytes()), self.target.raw().as_bytes())
    }
}

/// Four bytes at a time: a multiplication for each is most of what it costs.
fn mix(hash: u32, bytes: &[u8]) -> u32 {
    /// Names that differ only behind this many bytes share a hash.
    const MOST_BYTES: usize = 64;

    let bytes = bytes.get(..MOST_BYTES).unwrap_or(bytes);
    let (words, rest) = bytes.as_chunks();
    let hash = words.iter().fold(hash, |hash, word| mix_word(hash, u32::from_le_bytes(*word)));
    // The length, and at least one byte less than a word.
    let last = rest.iter().fold(bytes.len() as u32, |last, byte| last << 8 | u32::from(*byte));
    mix_word(hash, last)
}

const fn mix_word(hash: u32, word: u32) -> u32 {
    /// An odd number without structure: 2^32 divided by the golden ratio.
    const FACTOR: u32 = 0x9e37_79b9;

    // A bit of a product depends on those below it only: the high ones, which depend on most, are brought down.
    let product = (hash ^ word).wrapping_mul(FACTOR);
    product ^ (product >> 15)
}

/// How long a group collects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) quiet: Span,
    pub(super) max_age: Span,
}

#[derive(Clone, Debug)]
pub(super) struct Slot<const NAMES: usize, const LINE: usize> {
    pub(super) service: ServiceId,
    pub(super) events: Events<NAMES, LINE>,
    pub(super) age: Age,
    /// Made by one event that is not grouped.
    pub(super) is_line: bool,
}

impl<const NAMES: usize, const LINE: usize> Slot<NAMES, LINE> {
    pub(super) fn new(service: ServiceId, event: &Event<'_>, target: &Name<'_>, actor: &Name<'_>, age: Age) -> Self {
        Self::of_kind(Some(event.kind), service, event, target, actor, age)
    }

    fn of_kind(
        kind: Option<&'static str>,
        service: ServiceId,
        event: &Event<'_>,
        target: &Name<'_>,
        actor: &Name<'_>,
        age: Age,
    ) -> Self {
        let events = Events {
            kind,
            level: event.level,
            names: Names::new(target),
            strangers: 0,
            message: Text::new(),
            events: 0,
            count: 0,
        };
        let mut slot = Self { service, events, age, is_line: false };
        slot.add(event, actor);
        slot
    }

    /// A plain line, which is ready.
    pub(super) fn line(service: ServiceId, event: &Event<'_>, none: &Name<'_>, age: Age) -> Self {
        Self::of_kind(None, service, event, none, none, age)
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    pub(super) fn collects(&self, key: &Key<'_>) -> bool {
        !self.age.is_ready
            && self.service == key.service
            && self.events.kind.is_some_and(|kind| same(kind.as_bytes(), key.kind.as_bytes()))
            && self.events.names.has_target(&key.target)
    }

    #[cfg_attr(target_pointer_width = "64", inline)]
    pub(super) fn add(&mut self, event: &Event<'_>, actor: &Name<'_>) {
        let events = &mut self.events;
        if !actor.is_none() && !events.names.has_actor(actor) && !events.names.push(actor) {
            events.strangers = events.strangers.saturating_add(1);
        }
        if !event.message.is_empty() && !events.message.is(event.message) {
            // Only a message stands beside what must not be mistaken for it.
            let rules = if events.kind.is_some() { Rules::Exact } else { Rules::Text };
            events.message.set(rules, event.message);
        }
        events.level = events.level.max(event.level);
        events.events = events.events.saturating_add(1);
        events.count = events.count.saturating_add(u64::from(event.count));
    }
}

/// When something was seen first and last, which decides when it is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    /// Its place among the lines of one drain.
    pub(super) sequence: u64,
    pub(super) first_at: Instant,
    pub(super) last_at: Instant,
    /// Due whatever the clock shows; collects no more.
    pub(super) is_ready: bool,
}

impl Age {
    pub(super) const fn due_at(&self, window: Window) -> Instant {
        if self.is_ready {
            return Instant::ZERO;
        }
        self.last_at.after(window.quiet).earlier(self.first_at.after(window.max_age))
    }

    /// What lies ahead of a clock that stepped back happened now.
    pub(super) fn clamp(&mut self, now: Instant) {
        self.first_at = self.first_at.min(now);
        self.last_at = self.last_at.min(now);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, format};

    use super::*;
    use crate::foundation::hash::HashSeed;

    /// In words of 32 bits on every target, so what holds here holds there.
    #[test]
    fn found_a15_names_that_differ_in_a_little_have_other_hashes_on_every_target() {
        let seed = HashSeed::FIXED;
        let hash =
            |target: &str| Key { service: ServiceId(0), kind: "store", target: Name::new(target, 64, &seed) }.hash();
        let mut hashes = BTreeSet::new();
        for number in 0..1_000 {
            hashes.insert(hash(&format!("peer-{number}")));
            hashes.insert(hash(&format!("{number:04}@example.com")));
            hashes.insert(hash(&format!("a name of more than one word, {number:04}, and of more than two")));
        }
        for len in 0..=64 {
            hashes.insert(hash(&"\0".repeat(len)));
        }
        assert_eq!(hashes.len(), 3_065);
        assert_eq!(hash("peer-1 of these"), 4_029_018_831, "it differs between targets");
    }
}
