//! What every type that a server holds must be: shared between tasks by a clone, in futures that may move between threads.

use core::{future::Future, time::Duration};

use steadfast::{
    BatchCollector, Breakers, CachedRateLimiter, CircuitBreaker, Correlator, DedupCache, Gcra, KeyedCorrelator, Logger,
    Quorum, RateLimiter, RetryBudget, RetryExt, RetryPolicy, SlidingLog, aggregate,
    batch_collector::Batch,
    circuit_breaker::{CallWindow, Consecutive, TimeWindow},
    logger::ServiceLog,
    quorum::QuorumError,
    runtime::{SystemRng, SystemTimer},
};

const fn is_shared<T: Send + Sync + Clone>() {}
const fn is_sent<T: Send + 'static>() {}
const fn may_be_spawned<F: Future + Send>(_: &F) {}

#[test]
fn every_type_is_send_and_sync_and_cheap_to_clone() {
    is_shared::<BatchCollector<String>>();
    is_shared::<Breakers<String>>();
    is_shared::<Breakers<String, TimeWindow<10>>>();
    is_shared::<CachedRateLimiter<String, Vec<u8>, Gcra>>();
    is_shared::<CircuitBreaker<CallWindow<100>>>();
    is_shared::<CircuitBreaker<Consecutive>>();
    is_shared::<Correlator<u64, String>>();
    is_shared::<DedupCache<String>>();
    is_shared::<KeyedCorrelator<String, Vec<u8>>>();
    is_shared::<Logger>();
    is_shared::<Quorum<String, i64>>();
    is_shared::<RateLimiter<String, Gcra>>();
    is_shared::<RateLimiter<String, SlidingLog<5>>>();
    is_shared::<RetryBudget>();
    is_shared::<RetryPolicy>();
    is_shared::<ServiceLog<Logger>>();
    is_shared::<SystemRng>();
    is_shared::<SystemTimer>();
    is_sent::<Batch<String>>();
    // One pointer each, so a clone is a count.
    assert_eq!(size_of::<RateLimiter<String, SlidingLog<5>>>(), size_of::<usize>());
    assert_eq!(size_of::<Breakers<String, TimeWindow<10>>>(), size_of::<usize>());
}

/// The cipher's key is shared too.
#[cfg(feature = "aead")]
#[test]
fn an_encryptor_is_send_and_sync_and_cheap_to_clone() {
    is_shared::<steadfast::Encryptor>();
}

#[test]
fn every_future_may_be_spawned() -> Result<(), QuorumError> {
    let limiter = RateLimiter::<String, _>::builder(Gcra::per_second(1)).build();
    may_be_spawned(&limiter.until_allowed("bob"));

    let breakers =
        Breakers::<String>::builder(steadfast::Trip::consecutive(1), steadfast::Reset::after(Duration::ZERO));
    may_be_spawned(&breakers.build().call("bob", async { Ok::<(), ()>(()) }));
    let breaker = CircuitBreaker::new(steadfast::Trip::consecutive(1), steadfast::Reset::after(Duration::ZERO));
    may_be_spawned(&breaker.until_permitted());

    let orders = DedupCache::<String>::builder(Duration::ZERO, steadfast::dedup_cache::OnFull::Refuse).build();
    may_be_spawned(&orders.until_claimed("7"));

    let calls: Correlator<u64, String> = Correlator::new(4);
    may_be_spawned(&calls.call(1, Duration::ZERO, async |_| Ok::<(), ()>(())));
    may_be_spawned(&calls.gather([1, 2], 1, Duration::ZERO, async |_, _| Ok::<(), ()>(())));

    let keyed: KeyedCorrelator<String, u32> = KeyedCorrelator::new(4);
    may_be_spawned(&keyed.call(String::new(), Duration::ZERO, async || Ok::<(), ()>(())));

    let quorum = Quorum::<String, i64>::builder(1).build()?;
    may_be_spawned(&quorum.decided(quorum.ballot(), aggregate::median));

    let retry = RetryPolicy::constant(Duration::ZERO).call(async || Ok::<(), ()>(()));
    may_be_spawned(&retry.into_future());
    Ok(())
}

/// The key's type comes from the first look-up, as it does for the standard library's maps. A rate limiter that keeps no
/// keys has to be told.
#[test]
fn builders_need_no_turbofish() {
    let limiter = RateLimiter::builder(Gcra::per_hour(1)).keep_keys().build();
    assert!(limiter.allow("bob").is_allowed());
    assert_eq!(limiter.usage(), [(String::from("bob"), 0)]);
    let heard = DedupCache::builder(Duration::from_secs(60), steadfast::dedup_cache::OnFull::Refuse).build();
    assert!(heard.check(&7_u64).is_fresh());
    let breakers = Breakers::builder(steadfast::Trip::consecutive(1), steadfast::Reset::after(Duration::MAX)).build();
    assert!(breakers.call_blocking("bob", || Err::<(), _>(())).is_err());
    assert_eq!(breakers.tripped().len(), 1);
}
