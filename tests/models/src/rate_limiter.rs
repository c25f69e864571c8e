//! The rate limiter against naive references, under hostile clocks and full tables.

use core::{num::NonZeroU32, time::Duration};
use std::collections::HashMap;

use steadfast_core::{
    Gcra, HashSeed, Instant, RateLimiter, SlidingLog,
    foundation::storage::{Allocate, Storage},
    rate_limiter::{
        CostExceedsBurst, Decision, Enforce, OnFull, PerKey, Percent, Quota, RateLimiterIn, RateLimiterStats, Verdict,
    },
};

use crate::Script;

pub const SECOND: u64 = 1_000_000_000;

/// One request: a key, a cost, and how the clock moved before it.
#[derive(Clone, Debug)]
pub struct Request {
    pub key: u8,
    pub cost: NonZeroU32,
    pub step: i64,
}

/// The log of one key as anybody would write it: all that was counted, a clock that stepped back clamps it.
#[derive(Default)]
struct NaiveLog(Vec<u64>);

impl NaiveLog {
    fn clamp(&mut self, now: u64) {
        self.0.iter_mut().for_each(|at| *at = (*at).min(now));
    }

    fn allow(&mut self, max: usize, window: u64, cost: usize, now: u64) -> bool {
        self.clamp(now);
        self.0.retain(|at| now - *at < window);
        let allowed = self.0.len() + cost <= max;
        if allowed {
            self.0.extend(std::iter::repeat_n(now, cost));
        }
        allowed
    }
}

fn moved(now: u64, step: i64) -> u64 {
    now.saturating_add_signed(step).min(1 << 63) // time has an end, but nobody gets there
}

/// Plays one of the games below.
pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    match script.below(9) {
        0 => sliding_log(requests(script, 4, i64::MAX)),
        1 => gcra(requests(script, 3, 0)),
        2 => {
            let before = 1 + script.below(3 * SECOND - 1);
            exact_denials(requests(script, 2, 20 * SECOND as i64), before);
        }
        3 => stepping_clock(requests(script, 1, 315_360_000 * SECOND as i64)),
        4 => told_comes_true(requests(script, 9, 20 * SECOND as i64)),
        5 => {
            let changes = script.list(12, |script| {
                let (interval, burst) = (script.nanos() >> 24, 1 + script.below(200) as u32);
                Change { interval, burst, asks: script.below(50) as u32, step: script.below(3 * SECOND) }
            });
            quota_changes(changes);
        }
        6 => {
            let on_full = ON_FULL[script.below(3) as usize];
            let shares = script.list(4, |script| script.below(1_002) as u16);
            observed(requests(script, 12, 20 * SECOND as i64), on_full, &shares);
        }
        7 => {
            let plans = script.list(4, |script| script.below(7) as u8);
            own_quotas(&requests(script, 12, 20 * SECOND as i64), &plans);
        }
        _ => {
            let on_full = if script.flag() { OnFull::Allow } else { OnFull::Deny };
            full_table(requests(script, 12, 0), on_full);
        }
    }
}

fn requests(script: &mut Script<'_>, keys: u64, most_back: i64) -> Vec<Request> {
    script.list(40, |script| {
        let key = script.below(keys) as u8;
        let cost = NonZeroU32::new(1 + script.below(3) as u32).expect("at least one");
        let step = match script.weighted(&[(8, 0), (2, 1), (1, 2), (1, 3)]) {
            0 => script.below(3 * SECOND) as i64,
            1 => SECOND as i64,
            2 => script.below(most_back as u64 + 1) as i64,
            _ => -(script.below(most_back as u64 + 1) as i64),
        };
        Request { key, cost, step }
    })
}

pub fn sliding_log(requests: Vec<Request>) {
    let mut limiter: RateLimiter<u8, SlidingLog<4>, 4> = RateLimiter::new(SlidingLog::new(Duration::from_secs(5)));
    let mut model: HashMap<u8, NaiveLog> = HashMap::new();
    let mut now = 1_000 * SECOND;
    let (mut asked, mut allowed) = (0, 0);
    let mut latest = 0;
    for Request { key, cost, step } in requests {
        now = moved(now, step);
        let at = Instant::from_nanos(now);
        if now + SECOND < latest {
            // Whoever asks, the clock has stepped back for all.
            model.values_mut().for_each(|log| log.clamp(now));
            latest = now;
        }
        latest = latest.max(now);
        let expected = model.entry(key).or_default().allow(4, 5 * SECOND, cost.get() as usize, now);
        let decision = limiter.allow_n(&key, cost, at).expect("it fits");
        assert_eq!(decision.is_allowed(), expected);
        if let Decision::Deny { retry_at } = decision {
            assert!(retry_at > at && retry_at <= at.saturating_add(Duration::from_secs(5)));
        }
        asked += 1;
        allowed += u64::from(expected);
        assert_eq!(limiter.stats().allowed, allowed);
        assert_eq!(limiter.stats().denied, asked - allowed);
    }
}

pub fn gcra(requests: Vec<Request>) {
    let quota = Gcra::per(2, Duration::from_secs(3)).burst(4);
    let interval = u64::try_from(quota.interval().as_nanos()).expect("short");
    let mut limiter: RateLimiter<u8, Gcra, 3> = RateLimiter::new(quota);
    let mut model: HashMap<u8, u128> = HashMap::new();
    let mut now = 1_000 * SECOND;
    for Request { key, cost, step } in requests {
        now = moved(now, step);
        let whole_at = model.entry(key).or_insert(0);
        let wanted = (*whole_at).max(u128::from(now)) + u128::from(cost.get()) * u128::from(interval);
        let expected = wanted <= u128::from(now) + 4 * u128::from(interval);
        if expected {
            *whole_at = wanted;
        }
        let decision = limiter.allow_n(&key, cost, Instant::from_nanos(now)).expect("it fits");
        assert_eq!(decision.is_allowed(), expected);
    }
}

/// Safety and liveness at once: denied at every instant before `retry_at`, allowed at it.
pub fn exact_denials(requests: Vec<Request>, before: u64) {
    let mut gcra: RateLimiter<u8, Gcra, 2> = RateLimiter::new(Gcra::per_second(1).burst(3));
    let mut log: RateLimiter<u8, SlidingLog<3>, 2> = RateLimiter::new(SlidingLog::per_second());
    let mut now = 1_000 * SECOND;
    for Request { key, cost, step } in requests {
        now = moved(now, step);
        let at = Instant::from_nanos(now);
        if let Decision::Deny { retry_at } = gcra.allow_n(&key, cost, at).expect("it fits") {
            let early = retry_at.saturating_sub(Duration::from_nanos(before)).max(at);
            assert!(!gcra.allow_n(&key, cost, early).expect("it fits").is_allowed());
            assert!(gcra.allow_n(&key, cost, retry_at).expect("it fits").is_allowed());
            now = retry_at.as_nanos();
        }
        let at = Instant::from_nanos(now);
        if let Decision::Deny { retry_at } = log.allow_n(&key, cost, at).expect("it fits") {
            let early = retry_at.saturating_sub(Duration::from_nanos(before)).max(at);
            assert!(!log.allow_n(&key, cost, early).expect("it fits").is_allowed());
            assert!(log.allow_n(&key, cost, retry_at).expect("it fits").is_allowed());
            now = retry_at.as_nanos();
        }
    }
}

/// A stepping clock: at most one extra burst a backward step, no stall longer than a burst, no panic.
pub fn stepping_clock(requests: Vec<Request>) {
    let mut limiter: RateLimiter<u8, Gcra, 1> = RateLimiter::new(Gcra::per_second(1).burst(3));
    let mut now = 4_000_000_000 * SECOND;
    let (mut granted, mut forward, mut steps_back) = (0_u64, 0_u64, 0_u64);
    for Request { cost, step, .. } in requests {
        steps_back += u64::from(step < 0);
        forward += u64::try_from(step).unwrap_or(0);
        now = moved(now, step);
        match limiter.allow_n(&0, cost, Instant::from_nanos(now)).expect("it fits") {
            Decision::Allow => granted += u64::from(cost.get()),
            Decision::Deny { retry_at } => assert!(retry_at.as_nanos() <= now + 3 * SECOND),
        }
        assert!(granted <= 3 + forward / SECOND + steps_back * 3, "{} granted", granted);
    }
}

/// More keys than entries: no key is ever allowed more than its quota, whatever is evicted; until then, all that it has.
pub fn full_table(requests: Vec<Request>, on_full: OnFull) {
    let mut limiter: RateLimiter<u8, SlidingLog<4>, 4> =
        RateLimiter::new(SlidingLog::new(Duration::from_secs(5))).with_on_full(on_full);
    let mut allowed: HashMap<u8, Vec<u64>> = HashMap::new();
    let mut now = 1_000 * SECOND;
    for Request { key, cost, step } in requests {
        now = moved(now, step);
        let at = Instant::from_nanos(now);
        let decision = limiter.allow_n(&key, cost, at).expect("it fits");
        let of_key = allowed.entry(key).or_default();
        of_key.retain(|at| now - *at < 5 * SECOND);
        let alone = of_key.len() + cost.get() as usize <= 4;
        let stats = limiter.stats();
        if stats.unlimited == 0 {
            assert!(alone || !decision.is_allowed(), "more than its quota");
        } else {
            assert_eq!(on_full, OnFull::Allow);
        }
        if stats.evicted == 0 && stats.overflowed == 0 {
            // Liveness: as if alone.
            assert_eq!(decision.is_allowed(), alone);
        }
        if decision.is_allowed() {
            of_key.extend(std::iter::repeat_n(now, cost.get() as usize));
        }
        assert!(limiter.len() <= 4);
    }
}

/// What was asked for before, and the answer to one more request.
fn replayed<A: Quota + Clone>(
    quota: &A,
    asked: &[(u8, NonZeroU32, Instant, bool)],
    then: (u8, NonZeroU32, Instant, bool),
) -> Result<Decision, CostExceedsBurst> {
    let mut limiter: RateLimiter<u8, A, 4> = RateLimiter::new(quota.clone());
    let mut answer = Ok(Decision::Allow);
    for (key, cost, at, counts) in asked.iter().chain([&then]) {
        let checked = limiter.check_n(key, *cost, *at);
        answer = if *counts { limiter.allow_n(key, *cost, *at) } else { checked };
        assert_eq!(answer, checked, "a check says what is then decided");
    }
    answer
}

/// In a full table too, after steps of the clock, and for those who only check: whoever comes back when it was told is
/// allowed if nobody else came, and nobody is told to wait for longer than the quota takes.
pub fn told_comes_true(requests: Vec<Request>) {
    told(&Gcra::per_second(1).burst(3), 3 * SECOND, &requests);
    told(&SlidingLog::<3>::per_second(), SECOND, &requests);
}

fn told<A: Quota + Clone>(quota: &A, longest: u64, requests: &[Request]) {
    let mut asked = Vec::new();
    let mut now = 1_000 * SECOND;
    for (index, Request { key, cost, step }) in requests.iter().enumerate() {
        now = moved(now, *step);
        let (at, counts) = (Instant::from_nanos(now), index % 4 > 0);
        let answer = replayed(quota, &asked, (*key, *cost, at, counts));
        asked.push((*key, *cost, at, counts));
        if let Decision::Deny { retry_at } = answer.expect("it fits") {
            // A small step back may be a late reader's: then it is as long as it was for the others.
            assert!(retry_at > at && retry_at.as_nanos() <= now + longest + SECOND, "{:?} at {:?}", retry_at, at);
            let before = retry_at.saturating_sub(Duration::from_nanos(1)).max(at);
            for (time, is_allowed) in [(before, false), (retry_at, true)] {
                let answer = replayed(quota, &asked, (*key, *cost, time, true));
                assert_eq!(answer.expect("it fits").is_allowed(), is_allowed, "{:?}, told {:?}", time, retry_at);
            }
        }
    }
}

/// Another quota, after so many requests, so many nanoseconds later.
#[derive(Clone, Debug)]
pub struct Change {
    pub interval: u64,
    pub burst: u32,
    pub asks: u32,
    pub step: u64,
}

/// Whatever the quota becomes: who has used so much has used as much, or all that there is; rounding takes one request at
/// most; and all is there again after the time that the new quota takes.
pub fn quota_changes(changes: Vec<Change>) {
    let mut limiter: RateLimiter<u8, Gcra, 2> = RateLimiter::new(Gcra::per_second(100));
    let mut now = Instant::from_secs(1_000);
    for Change { interval, burst, asks, step } in changes {
        now = now.saturating_add(Duration::from_nanos(step));
        let limit = limiter.quota().limit();
        let was_left = limiter.remaining(&0, now);
        let allowed = (0..asks).filter(|_| limiter.allow(&0, now).is_allowed()).count() as u32;
        if !limiter.quota().interval().is_zero() {
            assert_eq!(allowed, asks.min(was_left));
        }
        let used = limit - limiter.remaining(&0, now);
        let quota = Gcra::every(Duration::from_nanos(interval)).burst(burst);
        limiter.set_quota(quota, now);
        let after = burst - limiter.remaining(&0, now);
        if interval > 0 {
            assert!(after >= used.min(burst) && after <= used + 1, "{} used, then {} of {}", used, after, burst);
        }
        let whole = now.saturating_add(Duration::from_nanos(interval) * burst);
        assert!(limiter.reset_at(&0, now) <= whole);
    }
}

pub const ON_FULL: [OnFull; 3] = [OnFull::Deny, OnFull::Serve, OnFull::Allow];

/// Four slots that pass for memory of run-time size: what only that has, beside what arrays decide.
struct Four;

impl Storage for Four {
    type Of<T> = [T; 4];
    type Lines<T> = [T; 4];
    type Extra<T> = [T; 1];
    type Link = u16;
}

impl Allocate for Four {
    fn allocate<T>(_len: usize, mut fill: impl FnMut() -> T) -> [T; 4] {
        [(); 4].map(|()| fill())
    }

    fn allocate_lines<T: Copy>(_len: usize, slot: T, _beyond: T) -> [T; 4] {
        [slot; 4]
    }

    fn extra<T>(value: T) -> [T; 1] {
        [value]
    }
}

/// A limiter that is not always enforced, beside a twin that is and is asked the same: both hold the same, whoever is denied
/// by the twin is denied or let through and counted, and a key is enforced from some share on. The shares, in parts of a
/// thousand, take turns; 0 observes all, and above 1,000 all are enforced.
pub fn observed(requests: Vec<Request>, on_full: OnFull, shares: &[u16]) {
    let per_second = Gcra::per_second(1).burst(2);
    let per_window = SlidingLog::<2>::new(Duration::from_secs(5));
    observed_beside(per_second, &requests, on_full, shares);
    observed_beside(per_window, &requests, on_full, shares);
    observed_beside((per_second, per_window), &requests, on_full, shares);
    observed_beside(SlidingLog::<0>::per_second(), &requests, on_full, shares);
}

fn observed_beside<A>(quota: A, requests: &[Request], on_full: OnFull, shares: &[u16])
where
    A: Quota<Beside: core::fmt::Debug, Count: core::fmt::Debug> + Clone + core::fmt::Debug,
{
    let mut twin: RateLimiter<u8, A, 4> = RateLimiter::new(quota.clone()).with_on_full(on_full);
    let limiter = RateLimiterIn::<u8, A, Four>::allocate(quota, 4, 4, HashSeed::FIXED);
    let mut limiter = limiter.with_on_full(on_full);
    // Of each key, the largest share at which it was let through, and the least at which it was denied.
    let mut seen: HashMap<u8, (u16, u16)> = HashMap::new();
    let mut now = 1_000 * SECOND;
    for (index, Request { key, cost, step }) in requests.iter().enumerate() {
        now = moved(now, *step);
        let at = Instant::from_nanos(now);
        let share = shares.get(index / 8 % shares.len().max(1)).copied().unwrap_or(0);
        limiter.set_enforce(match share {
            0 => Enforce::Observe,
            _ => Percent::try_from_permille(share).map_or(Enforce::Yes, Enforce::Percent),
        });
        let (enforced, checked) = (twin.check_verdict(key, *cost, at), limiter.check_verdict(key, *cost, at));
        let is_denied = !enforced.is_ok_and(Verdict::is_allowed);
        let is_overridden = is_denied && checked.is_ok_and(Verdict::is_allowed);
        if let (Ok(enforced), Ok(mut told)) = (enforced, checked) {
            if is_overridden {
                told.decision = enforced.decision;
                told.overridden = false;
            }
            assert_eq!(told, enforced, "the same is told, but for the decision");
        } else if !is_overridden {
            assert_eq!(checked, enforced);
        }
        assert_eq!(checked.is_ok_and(|checked| checked.overridden), is_overridden);
        if is_denied {
            let (passed, denied) = seen.entry(*key).or_insert((0, 1_001));
            if is_overridden {
                *passed = share.max(*passed);
            } else {
                *denied = share.min(*denied);
            }
            assert!(passed < denied, "{key} was let through at {passed} and denied at {denied}");
        }
        let by_twin = twin.allow_n(key, *cost, at);
        let decision = if index % 2 == 0 {
            limiter.allow_n(key, *cost, at)
        } else {
            let verdict = limiter.allow_verdict(key, *cost, at);
            assert_eq!(verdict.is_ok_and(|verdict| verdict.overridden), is_overridden);
            verdict.map(|verdict| verdict.decision)
        };
        assert_eq!(decision, if is_overridden { Ok(Decision::Allow) } else { by_twin });
        if index % 3 == 0 && !is_denied {
            assert_eq!(twin.refund(key, *cost, at), limiter.refund(key, *cost, at));
        }
        assert_eq!(format!("{limiter:?}"), format!("{twin:?}"), "what they hold");
        let (of_twin, stats) = (twin.stats(), limiter.stats());
        assert_eq!(
            (stats.allowed - stats.overridden, stats.denied + stats.overridden),
            (of_twin.allowed, of_twin.denied)
        );
        let others = |stats: RateLimiterStats| {
            (stats.overflowed, stats.reused, stats.evicted, stats.refused, stats.unlimited, stats.refunded)
        };
        assert_eq!(others(stats), others(of_twin));
    }
}

/// How a plan counts: its pace in units of 600 ms, and its burst.
const PLANS: [(u64, u32); 7] = [(1, 6), (2, 3), (3, 1), (4, 5), (5, 2), (6, 4), (10, 3)];
const PACE: u64 = 600_000_000;

/// What a key owes by exact arithmetic: a request is so many units that paces of any plan divide.
#[derive(Clone, Copy, Default)]
struct Owing {
    units: u64,
    at: u64,
    drain: u64,
}

impl Owing {
    const REQUEST: u64 = 60 * PACE;

    fn left(self, now: u64) -> u64 {
        self.units.saturating_sub(self.drain.saturating_mul(now - self.at))
    }

    /// How long until a request is allowed, if it is not now.
    fn wait(self, (_, burst): (u64, u32), cost: u32, now: u64) -> Option<u64> {
        let room = u64::from(burst - cost) * Self::REQUEST;
        let excess = self.left(now).saturating_sub(room);
        (excess > 0).then(|| excess.div_ceil(self.drain))
    }

    fn charge(&mut self, (pace, _): (u64, u32), cost: u32, now: u64) {
        let units = self.left(now) + u64::from(cost) * Self::REQUEST;
        *self = Self { units, at: now, drain: 60 / pace };
    }

    fn refund(&mut self, cost: u32, now: u64) {
        let units = self.left(now).saturating_sub(u64::from(cost) * Self::REQUEST);
        *self = Self { units, at: now, ..*self };
    }

    fn remaining(self, (_, burst): (u64, u32), now: u64) -> u32 {
        burst.saturating_sub(u32::try_from(self.left(now).div_ceil(Self::REQUEST)).unwrap_or(u32::MAX))
    }
}

/// Quotas that come with the call, others for each key and each time: never more than exact arithmetic allows, in a full
/// table and after steps of the clock too; and until then just that, with what remains, and when to come back.
pub fn own_quotas(requests: &[Request], plans: &[u8]) {
    let quota = |(pace, burst)| Gcra::every(Duration::from_nanos(pace * PACE)).burst(burst).per_key();
    own_quotas_of(requests, plans, |[of, _]| quota(of), 1);
    own_quotas_of(requests, plans, |[of, other]| (quota(of), quota(other)), 2);
}

fn own_quotas_of<A: PerKey>(requests: &[Request], plans: &[u8], quota: impl Fn([(u64, u32); 2]) -> A, parts: usize) {
    let mut limiter: RateLimiter<u8, A, 4> = RateLimiter::new(quota([PLANS[0]; 2]));
    let mut exact: HashMap<u8, [Owing; 2]> = HashMap::new();
    // For the exact one the clock stands still while it steps back.
    let (mut now, mut passed, mut is_exact) = (1_000 * SECOND, 0, true);
    for (index, Request { key, cost, step }) in requests.iter().enumerate() {
        // Instants at which all that is owed is whole nanoseconds, and none that might be a late reading.
        let span = step.unsigned_abs() / 60 * 60;
        if *step < 0 {
            is_exact = false;
            now = now.saturating_sub(span + 2 * SECOND);
        } else {
            now = (now + span).min(1 << 62);
            passed += span;
        }
        let at = Instant::from_nanos(now);
        let plan = usize::from(plans.get(index % plans.len().max(1)).copied().unwrap_or(0)) + usize::from(*key);
        let of = [PLANS[plan % PLANS.len()], PLANS[(plan + index) % PLANS.len()]];
        let least = of[..parts].iter().map(|(_, burst)| *burst).min().expect("one at least");
        let asked = quota(of);
        let checked = limiter.check_with_quota(key, asked, *cost, at);
        let verdict = limiter.allow_with_quota(key, asked, *cost, at);
        assert_eq!(limiter.check(key, at), limiter.check_n(key, NonZeroU32::MIN, at).expect("it fits"));
        let owing = exact.entry(*key).or_default();
        let Ok(verdict) = verdict else {
            assert!(cost.get() > least && checked.is_err(), "it fits");
            continue;
        };
        assert_eq!(checked.expect("it fits").decision, verdict.decision);
        let each = || owing[..parts].iter().zip(of);
        let wait = each().filter_map(|(owing, of)| owing.wait(of, cost.get(), passed)).max();
        assert!(!(verdict.is_allowed() && wait.is_some()), "more than its quota");
        let stats = limiter.stats();
        is_exact &= stats.evicted == 0 && stats.overflowed == 0;
        if let Some(retry_at) = verdict.retry_at() {
            let longest =
                PLANS.iter().map(|(pace, burst)| pace * PACE * u64::from(*burst)).max().expect("there are some");
            assert!(retry_at > at && retry_at.as_nanos() <= now + longest + SECOND, "{retry_at:?} at {at:?}");
        }
        if is_exact {
            let retry_at = wait.map(|wait| Instant::from_nanos(now + wait));
            assert_eq!(verdict.retry_at(), retry_at);
        }
        if verdict.is_allowed() {
            owing[..parts].iter_mut().zip(of).for_each(|(owing, of)| owing.charge(of, cost.get(), passed));
        }
        if is_exact {
            let remaining = owing[..parts].iter().zip(of).map(|(owing, of)| owing.remaining(of, passed)).min();
            assert_eq!(Some(verdict.remaining), remaining);
        }
        if index % 5 == 4 && limiter.refund(key, *cost, at) {
            owing[..parts].iter_mut().for_each(|owing| owing.refund(cost.get(), passed));
        }
    }
}
