//! What the script decides.

use std::{collections::HashMap, num::NonZeroU32, ops::Range, sync::atomic::Ordering, time::Duration};

use redis::aio::ConnectionLike;
use steadfast::{
    Gcra, Instant,
    rate_limiter::{GcraState, Quota},
};
use steadfast_redis::{By, Engine, SharedRateLimiter, WhenDown};

use crate::{
    scale,
    server::Server,
    told::{Told, at_given_time},
};

pub(crate) const PATIENT: Duration = Duration::from_secs(60);

pub(crate) fn patient<C: ConnectionLike + Clone + Send + Sync + 'static>(connection: C) -> Engine {
    Engine::builder(connection).timeout(PATIENT).on_failure(|failure| eprintln!("{failure}")).build()
}

/// A limiter that asks the engine each time.
pub(crate) fn asking(engine: &Engine, name: &str, quota: Gcra) -> SharedRateLimiter {
    SharedRateLimiter::builder(engine, name, quota).when_down(WhenDown::Deny).max_denial(Duration::ZERO).build()
}

/// How many are allowed until one is denied, all by the engine.
pub(crate) async fn drain(limiter: &SharedRateLimiter, key: &str) -> u64 {
    for allowed in 0.. {
        let verdict = limiter.allow(key).await;
        assert_eq!(verdict.by, By::Engine);
        if !verdict.is_allowed() {
            return allowed;
        }
    }
    unreachable!()
}

/// `SplitMix64`: the same calls each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) const fn roll(&mut self, range: Range<u64>) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        range.start + (mixed ^ (mixed >> 31)) % (range.end - range.start)
    }
}

/// 100,000 random calls, a million in the long form: several quotas on each key, several keys as one decision, a clock that
/// stands, goes and steps back. Each verdict of the core's, to the nanosecond, from what the script says was owed.
pub(crate) async fn the_script_decides_as_the_core_does() {
    const KEYS: u64 = 40;
    const BATCH: usize = 1_000;
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let script = at_given_time();
    let hash: String = redis::cmd("SCRIPT").arg("LOAD").arg(&script).query_async(&mut connection).await.unwrap();
    let mut dice = Dice(7);
    let quotas: Vec<_> = (0..8).map(|_| (dice.roll(1..2_000_000_000), dice.roll(1..200) as u32)).collect();
    let mut states: HashMap<u64, GcraState> = HashMap::new();
    let (mut now, mut allowed, mut carried) = (1_000_000_000_000_i64, 0, 0);
    let calls = scale(100_000, 1_000_000);
    for _ in 0..calls / BATCH {
        let (mut pipeline, mut batch) = (redis::pipe(), Vec::new());
        for _ in 0..BATCH {
            now += match dice.roll(0..10) {
                0 => -(dice.roll(0..5_000_000) as i64),
                1 => dice.roll(0..3_000_000) as i64,
                _ => dice.roll(0..20_000) as i64,
            };
            let mut asked = HashMap::new();
            for _ in 0..dice.roll(1..4) {
                let (key, quota) = (dice.roll(0..KEYS), dice.roll(0..8) as usize);
                let cost = dice.roll(1..8) as u32;
                asked.insert(key, (quota, cost.min(quotas[quota].1)));
            }
            let asked: Vec<_> = asked.into_iter().collect();
            let command = pipeline.cmd("EVALSHA").arg(&hash).arg(asked.len());
            asked.iter().for_each(|(key, _)| _ = command.arg(format!("key {key}")));
            for (_, (quota, cost)) in &asked {
                command.arg(quotas[*quota].0).arg(quotas[*quota].1).arg(cost);
            }
            command.arg(now);
            batch.push((asked, Instant::from_micros(now as u64)));
        }
        let replies: Vec<Vec<u64>> = pipeline.query_async(&mut connection).await.unwrap();
        for ((asked, now), reply) in batch.into_iter().zip(replies) {
            let each = || {
                asked.iter().zip(&reply[1..]).map(|((key, (quota, cost)), owed)| {
                    let (interval, burst) = quotas[*quota];
                    let quota = Gcra::every(Duration::from_nanos(interval)).burst(burst);
                    (*key, quota, NonZeroU32::new(*cost).unwrap(), *owed)
                })
            };
            let mut is_allowed = true;
            for (key, quota, cost, owed) in each() {
                let state = states.entry(key).or_default();
                carried += u64::from(state.debt() > Duration::ZERO && state.interval() != quota.interval());
                let expected = state.check(&quota, cost, now).unwrap();
                let of_script = GcraState::new(Duration::from_nanos(owed), now, quota.interval());
                assert_eq!(of_script.check(&quota, cost, now), Ok(expected));
                is_allowed &= expected.is_allowed();
            }
            assert_eq!(reply[0] == 1, is_allowed);
            for (key, quota, cost, _) in each() {
                let state = states.get_mut(&key).unwrap();
                if is_allowed {
                    assert!(state.allow(&quota, cost, now).unwrap().is_allowed());
                    allowed += 1;
                } else if now < state.at() {
                    // A denial notes a step back, and no other.
                    *state = GcraState::new(state.debt(), now, state.interval());
                }
            }
        }
    }
    assert!(allowed > calls / 10 && carried > calls as u64 / 10, "{allowed} allowed, {carried} by another quota");
    for (key, state) in states {
        let kept: Option<String> =
            redis::cmd("GET").arg(format!("key {key}")).query_async(&mut connection).await.unwrap();
        let numbers = (state.debt().as_nanos(), state.at().as_nanos() / 1_000, state.interval().as_nanos());
        if let Some(kept) = kept {
            assert_eq!(kept, format!("{} {} {}", numbers.0, numbers.1, numbers.2));
        } else {
            assert_eq!(numbers.0, 0);
        }
    }
}

/// Back by an hour: nothing is lost, nobody waits longer. Ahead: one burst.
pub(crate) async fn a_step_of_the_clock() {
    const HOUR: i64 = 3_600_000_000;
    let server = Server::start(&[]).await;
    let told = Told::new(server.connect().await);
    let engine = patient(told.clone());
    let limiter = asking(&engine, "api", Gcra::every(Duration::from_secs(600)).burst(100));
    assert_eq!(drain(&limiter, "a").await, 100);
    told.offset.fetch_sub(HOUR, Ordering::SeqCst);
    let denied = limiter.allow("a").await;
    assert!(!denied.is_allowed());
    assert!(denied.verdict.decision.retry_after(engine.now()).unwrap() <= Duration::from_secs(600));
    // It is paid back by the clock as it goes now.
    told.offset.fetch_add(600_000_000, Ordering::SeqCst);
    assert_eq!(drain(&limiter, "a").await, 1);
    told.offset.fetch_add(1_000 * HOUR, Ordering::SeqCst);
    assert_eq!(drain(&limiter, "a").await, 100);
}

/// Two versions of a quota at once, each asked as often as it allows.
pub(crate) async fn a_rolling_deploy_of_another_quota() {
    let server = Server::start(&[]).await;
    let engine = patient(server.connect().await);
    let interval = Duration::from_millis(2);
    let of = |burst| asking(&engine, "api", Gcra::every(interval).burst(burst));
    let (large, small) = (of(100), of(10));
    let (mut allowed, begin) = (0, server.now().await);
    for _ in 0..scale(500, 20_000) {
        allowed += u64::from(small.allow("a").await.is_allowed()) + u64::from(large.allow("a").await.is_allowed());
    }
    let elapsed = server.now().await - begin;
    assert!(allowed >= 100);
    assert!(allowed <= 100 + elapsed / interval.as_micros() as u64, "{allowed} in {elapsed} us");

    // What was used of one is used of the other.
    let of = |secs| Gcra::every(Duration::from_secs(secs)).burst(100);
    let (hour, day) = (of(3_600), of(86_400));
    assert_eq!(drain(&asking(&engine, "slow", hour), "b").await, 100);
    assert_eq!(drain(&asking(&engine, "slow", day), "b").await, 0);
    assert_eq!(drain(&asking(&engine, "slow", day.burst(105)), "b").await, 5);
}

/// Whoever is denied need not ask again; a smaller request may.
pub(crate) async fn a_denial_is_kept() {
    let server = Server::start(&[]).await;
    let engine = patient(server.connect().await);
    let quota = Gcra::per_hour(10);
    assert_eq!(quota.limit(), 10);
    let limiter = SharedRateLimiter::builder(&engine, "api", quota).when_down(WhenDown::Deny).build();
    let n = |cost| NonZeroU32::new(cost).unwrap();
    assert!(limiter.allow_n("a", n(8)).await.unwrap().is_allowed());
    assert_eq!(limiter.try_allow("a"), None);
    let denied = limiter.allow_n("a", n(5)).await.unwrap();
    assert_eq!((denied.by, denied.is_allowed(), denied.verdict.remaining), (By::Engine, false, 2));
    // A denial that has aged by a second meanwhile is asked for anew: on a slow machine that may be some of them.
    for _ in 0..100 {
        assert!(!limiter.allow_n("a", n(6)).await.unwrap().is_allowed());
    }
    assert!(limiter.stats().denial.denied > 0);
    let smaller = limiter.allow_n("a", n(2)).await.unwrap();
    assert_eq!((smaller.by, smaller.is_allowed(), smaller.verdict.remaining), (By::Engine, true, 0));
    assert!(limiter.allow_n("a", n(11)).await.is_err());
    let stats = limiter.stats();
    assert_eq!(stats.engine.allowed, 2);
    assert_eq!(stats.engine.denied + stats.denial.denied, 101);
    assert_eq!(
        engine.stats().answered,
        stats.engine.allowed + stats.engine.denied,
        "a denial that is kept asks nobody"
    );
}
