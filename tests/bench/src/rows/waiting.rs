//! Turns of a limiter without a burst, for which 32 tasks wait: by the clock on the wall, as often as the quota lets them.
//! And what it costs to wait where there is nothing to wait for.

use std::{
    num::NonZeroU32,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
    time::Instant,
};

use ahash::RandomState;
use governor::{Quota, RateLimiter as Governor};
use steadfast::{Gcra, RateLimiter};
use tokio::task::JoinSet;

use super::{Plan, count, limiter::AHASH};
use crate::{
    run::{
        Goal::{Faster, Within},
        Row,
    },
    slice::{Work, on_two_threads, repeat_async, runtime},
};

const WAITERS: usize = 32;
const KEY: u64 = 7;

pub(super) fn rows() -> Vec<Plan> {
    let plan = |(rate, turns, goal): (u32, _, f64)| {
        let goal = Faster(goal);
        Plan::new(format!("until allowed, 32 waiters, {} a second", count(rate as usize)), move || {
            Row::new(ours(rate)).peer("governor", goal, governor(rate)).hashing(AHASH).step(turns)
        })
    };
    let mut rows: Vec<_> = [(100, 64, 1.0), (1_000, 200, 1.1), (10_000, 2_000, 1.1)].into_iter().map(plan).collect();
    rows.push(Plan::new("until allowed, nothing to wait for", || {
        let (waited, asked) = (endless(), endless());
        Row::new(repeat_async(async move || waited.until_allowed(&KEY).await)).floor(
            "allow",
            Within(1.5),
            repeat_async(async move || assert!(asked.allow(&KEY).is_allowed())),
        )
    }));
    rows.push(Plan::new("until allowed, nothing to wait for, 2 threads", || {
        let (waited, asked) = (endless(), endless());
        let wait = move || {
            let mut waiting = pin!(waited.until_allowed(&KEY));
            assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        };
        Row::new(Box::new(move |n| on_two_threads(n, |_, n| (0..n).for_each(|_| wait())))).floor(
            "allow",
            Within(1.5),
            Box::new(move |n| on_two_threads(n, |_, n| (0..n).for_each(|_| assert!(asked.allow(&KEY).is_allowed())))),
        )
    }));
    rows
}

fn endless() -> RateLimiter<u64, Gcra> {
    RateLimiter::builder(Gcra::per_second(1_000_000_000)).build()
}

fn ours(rate: u32) -> Work {
    let limiter = RateLimiter::<u64, _>::builder(Gcra::per_second(rate).burst(1)).build();
    turns(move || {
        let limiter = limiter.clone();
        async move { limiter.until_allowed(&KEY).await }
    })
}

fn governor(rate: u32) -> Work {
    let quota = Quota::per_second(NonZeroU32::new(rate).unwrap()).allow_burst(NonZeroU32::MIN);
    let limiter = Arc::new(Governor::dashmap_with_hasher(quota, RandomState::new()));
    turns(move || {
        let limiter = limiter.clone();
        async move { limiter.until_key_ready(&KEY).await }
    })
}

fn turns<F>(wait: impl Fn() -> F + Clone + Send + 'static) -> Work
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = runtime();
    Box::new(move |n| {
        let left = Arc::new(AtomicU64::new(n));
        let start = Instant::now();
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..WAITERS {
                let (left, wait) = (left.clone(), wait.clone());
                tasks.spawn(async move {
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                        wait().await;
                    }
                });
            }
            tasks.join_all().await;
        });
        start.elapsed()
    })
}
