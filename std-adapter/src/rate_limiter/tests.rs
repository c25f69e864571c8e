use core::{
    future::Future,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::Context,
    time::Duration,
};
use std::{sync::Arc, task::Wake, thread};

use steadfast_core::test_util::ManualClock;

use super::*;
use crate::{
    rate_limiter::{Gcra, SlidingLog},
    runtime::block_on,
};

#[test]
fn it_is_shared_between_threads_and_counts_exactly() {
    let limiter = RateLimiter::<u64, _>::builder(SlidingLog::<100>::per_hour()).capacity(100_000).build();
    let allowed: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..4_000_u64).filter(|i| limiter.allow(&(i % 10)).is_allowed()).count()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(allowed, 10 * 100);
    let stats = limiter.stats();
    assert_eq!((stats.allowed, stats.allowed + stats.denied), (1_000, 16_000));
    assert_eq!(limiter.len(), 10);
}

#[test]
fn threads_in_each_others_way_get_no_more_than_the_rate() {
    let limiter = RateLimiter::<u64, _>::builder(Gcra::per_second(1_000).burst(10)).build();
    let start = limiter.now();
    let allowed: u32 = thread::scope(|scope| {
        let ask = || (0..50_000).map(|_| u32::from(limiter.allow(&1).is_allowed())).sum::<u32>();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let most = 10 + limiter.now().saturating_duration_since(start).as_millis() + 1;
    assert!(u128::from(allowed) <= most, "{allowed} of at most {most}");
}

#[test]
fn a_large_limiter_holds_its_keys_and_no_flood_grows_it() {
    for capacity in [69, 255, 256, 1_000, 10_000] {
        let limiter = RateLimiter::<u64, _>::builder(Gcra::per_hour(1)).capacity(capacity).build();
        assert!((0..capacity as u64).all(|key| limiter.allow(&key).is_allowed()));
        assert_eq!((limiter.len(), limiter.stats().overflowed, limiter.stats().evicted), (capacity, 0, 0));
        (0..100_000).for_each(|key| _ = limiter.allow(&key));
        assert!((0..capacity as u64).all(|key| !limiter.allow(&key).is_allowed()), "a flood reset a known key");
        assert!(limiter.len() <= limiter.capacity() && limiter.capacity() <= 3 * capacity);
        let stats = limiter.stats();
        assert_eq!(stats.allowed + stats.denied, 100_000 + 2 * capacity as u64);
        // Each entry, and each cell, gives one.
        let most = limiter.capacity() + 4 * capacity + 4 * 256;
        assert!(stats.allowed > 4 * capacity as u64 && stats.allowed <= most as u64, "{stats:?}");
    }
}

#[test]
fn a_small_limiter_holds_exactly_its_capacity() {
    for capacity in [1, 4, 67, 68] {
        let limiter = RateLimiter::<u64, _>::builder(Gcra::per_hour(1)).capacity(capacity).ledger(0).build();
        assert!((0..capacity as u64).all(|key| limiter.allow(&key).is_allowed()));
        assert!(!limiter.allow(&1_000).is_allowed());
        assert_eq!((limiter.len(), limiter.capacity()), (capacity, capacity));
    }
}

/// A key that asks its own limiter whenever it is cloned or dropped.
struct Touchy(u8, Arc<std::sync::OnceLock<RateLimiter<Self, Gcra, SystemTimer, Keys>>>);

impl Eq for Touchy {}

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Hash for Touchy {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        let _ = self.1.get().map(|limiter| limiter.len());
        Self(self.0, self.1.clone())
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        let _ = self.1.get().map(|limiter| limiter.stats());
    }
}

#[test]
fn found_a10_keys_are_cloned_and_dropped_outside_the_lock() {
    let (done, is_done) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let cell = Arc::default();
        let key = |number| Touchy(number, Arc::clone(&cell));
        // One whose quota is whole again at once, and one that never lets anybody in.
        let limiter = RateLimiter::builder(Gcra::every(Duration::from_nanos(1))).capacity(1).keep_keys().build();
        let _ = cell.set(limiter.clone());
        for number in 0..100 {
            while !limiter.allow(&key(number)).is_allowed() {}
        }
        let _ = limiter.allow_verdict(&key(101), NonZeroU32::MIN);
        let _ = limiter.allow_at(&key(102), limiter.now());
        limiter.reset(&key(102));
        limiter.set_quota(Gcra::every(Duration::MAX));
        (0..100).for_each(|number| assert!(!limiter.allow(&key(number)).is_allowed()));
        limiter.set_quota(Gcra::every(Duration::ZERO));
        assert!(limiter.allow(&key(7)).is_allowed());
        assert_eq!(limiter.cleanup(), 1);
        done.send(()).unwrap();
    });
    assert!(is_done.recv_timeout(Duration::from_secs(60)).is_ok(), "a key waits for its own limiter");
}

#[test]
fn found_a3_what_was_counted_stays_counted_in_every_shard() {
    let limiter = RateLimiter::<u64, _>::builder(Gcra::per_hour(100)).capacity(10_000).build();
    (0..1_000).for_each(|key| (0..=key % 100).for_each(|_| assert!(limiter.allow(&key).is_allowed())));
    limiter.set_quota(Gcra::per(100, Duration::from_secs(86_400)));
    (0..1_000).for_each(|key| assert_eq!(u64::from(limiter.remaining(&key)), 99 - key % 100));
}

/// A log of 160 kB a key, on the stack of a thread as the standard library makes it.
#[test]
fn found_a13_a_long_log_fits_the_stack_of_a_thread() {
    let small = thread::Builder::new().stack_size(2 << 20).spawn(|| {
        let limiter = RateLimiter::<u64, _>::builder(SlidingLog::<20_000>::per_hour()).capacity(3).build();
        (0..4).for_each(|key| assert!(limiter.allow(&key).is_allowed()));
        limiter.set_quota(SlidingLog::per_minute());
        assert!(limiter.refund(&1, NonZeroU32::MIN) && limiter.reset(&2) && limiter.check(&4).is_allowed());
    });
    small.unwrap().join().unwrap();
}

#[test]
fn text_keys_are_looked_up_borrowed() {
    let limiter = RateLimiter::<String, _>::builder(Gcra::per_hour(2)).keep_keys().build();
    assert!(limiter.allow("bob").is_allowed());
    assert_eq!(limiter.remaining("bob"), 1);
    assert!(limiter.refund("bob", NonZeroU32::MIN));
    assert!(limiter.clone().allow("bob").is_allowed());
    assert!(limiter.check("bob").is_allowed());
    assert!(limiter.allow("bob").is_allowed());
    assert!(!limiter.allow("bob").is_allowed());
    assert_eq!(limiter.usage(), [("bob".to_owned(), 0)]);
    limiter.set_quota(Gcra::every(Duration::ZERO));
    assert!(limiter.allow("bob").is_allowed());
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn waiting_takes_exactly_as_long_as_the_quota_says() {
    let limiter = RateLimiter::<String, _>::builder(Gcra::every(Duration::from_secs(60))).build();
    let start = limiter.now();
    for _ in 0..3 {
        limiter.until_allowed("bob").await;
    }
    let took = limiter.now().saturating_duration_since(start);
    assert!(took >= Duration::from_secs(120) && took < Duration::from_secs(121), "{took:?}");
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn a_waiting_future_can_be_spawned_and_dropped() {
    let limiter = RateLimiter::<String, _>::builder(Gcra::every(Duration::from_secs(60))).build();
    limiter.until_allowed("bob").await;
    let waiting = limiter.clone();
    let dropped = tokio::spawn(async move { waiting.until_allowed("bob").await });
    tokio::task::yield_now().await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    let start = limiter.now();
    limiter.until_allowed("bob").await;
    assert!(limiter.now().saturating_duration_since(start) < Duration::from_secs(61));
    assert_eq!(limiter.stats().allowed, 2);
}

#[test]
fn without_a_runtime_a_thread_waits() {
    let limiter = RateLimiter::<u8, _>::builder(Gcra::every(Duration::from_millis(2))).build();
    let start = limiter.now();
    block_on(async {
        limiter.until_allowed(&1).await;
        limiter.until_allowed(&1).await;
    });
    assert!(limiter.now().saturating_duration_since(start) >= Duration::from_millis(2));
}

#[test]
fn what_is_done_with_newcomers_changes_while_it_runs() {
    let limiter = RateLimiter::<u64, _>::builder(Gcra::per_hour(1)).capacity(1).ledger(1).build();
    assert!(limiter.allow(&1).is_allowed());
    assert!(limiter.allow(&2).is_allowed(), "there is a cell");
    assert!(!limiter.allow(&3).is_allowed());
    limiter.set_on_full(OnFull::Allow);
    assert!(limiter.allow(&3).is_allowed());
    limiter.set_on_full(OnFull::Deny);
    assert!(!limiter.allow(&3).is_allowed());
    limiter.set_quota(Gcra::per_hour(5));
    assert_eq!(limiter.quota(), Gcra::per_hour(5));
    assert!(limiter.allow(&3).is_allowed());
    assert_eq!((limiter.stats().refused, limiter.stats().unlimited), (3, 1));
}

/// As it was found: 100 a day for 65,536 addresses, and 90,000 made-up ones, or 1,000 a second, here for six minutes.
#[test]
fn found_a7_newcomers_are_served_through_a_flood_of_made_up_addresses() {
    let clock = ManualClock::new(Instant::from_secs(1_000));
    let limiter = RateLimiter::<u64, _>::builder(Gcra::per(100, Duration::from_secs(86_400)))
        .capacity(65_536)
        .timer(&clock)
        .build();
    (0..40).for_each(|_| assert!(limiter.allow(&7).is_allowed()));
    let newcomers = |first: u64| (first..first + 1_000).filter(|key| limiter.allow(key).is_allowed()).count();
    (1_000_000..1_090_000).for_each(|key| _ = limiter.allow(&key));
    assert_eq!(newcomers(2_000_000), 1_000);
    for key in 3_000_000..3_360_000 {
        let _ = limiter.allow(&key);
        clock.advance(Duration::from_millis(1));
    }
    assert_eq!(newcomers(4_000_000), 1_000);
    // Who was known has what it had.
    assert!((60..=61).contains(&limiter.remaining(&7)), "{}", limiter.remaining(&7));
    assert!(limiter.stats().evicted > 100_000);
}

#[test]
fn what_is_observed_denies_nobody_in_any_shard_and_wakes_who_waits() {
    let limiter = RateLimiter::<u64, _>::builder(Gcra::per_hour(1)).capacity(20_000).enforce(Enforce::Observe).build();
    let keys: Vec<u64> = (0..10_000).collect();
    let ask = || {
        let mut allowed = 0;
        limiter.allow_each(&keys, |_, decision| allowed += usize::from(decision.is_allowed()));
        allowed
    };
    assert_eq!((ask(), ask(), limiter.enforce()), (10_000, 10_000, Enforce::Observe));
    let stats = limiter.stats();
    assert_eq!((stats.allowed, stats.denied, stats.overridden), (20_000, 0, 10_000));

    limiter.set_enforce(Enforce::Percent(Percent::new(20)));
    let denied: Vec<_> = keys.iter().filter(|key| !limiter.allow(*key).is_allowed()).collect();
    assert!((1_700..2_300).contains(&denied.len()), "{} of 10,000", denied.len());
    assert_eq!(ask(), 10_000 - denied.len());
    assert!(denied.iter().all(|key| !limiter.check(*key).is_allowed()), "a key is always treated alike");

    let key = *denied[0];
    let mut waits = pin!(limiter.until_allowed(&key));
    let woken = Arc::new(Woken::default());
    let waker = woken.clone().into();
    let mut cx = Context::from_waker(&waker);
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    limiter.set_enforce(Enforce::Observe);
    assert!(woken.0.load(Ordering::SeqCst), "who waits is told");
    assert!(waits.poll(&mut cx).is_ready());
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn each_key_is_asked_by_its_own_quota_whatever_shard_it_is_in() {
    let clock = ManualClock::default();
    let free = Gcra::per_hour(1).per_key();
    let limiter = RateLimiter::<u32, _>::builder(free).capacity(10_000).timer(clock).build();
    for key in 0..1_000 {
        let plan = Gcra::per_hour(1 + key % 5).per_key();
        let ask = || limiter.allow_with_quota(&key, plan, NonZeroU32::MIN).unwrap();
        assert_eq!((0..9).filter(|_| ask().is_allowed()).count() as u32, 1 + key % 5);
        let checked = limiter.check_with_quota(&key, Gcra::per_hour(7).per_key(), NonZeroU32::MIN).unwrap();
        assert_eq!((checked.limit, checked.remaining), (7, 6 - key % 5));
    }
    assert_eq!(limiter.quota(), free);
    assert!(!limiter.allow(&4).is_allowed() && limiter.allow(&1_000).is_allowed());
}
