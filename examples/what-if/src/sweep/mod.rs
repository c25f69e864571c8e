//! Many limits at once, and the least one that is good enough.

use serde::Serialize;
use steadfast_core::{
    Gcra, Instant,
    rate_limiter::{Decision, Held, Quota},
};

use crate::{
    limit::{Limit, Per, Rate},
    log::{Log, Request},
};

/// What a limit denies.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Denied {
    /// Requests.
    pub requests: u64,
    /// Clients that had one denied.
    pub clients: u64,
}

/// Something for the requests of a whole second at its start, and for those spread over it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Band<T> {
    /// With all of them at its start.
    pub at_start: T,
    /// With each client's spread over it; `None` if all times have fractions.
    pub spread: Option<T>,
}

impl<T> Band<T> {
    /// Asks for both.
    pub fn of(log: &Log, mut ask: impl FnMut(&[Request]) -> T) -> Self {
        Self { at_start: ask(&log.at_start), spread: log.spread.as_deref().map(ask) }
    }
}

/// The state of every key, decided by the quota itself: as the limiter does with room for all, without its look-up.
#[derive(Debug)]
pub struct States {
    idle_at: Vec<Instant>,
    /// In which run a key was denied last.
    hit: Vec<u32>,
    run: u32,
}

impl States {
    /// Of so many keys.
    #[must_use]
    pub fn new(keys: usize) -> Self {
        Self { idle_at: vec![Instant::ZERO; keys], hit: vec![0; keys], run: 0 }
    }

    /// What a quota denies of requests in order of time. `each` is told every decision.
    pub fn run(&mut self, requests: &[Request], quota: &Gcra, mut each: impl FnMut(bool)) -> Denied {
        self.idle_at.fill(Instant::ZERO);
        self.run = self.run.wrapping_add(1);
        let mut denied = Denied::default();
        for request in requests {
            let key = request.key();
            let (Some(idle_at), Some(hit)) = (self.idle_at.get_mut(key), self.hit.get_mut(key)) else { continue };
            let now = request.at();
            let answer = quota.allow(*idle_at, Held::Entry(&mut ()), request.cost(), now, now);
            let allowed = matches!(answer, Ok((Decision::Allow, _)));
            if let Ok((_, later)) = answer {
                *idle_at = later;
            }
            if !allowed {
                denied.requests = denied.requests.saturating_add(1);
                if *hit != self.run {
                    (*hit, denied.clients) = (self.run, denied.clients.saturating_add(1));
                }
            }
            each(allowed);
        }
        denied
    }

    fn denied(&mut self, requests: &[Request], limit: Limit) -> Denied {
        self.run(requests, &limit.quota(), |_| ())
    }
}

/// A limit of the sweep, and what it denies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The limit.
    pub limit: Limit,
    /// Its rate in requests a second.
    pub per_second: f64,
    /// What it denies.
    pub denied: Band<Denied>,
}

/// The rates that a sweep tries: from one a minute (one an hour if the limit is by the hour), ten or so for each power of
/// ten.
fn rates(slowest: Per) -> impl Iterator<Item = Rate> {
    let below = |per, most: u32| {
        [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 50]
            .into_iter()
            .filter(move |count| *count < most)
            .map(move |count| Rate { count, per })
    };
    let hours = below(Per::Hour, if slowest == Per::Hour { 60 } else { 0 });
    let seconds = (0..7_u32).flat_map(|power| {
        let ten = 10_u32.saturating_pow(power);
        [10, 15, 20, 30, 40, 50, 70].map(move |tenths: u32| tenths.saturating_mul(ten))
    });
    // In tenths, for 15, 150 and so on; 1.5 a second is left out, because a rate is a whole number.
    let seconds = seconds.filter(|tenths| tenths.is_multiple_of(10)).filter_map(|tenths| tenths.checked_div(10));
    hours.chain(below(Per::Minute, 60)).chain(seconds.map(|count| Rate { count, per: Per::Second }))
}

/// What every rate of the sweep denies with this burst, up to the first that denies nothing, or nothing more than the
/// burst does.
#[must_use]
pub fn sweep(log: &Log, slowest: Per, burst: u32) -> Vec<Point> {
    let mut states = States::new(log.keys.len());
    // Of requests at one instant no rate lets more through than the burst.
    let rest = Band::of(log, |requests| states.denied(requests, FASTEST.with(burst)));
    let mut points = Vec::new();
    for rate in rates(slowest) {
        let limit = rate.with(burst);
        let denied = Band::of(log, |requests| states.denied(requests, limit));
        points.push(Point { limit, per_second: rate.per_second(), denied });
        if denied == rest {
            break;
        }
    }
    points
}

/// A request a nanosecond, nearly.
const FASTEST: Rate = Rate { count: 1_000_000_000, per: Per::Second };

impl Rate {
    const fn with(self, burst: u32) -> Limit {
        Limit { rate: self, burst }
    }
}

/// The least number from 1 to `most` that is good enough, if those above a good one are good.
///
/// It is found by doubling, then by halving what is left: in O(log) questions.
pub fn least(most: u32, mut good: impl FnMut(u32) -> bool) -> Option<u32> {
    let (mut bad, mut high) = (0_u32, 1_u32);
    while !good(high) {
        if high >= most {
            return None;
        }
        bad = high;
        high = high.saturating_mul(2).min(most);
    }
    while high.saturating_sub(bad) > 1 {
        let middle = bad.midpoint(high);
        if good(middle) {
            high = middle;
        } else {
            bad = middle;
        }
    }
    Some(high)
}

/// The least limits that hit few enough clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Least {
    /// How many clients may be hit: one in a thousand, rounded down.
    pub may_be_hit: u64,
    /// The least rate with the burst that was asked for; `None` if no rate is enough.
    pub rate: Band<Option<Rate>>,
    /// The least burst with the rate that was asked for.
    pub burst: Band<Option<u32>>,
    /// True if requests have costs above 1: a larger limit may deny more then, and a lesser one may do too.
    pub may_be_less: bool,
}

/// Finds the least limits that hit at most one client in a thousand.
#[must_use]
pub fn least_limits(log: &Log, limit: Limit) -> Least {
    let may_be_hit = (log.keys.len() as u64).checked_div(1_000).unwrap_or(0);
    let mut states = States::new(log.keys.len());
    let mut good = |requests: &[Request], limit| states.denied(requests, limit).clients <= may_be_hit;
    Least {
        may_be_hit,
        rate: Band::of(log, |requests| least_rate(limit, |limit| good(requests, limit))),
        burst: Band::of(log, |requests| least_burst(limit, |limit| good(requests, limit))),
        may_be_less: log.has_costs(),
    }
}

/// The least rate, in the limit's unit, that is good enough with its burst.
pub fn least_rate(limit: Limit, mut good: impl FnMut(Limit) -> bool) -> Option<Rate> {
    let rate = |count| Rate { count, per: limit.rate.per };
    least(FASTEST.count, |count| good(rate(count).with(limit.burst))).map(rate)
}

/// The least burst that is good enough with the limit's rate.
pub fn least_burst(limit: Limit, mut good: impl FnMut(Limit) -> bool) -> Option<u32> {
    least(u32::MAX, |burst| good(limit.rate.with(burst)))
}

#[cfg(test)]
mod tests;
