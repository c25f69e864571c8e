//! What is told about a limit.

mod words;

use std::{num::NonZeroU16, time::Duration};

use serde::Serialize;
use steadfast_core::{
    Instant,
    rate_limiter::{Quota, SlidingLogIn, Verdict},
};

use crate::{
    key::KeyBy,
    limit::{Limit, grouped},
    log::{Log, Request},
    reader::Counts,
    replay::{Boxed, replay_exactly},
    sweep::{Band, Denied, Least, Point, States, least_burst, least_limits, least_rate, sweep},
    table::{Tables, tables},
    time::show_time,
};

use words::{notes, sentence};

/// All that is told of a log under a limit, in the order in which it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The limit, and what was read.
    pub headline: Headline,
    /// What other rates deny, for half the burst, the burst, and twice the burst.
    pub sweep: Vec<Point>,
    /// The least limits that hit at most one client in a thousand.
    pub least: Least,
    /// Keys in use at once, and tables without room.
    pub tables: Tables,
}

/// What one limit does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Headline {
    /// What it does, in a sentence.
    pub sentence: String,
    /// What has to be known beside it.
    pub notes: Vec<String>,
    /// The limit.
    pub limit: Limit,
    /// As a line of Rust, without the capacity.
    pub rust: String,
    /// As lines of a settings file, without the capacity.
    pub settings: String,
    /// What was read.
    pub read: Counts,
    /// How many clients there are.
    pub clients: usize,
    /// When the first request came.
    pub first: String,
    /// When the last one came.
    pub last: String,
    /// What was denied.
    pub denied: Band<Denied>,
    /// The longest time that a denied request would have had to wait, in seconds.
    pub longest_wait: Band<f64>,
    /// Requests whose cost is above the burst, which no waiting helps; counted as denied.
    pub never: u64,
    /// Allowed and denied requests over time, with those of a whole second at its start.
    pub time_line: TimeLine,
    /// Who had most denied, with those of a whole second at its start.
    pub hit: Vec<Client>,
    /// What a sliding log of as many requests in the time that the burst takes to be whole denies; `None` if it would keep
    /// too much.
    pub sliding_log: Option<SlidingLogDenied>,
}

/// Requests over time.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TimeLine {
    /// Nanoseconds of each column.
    pub step: u64,
    /// Allowed requests in each column.
    pub allowed: Vec<u64>,
    /// Denied ones.
    pub denied: Vec<u64>,
}

/// A client that was hit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Client {
    /// Who it is.
    pub key: String,
    /// Its requests.
    pub requests: u64,
    /// Those that were denied.
    pub denied: u64,
    /// When the first was denied.
    pub first: String,
    /// The longest time it would have had to wait, in seconds.
    pub longest_wait: f64,
    /// The least burst with which nothing of it is denied, at the rate.
    pub burst: Option<u32>,
    /// The least rate with which nothing of it is denied, with the burst: so many in the limit's unit.
    pub rate: Option<u32>,
}

/// What a sliding log denies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SlidingLogDenied {
    /// At most so many …
    pub max: u16,
    /// … in so many seconds.
    pub window: f64,
    /// What it denies.
    pub denied: Band<Denied>,
}

/// Columns of a time line.
const COLUMNS: usize = 120;
/// Bytes that a sliding log may keep.
const MOST_KEPT: u64 = 1 << 29;
/// Clients that are shown.
const SHOWN: usize = 50;

/// What is counted of one client.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    requests: u64,
    denied: u64,
    first: Instant,
    longest_wait: Duration,
}

/// What is counted of all.
#[derive(Debug)]
struct Tallies {
    clients: Vec<Tally>,
    time_line: TimeLine,
    never: u64,
}

impl Tallies {
    fn denied(&self) -> Denied {
        let hit = self.clients.iter().filter(|client| client.denied > 0);
        hit.fold(Denied::default(), |sum, client| Denied {
            requests: sum.requests.saturating_add(client.denied),
            clients: sum.clients.saturating_add(1),
        })
    }

    fn longest_wait(&self) -> f64 {
        self.clients.iter().map(|client| client.longest_wait).max().unwrap_or_default().as_secs_f64()
    }
}

fn tally<A: Quota + Clone>(log: &Log, requests: &[Request], quota: &A) -> Tallies {
    let (from, to) = log.span();
    // A request of the last second may be spread beyond it.
    let step = to.saturating_sub(from).checked_div(COLUMNS as u64).unwrap_or(0).saturating_add(1);
    let start = || Tallies {
        clients: vec![Tally::default(); log.keys.len()],
        time_line: TimeLine { step, allowed: vec![0; COLUMNS], denied: vec![0; COLUMNS] },
        never: 0,
    };
    let (tallies, _) = replay_exactly(requests, quota, start, |tallies: &mut Tallies, _, request, answer| {
        let Some(client) = tallies.clients.get_mut(request.key()) else { return };
        client.requests = client.requests.saturating_add(1);
        let time_line = &mut tallies.time_line;
        let mut counts = &mut time_line.allowed;
        if !answer.is_ok_and(Verdict::is_allowed) {
            counts = &mut time_line.denied;
            if client.denied == 0 {
                client.first = request.at();
            }
            client.denied = client.denied.saturating_add(1);
            match answer {
                Ok(verdict) => {
                    let wait = verdict.decision.retry_after(request.at()).unwrap_or_default();
                    client.longest_wait = client.longest_wait.max(wait);
                }
                Err(_) => tallies.never = tallies.never.saturating_add(1),
            }
        }
        let column = request.at().as_nanos().saturating_sub(from).checked_div(step).unwrap_or(0);
        let column = usize::try_from(column).unwrap_or(COLUMNS).min(COLUMNS.saturating_sub(1));
        if let Some(count) = counts.get_mut(column) {
            *count = count.saturating_add(1);
        }
    });
    tallies
}

impl Headline {
    /// What a limit would have done.
    #[must_use]
    pub fn of(log: &Log, by: &KeyBy, limit: Limit) -> Self {
        let quota = limit.quota();
        let Band { at_start, spread } = Band::of(log, |requests| tally(log, requests, &quota));
        let band = |of: &dyn Fn(&Tallies) -> f64| Band { at_start: of(&at_start), spread: spread.as_ref().map(of) };
        let (first, last) = log.span();
        let mut headline = Self {
            sentence: String::new(),
            notes: notes(&log.counts),
            limit,
            rust: format!("RateLimiter::<{}, _>::builder({})", by.type_name(), limit.rust()),
            settings: limit.settings(),
            read: log.counts.clone(),
            clients: log.keys.len(),
            first: show_time(first),
            last: show_time(last),
            denied: Band { at_start: at_start.denied(), spread: spread.as_ref().map(Tallies::denied) },
            longest_wait: band(&Tallies::longest_wait),
            never: at_start.never,
            hit: hit(log, limit, &at_start.clients),
            time_line: at_start.time_line,
            sliding_log: sliding_log(log, limit),
        };
        headline.sentence = sentence(&headline);
        headline
    }
}

/// The clients that had most denied.
fn hit(log: &Log, limit: Limit, clients: &[Tally]) -> Vec<Client> {
    let mut hit: Vec<_> = clients.iter().enumerate().filter(|(_, client)| client.denied > 0).collect();
    hit.sort_by_key(|(key, client)| (std::cmp::Reverse(client.denied), *key));
    hit.truncate(SHOWN);
    let mut places = vec![None; log.keys.len()];
    for (place, (key, _)) in hit.iter().enumerate() {
        if let Some(known) = places.get_mut(*key) {
            *known = Some(place);
        }
    }
    let mut requests = vec![Vec::new(); hit.len()];
    for request in &log.at_start {
        let place = places.get(request.key()).copied().flatten();
        if let Some(own) = place.and_then(|place| requests.get_mut(place)) {
            own.push(request.of_key(0));
        }
    }
    let mut states = States::new(1); // each of them for itself
    let clients = hit.into_iter().zip(requests);
    let clients = clients.map(|((key, tally), requests)| {
        let mut good = |limit: Limit| states.run(&requests, &limit.quota(), |_| ()).requests == 0;
        Client {
            key: String::from(log.key(key)),
            requests: tally.requests,
            denied: tally.denied,
            first: show_time(tally.first.as_nanos()),
            longest_wait: tally.longest_wait.as_secs_f64(),
            burst: least_burst(limit, &mut good),
            rate: least_rate(limit, &mut good).map(|rate| rate.count),
        }
    });
    clients.collect()
}

/// The same burst and the same rate in the long run, by a sliding log. It keeps 8 bytes of each request.
fn sliding_log(log: &Log, limit: Limit) -> Option<SlidingLogDenied> {
    let kept = (log.keys.len() as u64).saturating_mul(limit.burst.into()).saturating_mul(8);
    if kept > MOST_KEPT {
        return None;
    }
    let max = NonZeroU16::new(u16::try_from(limit.burst).ok()?)?;
    let window = limit.quota().interval().checked_mul(limit.burst)?;
    let quota: SlidingLogIn<Boxed> = SlidingLogIn::new(max, window);
    let denied = Band::of(log, |requests| tally(log, requests, &quota).denied());
    Some(SlidingLogDenied { max: max.get(), window: window.as_secs_f64(), denied })
}

/// The bursts of a sweep: half of it, itself, and twice as many.
#[must_use]
pub fn bursts(burst: u32) -> Vec<u32> {
    let mut bursts = vec![burst.div_ceil(2).max(1), burst.max(1), burst.saturating_mul(2).max(1)];
    bursts.dedup();
    bursts
}

impl Report {
    /// Everything about a log under a limit.
    #[must_use]
    pub fn of(log: &Log, by: &KeyBy, limit: Limit) -> Self {
        Self {
            headline: Headline::of(log, by, limit),
            sweep: bursts(limit.burst).into_iter().flat_map(|burst| sweep(log, limit.rate.per, burst)).collect(),
            least: least_limits(log, limit),
            tables: tables(log, limit),
        }
    }

    /// What to paste into a file of settings.
    #[must_use]
    pub fn settings(&self) -> String {
        format!("{}\ncapacity = {}", self.headline.settings, grouped(self.tables.capacity, '_'))
    }

    /// What to paste into a program.
    #[must_use]
    pub fn rust(&self) -> String {
        format!("{}.capacity({}).build()", self.headline.rust, grouped(self.tables.capacity, '_'))
    }
}

#[cfg(test)]
mod tests;
