//! The logger beside a naive one that keeps every event, under hostile clocks, names and sinks.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
};

use steadfast_core::{
    Instant, Logger,
    logger::{Event, Level, LoggerStats, Recorded, ServiceId, Show},
};
use steadfast_tests::{Timed, deadline_contract};

use crate::{
    Script,
    text::{escaped, exact, is_bare, quoted_char},
};

const GROUPS: usize = 5;
const NAMES: usize = 65;
const LINE: usize = 512;
/// The slots that groups may take.
const FOR_GROUPS: usize = GROUPS - 1;
/// What one record of a name may take.
const RECORD: usize = NAMES / 5;

const QUIET: u64 = 3_000;
const MAX_AGE: u64 = 10_000;

type Tested = Logger<GROUPS, NAMES, LINE, 2, 1>;

#[derive(Default)]
struct Naive {
    now: u64,
    slots: Vec<NaiveSlot>,
    lost: Option<NaiveLost>,
    next: u64,
    /// The latest instant since the clock stepped back.
    latest: u64,
    is_stopped: bool,
    stats: LoggerStats,
}

#[derive(Clone, Debug)]
struct NaiveEvent {
    actor: String,
    message: String,
    level: Level,
    count: u32,
}

#[derive(Clone, Copy, Debug)]
struct NaiveAge {
    first: u64,
    last: u64,
    is_ready: bool,
    number: u64,
}

impl NaiveAge {
    fn due(self) -> u64 {
        if self.is_ready { 0 } else { (self.last + QUIET).min(self.first + MAX_AGE) }
    }

    fn clamp(&mut self, now: u64) {
        self.first = self.first.min(now);
        self.last = self.last.min(now);
    }
}

#[derive(Clone, Debug)]
struct NaiveSlot {
    service: usize,
    kind: Option<&'static str>,
    target: String,
    events: Vec<NaiveEvent>,
    age: NaiveAge,
    is_line: bool,
}

struct NaiveLost {
    count: u64,
    age: NaiveAge,
}

/// What is shown of a name, and what its record takes.
fn stored(raw: &str) -> (String, usize) {
    let is_bare = is_bare(raw);
    if raw.is_empty() || (is_bare && raw.len() < RECORD) {
        return (raw.to_owned(), raw.len() + 1);
    }
    let room = RECORD - 9;
    let (quote, mark) = if is_bare { ("", "…") } else { ("\"", "…\"") };
    let pieces: Vec<String> = raw.chars().map(|c| if is_bare { c.to_string() } else { quoted_char(c) }).collect();
    // All of it, or as many whole pieces as leave room for the mark; or the mark alone.
    let whole = format!("{quote}{}{quote}", pieces.concat());
    let cuts = (0..=pieces.len()).rev().map(|kept| format!("{quote}{}{mark}", pieces[..kept].concat()));
    let shown = std::iter::once(whole).chain(cuts).find(|shown| shown.len() <= room).unwrap_or_else(|| "…".to_owned());
    let taken = shown.len() + 9;
    (shown, taken)
}

impl NaiveSlot {
    fn line(&self) -> String {
        let (name, emoji) = [("a", "😈"), ("b", "")][self.service];
        let emoji = match (emoji, self.events.iter().map(|event| event.level).max()) {
            ("", Some(Level::Warn)) => "⚠️",
            ("", Some(Level::Error)) => "❌",
            ("", _) => "•",
            (emoji, _) => emoji,
        };
        let head = format!("{emoji} [{name}] ");
        let message = self.events.iter().rev().map(|event| &event.message).find(|message| !message.is_empty());
        let message = message.cloned().unwrap_or_default();
        let Some(kind) = self.kind else { return head + &escaped(&message) };
        let message = exact(&message);

        let mut room = NAMES - stored(&self.target).1;
        let (mut known, mut strangers): (Vec<&str>, usize) = (Vec::new(), 0);
        for event in &self.events {
            if event.actor.is_empty() || known.contains(&event.actor.as_str()) {
                continue;
            }
            let taken = stored(&event.actor).1;
            if taken <= room {
                room -= taken;
                known.push(&event.actor);
            } else {
                strangers += 1;
            }
        }
        let shown: Vec<String> = known.iter().map(|name| stored(name).0).collect();
        let actors = shown.len() + usize::from(strangers > 0);
        let plus = if strangers > 1 { "+" } else { "" };
        let who = match actors {
            0 => String::new(),
            1 => shown[0].clone(),
            2 => format!("{} and {}", shown[0], shown[1]),
            3 | 4 => format!("{}, and {}", shown[..actors - 1].join(", "), shown[actors - 1]),
            more => format!("{}, and {}{plus} others", shown[..3].join(", "), more - 3),
        };
        let target = stored(&self.target).0;
        let is_formatted = (self.service, kind) == (0, "tease");
        let mut text = if is_formatted {
            format!("{who} teased {target}")
        } else {
            let did = if actors == 0 { "" } else { " did " };
            let to = if target.is_empty() { "" } else { " to " };
            format!("{who}{did}{kind}{to}{target}")
        };
        let count: u64 = self.events.iter().map(|event| u64::from(event.count)).sum();
        if count > (actors as u64).max(1) {
            text += &format!(" ×{count}");
        }
        if !is_formatted && !message.is_empty() {
            text += &format!(": {message}");
        }
        head + &text
    }
}

impl Naive {
    fn age(&mut self, is_ready: bool) -> NaiveAge {
        self.next += 1;
        NaiveAge { first: self.now, last: self.now, is_ready, number: self.next }
    }

    fn look_at_the_clock(&mut self) {
        let now = self.now;
        if now + QUIET < self.latest {
            let lost = self.lost.iter_mut().map(|lost| &mut lost.age);
            self.slots.iter_mut().map(|slot| &mut slot.age).chain(lost).for_each(|age| age.clamp(now));
            self.latest = now;
        }
        self.latest = self.latest.max(now);
    }

    fn take(&mut self, service: usize, kind: Option<&'static str>, event: &Event<'_>, show: Show) -> Recorded {
        self.stats.seen += 1;
        if !show.admits(event.level) {
            self.stats.filtered += 1;
            return Recorded::Filtered;
        }
        if self.is_stopped {
            self.stats.rejected += 1;
            return Recorded::Rejected;
        }
        let now = self.now;
        self.look_at_the_clock();
        let (actor, message) = (event.actor.to_owned(), event.message.to_owned());
        let taken = NaiveEvent { actor, message, level: event.level, count: event.count };
        let events = vec![taken.clone()];
        let age = self.age(false);
        let mut slot = NaiveSlot { service, kind, target: event.target.to_owned(), events, age, is_line: false };
        if kind.is_some() && !event.instant {
            let mate = self.slots.iter_mut().find(|other| {
                !other.age.is_ready && other.service == service && other.kind == kind && other.target == event.target
            });
            if let Some(mate) = mate {
                if now < mate.age.due() {
                    mate.events.push(taken);
                    mate.age.last = now;
                    return Recorded::Grouped;
                }
                mate.age.is_ready = true;
            }
            let groups = self.slots.iter().filter(|slot| !slot.is_line).count();
            if groups < FOR_GROUPS && self.slots.len() < GROUPS {
                self.slots.push(slot);
                return Recorded::Grouped;
            }
            if event.level < Level::Warn {
                self.lose(1);
                return Recorded::Lost;
            }
        }
        slot.is_line = true;
        slot.age.is_ready = true;
        if self.slots.len() < GROUPS {
            self.slots.push(slot);
            return Recorded::Ready;
        }
        let level_of = |slot: &NaiveSlot| slot.events[0].level;
        let lesser = (self.slots.iter_mut())
            .filter(|other| other.is_line && level_of(other) < event.level)
            .min_by_key(|other| (level_of(other), other.age.number));
        let became = if let Some(lesser) = lesser {
            *lesser = slot;
            Recorded::Ready
        } else {
            Recorded::Lost
        };
        self.lose(1);
        became
    }

    fn lose(&mut self, events: u64) {
        self.stats.lost += events;
        self.tell(events);
    }

    fn tell(&mut self, events: u64) {
        if self.is_stopped {
            return;
        }
        let age = self.age(false);
        let lost = self.lost.get_or_insert(NaiveLost { count: 0, age });
        lost.count += events;
        lost.age.last = age.last;
    }

    fn drain(&mut self) -> Vec<(u64, String)> {
        self.look_at_the_clock();
        let now = self.now;
        let is_due = |age: NaiveAge| now >= age.due();
        let mut due: Vec<(u64, u64, String)> = (self.slots.iter().filter(|slot| is_due(slot.age)))
            .map(|slot| (slot.age.number, slot.events.len() as u64, slot.line()))
            .collect();
        self.slots.retain(|slot| !is_due(slot.age));
        if let Some(lost) = self.lost.take_if(|lost| is_due(lost.age)) {
            let plural = if lost.count == 1 { "" } else { "s" };
            due.push((lost.age.number, 0, format!("⚠️ [logger] {} event{plural} lost", lost.count)));
        }
        due.sort();
        due.into_iter().map(|(_, events, line)| (events, line)).collect()
    }

    fn next_deadline(&self) -> Option<u64> {
        let lost = self.lost.iter().map(|lost| lost.age.due());
        self.slots.iter().map(|slot| slot.age.due()).chain(lost).min()
    }

    fn flush(&mut self) {
        let lost = self.lost.iter_mut().map(|lost| &mut lost.age);
        self.slots.iter_mut().map(|slot| &mut slot.age).chain(lost).for_each(|age| age.is_ready = true);
    }

    fn stats(&self) -> LoggerStats {
        let waiting = self.slots.iter().map(|slot| slot.events.len() as u64).sum();
        let mut stats = self.stats;
        stats.waiting = waiting;
        stats
    }
}

#[derive(Clone, Debug)]
pub enum Step {
    Drain { is_written: bool },
    Event { service: usize, actor: String, target: String, event: Event<'static> },
    Flush,
    Line { service: usize, level: Level, text: String },
    MoveTo(u64),
    Pass(u64),
    Show { service: usize, show: Show },
    Shutdown,
}

pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    if script.below(4) == 0 {
        keep_deadlines(&script.list(15, step));
    } else {
        beside_the_naive_one(&script.list(60, step));
    }
}

pub(crate) const LEVELS: [(u8, Level); 4] = [(1, Level::Debug), (6, Level::Info), (1, Level::Warn), (1, Level::Error)];

fn step(script: &mut Script<'_>) -> Step {
    let service = script.below(2) as usize;
    match script.weighted(&[(14, 0), (2, 1), (3, 2), (1, 3), (3, 4), (1, 5), (1, 6)]) {
        0 => {
            let (actor, target) = (name(script), name(script));
            let kind = script.weighted(&[(1, "tease"), (1, "store")]);
            let message = script.weighted(&[(2, ""), (1, "said \u{7}this")]);
            let (level, count) = (script.weighted(&LEVELS), script.below(3) as u32);
            let instant = script.below(10) == 9;
            let event = Event { level, message, count, instant, ..Event::new(kind, "") };
            Step::Event { service, actor, target, event }
        }
        1 => Step::Line { service, level: script.weighted(&LEVELS), text: name(script) },
        2 => Step::Pass(script.below(4_500)),
        3 => Step::MoveTo([0, script.below(100_000), 1 << 40][script.below(3) as usize]),
        4 => Step::Drain { is_written: script.below(10) < 9 },
        5 => {
            let shows = [Show::Normal, Show::Verbose, Show::OnlyErrors, Show::Silent];
            Step::Show { service, show: shows[script.below(4) as usize] }
        }
        _ => Step::Flush,
    }
}

/// Short and long, harmless and hostile, some alike in what is shown of them.
fn name(script: &mut Script<'_>) -> String {
    match script.weighted(&[(6, 0), (3, 1), (1, 2), (2, 3)]) {
        0 => ["", "a", "b", "ab", "ba", "c"][script.below(6) as usize].to_owned(),
        1 => format!("n{:03}", script.below(40)),
        2 => "z".repeat(14) + ["", "1", "12", "2"][script.below(4) as usize],
        _ => String::from_utf8_lossy(script.bytes(20)).into_owned(),
    }
}

/// The logger and the latest reading of its clock, which does not step back in the contract: what is due at once is due at
/// [`Instant::ZERO`].
#[derive(Clone)]
struct Contract(Tested, Instant);

impl Timed for Contract {
    fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }

    fn on_timeout(&mut self, now: Instant) -> bool {
        if now < self.1 && self.next_deadline().is_none_or(|at| now < at) {
            return false;
        }
        self.1 = self.1.max(now);
        self.0.on_timeout(self.1).is_some()
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.0.stats()).hash(&mut hasher);
        // The rest of the state is what will be handed out; when that is, the deadlines tell.
        let (mut rest, mut lines) = (self.0.clone(), Vec::new());
        while let Some(at) = rest.next_deadline() {
            lines.extend(std::iter::from_fn(|| rest.on_timeout(at)).map(|entry| (entry.to_string(), entry.events())));
        }
        lines.sort();
        lines.hash(&mut hasher);
        hasher.finish()
    }
}

struct Pair {
    logger: Tested,
    services: [ServiceId; 2],
    shows: [Show; 2],
    naive: Naive,
}

impl Pair {
    fn new() -> Self {
        let mut logger = Tested::new();
        let services = ["a", "b"].map(|name| logger.service(name));
        logger.set_prefix(services[0], "😈");
        logger
            .formatter("a", "tease", |group, out| write!(out, "{} teased {}", group.actors(), group.target()))
            .expect("there is room for one");
        Self { logger, services, shows: [Show::Normal; 2], naive: Naive::default() }
    }

    fn run(&mut self, step: &Step) {
        let now = Instant::from_millis(self.naive.now);
        match step {
            Step::Pass(millis) => self.naive.now += millis,
            Step::MoveTo(millis) => self.naive.now = *millis,
            Step::Event { service, actor, target, event } => {
                let event = Event { actor, target, ..*event };
                let ours = self.logger.record(self.services[*service], &event, now);
                assert_eq!(ours, self.naive.take(*service, Some(event.kind), &event, self.shows[*service]));
            }
            Step::Line { service, level, text } => {
                let event = Event::new("", "").message(text).level(*level);
                let ours = self.logger.line(self.services[*service], *level, text, now);
                assert_eq!(ours, self.naive.take(*service, None, &event, self.shows[*service]));
            }
            Step::Show { service, show } => {
                self.shows[*service] = *show;
                self.logger.set_show(self.services[*service], *show);
            }
            Step::Flush => {
                self.naive.flush();
                self.logger.flush();
            }
            Step::Shutdown => {
                self.naive.flush();
                self.naive.is_stopped = true;
                self.logger.shutdown();
            }
            Step::Drain { is_written } => self.drain(*is_written, now),
        }
        self.check();
        self.is_alive();
    }

    fn drain(&mut self, is_written: bool, now: Instant) {
        let entries: Vec<_> = std::iter::from_fn(|| self.logger.on_timeout(now)).collect();
        let ours: Vec<(u64, String)> = entries.iter().map(|entry| (entry.events(), entry.to_string())).collect();
        let theirs = self.naive.drain();
        assert_eq!(ours, theirs);
        for (entry, (events, line)) in entries.iter().zip(&theirs) {
            if is_written {
                self.naive.stats.printed += events;
                continue;
            }
            self.logger.not_written(entry, now);
            match line.strip_prefix("⚠️ [logger] ").and_then(|told| told.split(' ').next()) {
                Some(count) => self.naive.tell(count.parse().expect("a number of events")),
                None => self.naive.lose(*events),
            }
        }
    }

    fn check(&self) {
        let stats = self.logger.stats();
        assert_eq!(stats, self.naive.stats());
        assert_eq!(stats.seen, stats.filtered + stats.printed + stats.waiting + stats.lost + stats.rejected);
        assert_eq!(self.logger.next_deadline(), self.naive.next_deadline().map(Instant::from_millis));
    }

    /// Once the clock was looked at, nothing waits for longer than the quiet time.
    fn is_alive(&self) {
        let mut looked_at = self.logger.clone();
        let now = Instant::from_millis(self.naive.now);
        if looked_at.on_timeout(now).is_none()
            && let Some(at) = looked_at.next_deadline()
        {
            // A step back by less than the quiet time is taken for a late thread.
            assert!(at <= Instant::from_millis(self.naive.now + 2 * QUIET), "due at {at:?}, at {now:?}");
        }
    }

    /// Runs all steps, then the end that every logger should have.
    fn run_to_the_end(mut self, steps: &[Step]) {
        let end = [Step::Drain { is_written: true }, Step::Shutdown, Step::Drain { is_written: true }];
        steps.iter().chain(&end).for_each(|step| self.run(step));
        assert_eq!(self.logger.next_deadline(), None);
        assert_eq!(self.logger.stats().waiting, 0);
    }
}

/// Runs all steps beside the naive one, and then to the end.
pub fn beside_the_naive_one(steps: &[Step]) {
    Pair::new().run_to_the_end(steps);
}

pub fn keep_deadlines(steps: &[Step]) {
    let mut pair = Pair::new();
    for step in steps {
        pair.run(step);
        deadline_contract(&Contract(pair.logger.clone(), Instant::from_millis(pair.naive.latest)));
    }
}
