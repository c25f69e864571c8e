//! The logger as a plain state machine.

use core::time::Duration;

use super::{
    Entry, Event, Formatter, FormattersFull, Level, LoggerStats, Recorded, ServiceId, Show,
    entry::Content,
    names::{Name, Names},
    outcome::Counts,
    services::{Formatters, Service, Services},
    slot::{Age, Key, Slot, Window},
    slots::Overflow,
    worker::Worker,
};
use crate::foundation::{
    hash::HashSeed,
    time::{Instant, Span},
};

/// A logger with log aggregation: events of the same service, kind and target within 3 s are written as one line, with
/// exact counts, in fixed memory. It prevents floods of equal lines (log throttling) and lines that a peer forges (log
/// injection).
///
/// Events of one service, type and target form a group, which ends after 3 s without another or at the age of 10 s
/// ([`window`](Self::window)). A group names its actors in the order of their first event, adds up the counts and keeps
/// the last message; an instant event or a plain line leaves at once. What is due is handed out by
/// [`on_timeout`](Self::on_timeout), in the order of the first events, and written outside: [`Entry::line`].
///
/// ```
/// use steadfast_core::{Instant, Logger, logger::Event};
///
/// let mut logger: Logger<16> = Logger::new();
/// let social = logger.service("social");
/// logger.set_prefix(social, "😈");
/// logger.formatter("social", "tease", |group, out| write!(out, "{} teased {}", group.actors(), group.target()))?;
/// for (second, actor) in [(0, "alice"), (1, "carol"), (2, "dave")] {
///     logger.record(social, &Event::new("tease", actor).target("bob"), Instant::from_secs(second));
/// }
/// let due_at = Instant::from_secs(5);
/// assert_eq!(logger.next_deadline(), Some(due_at));
/// let entry = logger.on_timeout(due_at).expect("three seconds of quiet are over");
/// assert_eq!(&*entry.line(), "😈 [social] alice, carol, and dave teased bob");
/// # Ok::<(), steadfast_core::logger::FormattersFull>(())
/// ```
///
/// Behind a lock and a timer ([`Shared`](crate::foundation::shared::Shared)) each service has a
/// [`ServiceLog`](super::ServiceLog), and `run` writes to a sink.
///
/// # Bounds
///
/// `GROUPS` slots, each of one line of `LINE` bytes, `NAMES` bytes of names and about 110 bytes. A quarter of the slots
/// is kept free of groups, so that a peer that makes up targets cannot keep lines out. A name takes its length and one
/// byte, at most a fifth of `NAMES` and 128 bytes; so a group names a target and at least four actors, usually many
/// more. `NAMES` is at least 60, `LINE` at least 32, `GROUPS` at least 2, `SERVICES` at most 254. Events by actors that
/// found no room are counted, and the number of "others" is then marked as the least it can be: "8+ others". Longer
/// names, messages and lines are cut and marked with `…`; two names that look the same once they are cut are still told
/// apart, by a 64-bit keyed hash of the whole name. `SERVICES` services have their own settings, all further ones share
/// the row "other", which has none ([`ServiceId::OTHER`]).
///
/// # Names
///
/// A line can be read in one way only, whatever names peers choose. A name is shown as it is if it is one word of
/// letters and digits and of `-` `_` `@` `/` `#` `=` `%` `~`, with `.` `:` `+` `'` only inside, and none of the words
/// "and", "did", "to", "other", "others": `alice`, `node-7`, `10.0.0.7:80`, `Zoë`. Any other is quoted: `"alice, bob"`.
/// In quotes `\` stands before `"` and `\`, and whatever is neither such a letter nor visible ASCII is escaped:
/// `"alice\u{200b}"`. Letters are those of scripts that read from left to right without combining marks (Latin, Greek,
/// Cyrillic, Armenian, Georgian, Han, kana, Hangul, and emoji); names in others are legible by their code points only.
/// A cut name has its `…` before the closing quote. Kinds and services are quoted by the same rule, but may be several
/// words. A message comes last, behind `: `, with each `\` doubled and everything escaped that cannot be seen. So two
/// events that differ in their actors, target, count or message never read alike, unless something is cut or "others"
/// are not named. A plain line is text of the program's own: what it holds of peers' text is escaped, but not quoted.
///
/// # When it is full
///
/// Events that find no slot are counted, and the count leaves as a line of its own. Where no group is to be had, an
/// event at [`Level::Warn`] or above leaves alone; a line that finds no slot replaces the oldest one of the lowest
/// level, if that is lower than its own. [`stats`](Self::stats) adds up: seen = filtered + printed + waiting + lost +
/// rejected.
///
/// # Clock
///
/// After a step back by more than the quiet time, the first event or [`on_timeout`](Self::on_timeout) on the new clock
/// cuts short whatever lies ahead of it: no line waits for longer than the quiet time once more. A shorter step delays
/// a line by no more than its own length.
///
/// # Kinds
///
/// The kind of an event is an infinitive verb, "store" and not "stored", because the default sentence is "alice did
/// store to bob". A [`formatter`](Self::formatter) makes any other sentence.
#[derive(Clone, Debug)]
pub struct Logger<
    const GROUPS: usize,
    const NAMES: usize = 160,
    const LINE: usize = 160,
    const SERVICES: usize = 8,
    const FORMATTERS: usize = 8,
> {
    pub(super) window: Window,
    pub(super) seed: HashSeed,
    pub(super) services: Services<SERVICES>,
    pub(super) formatters: Formatters<FORMATTERS>,
    /// The hash of the key of each slot, side by side because every event searches them.
    pub(super) hashes: heapless::Vec<u32, GROUPS>,
    pub(super) slots: heapless::Vec<Slot<NAMES, LINE>, GROUPS>,
    /// How many of the slots are lines.
    pub(super) lines: usize,
    pub(super) overflow: Option<Overflow>,
    pub(super) sequence: u64,
    /// The latest instant since the clock stepped back.
    pub(super) latest: Instant,
    pub(super) is_stopped: bool,
    pub(super) counts: Counts,
    pub(super) worker: Worker,
}

const QUIET: Duration = Duration::from_secs(3);
const MAX_AGE: Duration = Duration::from_secs(10);

impl<const GROUPS: usize, const NAMES: usize, const LINE: usize, const SERVICES: usize, const FORMATTERS: usize>
    Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>
{
    /// The slots that groups may not take.
    pub(super) const RESERVED: usize = if GROUPS < 8 { 1 } else { GROUPS / 4 };

    /// A logger without services: 3 s of quiet, 10 s at most.
    #[must_use]
    pub const fn new() -> Self {
        const {
            assert!(GROUPS >= 2, "a slot for a group and one for a line");
            assert!(LINE >= 32, "a line of 32 bytes is the least that says anything");
            // Evaluated here so that too little room for names does not build either.
            assert!(Names::<NAMES>::LONGEST_RECORD > 0);
        }
        Self {
            window: Window { quiet: Span::new(QUIET), max_age: Span::new(MAX_AGE) },
            seed: HashSeed::FIXED,
            services: Services::new(),
            formatters: Formatters::new(),
            hashes: heapless::Vec::new(),
            slots: heapless::Vec::new(),
            lines: 0,
            overflow: None,
            sequence: 0,
            latest: Instant::ZERO,
            is_stopped: false,
            counts: Counts { seen: 0, filtered: 0, printed: 0, lost: 0, rejected: 0 },
            worker: Worker::new(),
        }
    }

    /// Ends a group after `quiet` without an event, and at the age of `max_age` in any case.
    #[doc(alias = "BatchWindow")]
    #[must_use]
    pub const fn window(mut self, quiet: Duration, max_age: Duration) -> Self {
        // A longer quiet time never ends a group, but it would hide a clock that stepped back by less.
        let max_age = Span::new(max_age);
        self.window = Window { quiet: Span::new(quiet).shorter(max_age), max_age };
        self
    }

    /// Takes the secret that tells long names of the same look apart; a `static` is reseeded at boot.
    ///
    /// A group of such a name that is open already gets no more events.
    pub const fn reseed(&mut self, seed: HashSeed) {
        self.seed = seed;
    }

    /// The service of this name, added if there is room; else [`ServiceId::OTHER`], whose settings nobody can change.
    /// O(`SERVICES`).
    #[doc(alias = "Log")]
    pub fn service(&mut self, name: &'static str) -> ServiceId {
        self.services.find_or_add(name)
    }

    /// The service of this name, if it was added. O(`SERVICES`).
    #[must_use]
    pub fn find_service(&self, name: &str) -> Option<ServiceId> {
        self.services.find(name)
    }

    /// Sets what a service's lines begin with, an emoji or nothing; false for [`ServiceId::OTHER`], which stays as it
    /// is. Without it they begin with a mark of their level.
    #[doc(alias = "emoji")]
    pub fn set_prefix(&mut self, service: ServiceId, prefix: &'static str) -> bool {
        self.services.get_mut(service).map(|row| row.prefix = Some(prefix)).is_some()
    }

    /// Sets how much of a service is shown from here on; what waits already still leaves. False for
    /// [`ServiceId::OTHER`], which stays as it is: it stands for services that have nothing to do with each other.
    #[doc(alias = "SetServiceEnabled")]
    #[doc(alias = "SetServiceVerbose")]
    pub fn set_show(&mut self, service: ServiceId, show: Show) -> bool {
        self.services.get_mut(service).map(|row| row.show = show).is_some()
    }

    /// How much of a service is shown.
    #[must_use]
    pub fn show(&self, service: ServiceId) -> Show {
        self.services.get(service).show
    }

    /// Sets how groups of this service and type read. O(`FORMATTERS`).
    ///
    /// # Errors
    ///
    /// If there is no room; nothing is changed.
    #[doc(alias = "RegisterFormatter")]
    pub fn formatter(
        &mut self,
        service: &'static str,
        kind: &'static str,
        formatter: Formatter,
    ) -> Result<(), FormattersFull> {
        self.formatters.set(service, kind, formatter)
    }

    /// Takes an event: into its group, or as a line of its own if it is instant. O(`GROUPS`), with nothing formatted.
    pub fn record(&mut self, service: ServiceId, event: &Event<'_>, now: Instant) -> Recorded {
        if let Err(refused) = self.admit(service, event.level, now) {
            return refused;
        }
        let seed = self.seed.clone();
        let target = Name::new(event.target, Names::<NAMES>::LONGEST_RECORD, &seed);
        let actor = Name::new(event.actor, Names::<NAMES>::LONGEST_RECORD, &seed);
        let key = Key { service, kind: event.kind, target };
        let hash = key.hash();
        if !event.instant
            && let Some(slot) = self.find(hash, &key, now)
        {
            slot.add(event, &actor);
            slot.age.last_at = now;
            return Recorded::Grouped;
        }
        self.begin(hash, &key, event, &actor, now)
    }

    /// Takes an event that is the first of its group, or alone. Not inlined: it needs the stack for a whole slot.
    #[inline(never)]
    fn begin(&mut self, hash: u32, key: &Key<'_>, event: &Event<'_>, actor: &Name<'_>, now: Instant) -> Recorded {
        let groups = self.slots.len().saturating_sub(self.lines);
        let has_room = groups < GROUPS.saturating_sub(Self::RESERVED) && !self.slots.is_full();
        if !event.instant && !has_room && event.level < Level::Warn {
            self.lose(1, now);
            return Recorded::Lost;
        }
        let age = self.age(now, event.instant || !has_room);
        let slot = Slot::new(key.service, event, &key.target, actor, age);
        if age.is_ready {
            return self.add_line(slot, now);
        }
        self.push(hash, slot);
        Recorded::Grouped
    }

    /// Takes a plain line, which is due at once. O(`GROUPS`).
    pub fn line(&mut self, service: ServiceId, level: Level, text: &str, now: Instant) -> Recorded {
        if let Err(refused) = self.admit(service, level, now) {
            return refused;
        }
        let event = Event::new("", "").message(text).level(level);
        let (age, seed) = (self.age(now, true), self.seed.clone());
        self.add_line(Slot::line(service, &event, &Name::new("", 0, &seed), age), now)
    }

    /// When [`on_timeout`](Self::on_timeout) will have something; [`Instant::ZERO`] if it is due whatever the clock
    /// shows. O(`GROUPS`).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.ages().map(|age| age.due_at(self.window)).min()
    }

    /// Hands out the due entry whose first event is the oldest; call it until it returns `None`. O(`GROUPS`).
    ///
    /// It also takes note of a clock that stepped back: [`next_deadline`](Self::next_deadline) is on the new one then.
    #[must_use = "an entry that is not written is lost"]
    pub fn on_timeout(&mut self, now: Instant) -> Option<Entry<NAMES, LINE>> {
        self.observe(now);
        let window = self.window;
        let is_due = |age: &Age| now >= age.due_at(window);
        let first = ((0..GROUPS).zip(&self.slots))
            .filter(|(_, slot)| is_due(&slot.age))
            .min_by_key(|(_, slot)| slot.age.sequence)
            .map(|(index, slot)| (index, slot.age.sequence));
        let is_next = |age: &Age| is_due(age) && first.is_none_or(|(_, sequence)| age.sequence < sequence);
        if let Some(overflow) = self.overflow.take_if(|overflow| is_next(&overflow.age)) {
            let content = Content::Lost { count: overflow.count };
            return Some(Entry { content, service: "logger", prefix: None, formatter: None });
        }
        let (index, _) = first?;
        let slot = self.take(index)?;
        self.counts.printed = self.counts.printed.saturating_add(slot.events.events);
        let Service { name, prefix, .. } = *self.services.get(slot.service);
        let formatter = slot.events.kind.and_then(|kind| self.formatters.get(name, kind));
        Some(Entry { content: Content::Events(slot.events), service: name, prefix, formatter })
    }

    /// Makes everything that waits due now, whatever the clock shows. O(`GROUPS`).
    pub fn flush(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.age.is_ready = true);
        if let Some(overflow) = &mut self.overflow {
            overflow.age.is_ready = true;
        }
        self.worker.is_late = true;
    }

    /// Makes everything that waits due, and rejects what comes later. O(`GROUPS`).
    #[doc(alias = "Stop")]
    pub fn shutdown(&mut self) {
        self.flush();
        self.is_stopped = true;
    }

    /// True after [`shutdown`](Self::shutdown).
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Takes note that an entry that was handed out could not be written: its events are lost, and their number will be
    /// told. After the shutdown they are only counted.
    pub fn not_written(&mut self, entry: &Entry<NAMES, LINE>, now: Instant) {
        self.observe(now);
        match &entry.content {
            Content::Events(events) => {
                self.counts.printed = self.counts.printed.saturating_sub(events.events);
                self.lose(events.events, now);
            }
            Content::Lost { count } => self.tell(*count, now),
        }
    }

    /// What became of all events. O(`GROUPS`).
    #[must_use]
    pub fn stats(&self) -> LoggerStats {
        let Counts { seen, filtered, printed, lost, rejected } = self.counts;
        let waiting = self.slots.iter().fold(0, |sum: u64, slot| sum.saturating_add(slot.events.events));
        LoggerStats { seen, filtered, printed, waiting, lost, rejected }
    }

    /// Takes note of a line that came to nothing before it was whole: it is lost, and that will be told.
    pub(super) fn lose_line(&mut self, service: ServiceId, level: Level, now: Instant) {
        if self.admit(service, level, now).is_ok() {
            self.lose(1, now);
        }
    }

    /// Counts an event that goes no further, and says why; any other is not counted yet.
    pub(super) fn refuse(&mut self, service: ServiceId, level: Level, now: Instant) -> Result<(), Recorded> {
        if self.is_stopped || !self.show(service).admits(level) {
            return self.admit(service, level, now);
        }
        Ok(())
    }

    /// Counts an event and says why it goes no further, if it does not.
    fn admit(&mut self, service: ServiceId, level: Level, now: Instant) -> Result<(), Recorded> {
        self.counts.seen = self.counts.seen.saturating_add(1);
        if !self.show(service).admits(level) {
            self.counts.filtered = self.counts.filtered.saturating_add(1);
            return Err(Recorded::Filtered);
        }
        if self.is_stopped {
            self.counts.rejected = self.counts.rejected.saturating_add(1);
            return Err(Recorded::Rejected);
        }
        self.observe(now);
        Ok(())
    }

    /// Takes note of the time, and of a clock that stepped back.
    pub(super) fn observe(&mut self, now: Instant) {
        // Threads that read the clock before they take the lock come out of order; a real step back is longer.
        if now.after(self.window.quiet) < self.latest {
            self.step_back(now);
        }
        self.latest = self.latest.max(now);
    }

    #[cold]
    fn step_back(&mut self, now: Instant) {
        self.slots.iter_mut().for_each(|slot| slot.age.clamp(now));
        if let Some(overflow) = &mut self.overflow {
            overflow.age.clamp(now);
        }
        self.latest = now;
        self.worker.is_late = true;
    }

    pub(super) const fn age(&mut self, now: Instant, is_ready: bool) -> Age {
        let sequence = self.sequence;
        self.sequence = sequence.saturating_add(1);
        Age { sequence, first_at: now, last_at: now, is_ready }
    }

    fn ages(&self) -> impl Iterator<Item = &Age> {
        let overflow = self.overflow.as_ref().map(|overflow| &overflow.age);
        self.slots.iter().map(|slot| &slot.age).chain(overflow)
    }
}

impl<const GROUPS: usize, const NAMES: usize, const LINE: usize, const SERVICES: usize, const FORMATTERS: usize> Default
    for Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>
{
    fn default() -> Self {
        Self::new()
    }
}
