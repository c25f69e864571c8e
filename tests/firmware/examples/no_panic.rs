//! Links only if no panic can be reached: the panic handler calls what does not exist.
//!
//! Every machine does here whatever it can do, with keys, times and texts that the compiler cannot know. The optimizer has
//! to prove each bounds check and each unwrap away, so this is linked with the profile `proof` only. The encryptor is not
//! here: its ciphers, which are not ours, unwrap what cannot fail, and the optimizer cannot see that.
#![no_std]
#![no_main]

use core::{convert::Infallible, hint::black_box, num::NonZeroU32, panic::PanicInfo, time::Duration};

use cortex_m_rt::entry;
use rand_core::TryRng;
use steadfast_embassy::{
    AllowOrCached, BatchCollector, BatchSettings, Breakers, CachedRateLimiter, CallId, CircuitBreaker, Claim,
    Correlator, DedupCache, Event, Failure, Gcra, HashSeed, Instant, Jitter, KeyedCorrelator, Level, Logger, Outcome,
    Percent, Quorum, Quota, RateLimiter, Reset, RetryBudget, RetryPolicy, SlidingLog, Trip, TripPolicy, WhenFull,
    aggregate,
};

unsafe extern "C" {
    safe fn a_panic_can_be_reached() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    a_panic_can_be_reached()
}

/// A number that the compiler cannot know.
fn any<T: Default>() -> T {
    black_box(T::default())
}

/// Does something with a result that the compiler cannot know.
fn see<T>(result: T) {
    _ = black_box(result);
}

fn now() -> Instant {
    Instant::from_nanos(any())
}

fn span() -> Duration {
    Duration::from_nanos(any())
}

fn text() -> &'static str {
    black_box("")
}

struct Dice;

impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(any())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(any())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.iter_mut().for_each(|byte| *byte = any());
        Ok(())
    }
}

#[inline(never)]
fn rate_limiter<A: Quota>(quota: A) {
    let mut limiter: RateLimiter<u64, A, 32> = RateLimiter::new(quota);
    let cost = NonZeroU32::new(any()).unwrap_or(NonZeroU32::MIN);
    limiter.reseed(HashSeed::new(any(), any()));
    for _ in 0..any::<u32>() {
        let key: u64 = any();
        see(limiter.allow(&key, now()));
        see(limiter.allow_n(&key, cost, now()));
        see(limiter.check(&key, now()));
        see(limiter.remaining(&key, now()));
        see(limiter.reset_at(&key, now()));
        see(limiter.refund(&key, cost, now()));
        see(limiter.cleanup(now()));
        see(limiter.usage(now()).count());
        see(limiter.stats());
    }
}

#[inline(never)]
fn cached_rate_limiter() {
    let mut limiter: CachedRateLimiter<u64, u32, Gcra, 32> = CachedRateLimiter::new(Gcra::every(span()), span());
    for _ in 0..any::<u32>() {
        let key: u64 = any();
        if let AllowOrCached::Allowed(permit) = limiter.allow_or_cached(&key, now()) {
            match any::<u8>() {
                0 => see(limiter.complete(permit, any(), now())),
                1 => limiter.refund(permit, now()),
                _ => limiter.release(permit, now()),
            }
        }
        see(limiter.cleanup(now()));
    }
}

fn outcome() -> Outcome {
    match any::<u8>() {
        0 => Outcome::Failure,
        1 => Outcome::Ignored,
        2 => Outcome::RetryAfter(span()),
        _ => Outcome::Success,
    }
}

fn reset() -> Reset {
    Reset::after(span()).doubling().up_to(span()).jitter(Percent::new(20), any())
}

#[inline(never)]
fn circuit_breaker<P: TripPolicy>(trip: P) {
    let mut breaker = CircuitBreaker::new(trip, reset());
    for _ in 0..any::<u32>() {
        if let Ok(permit) = breaker.try_acquire(now()) {
            breaker.record(permit, outcome(), now());
        }
        see(breaker.allow_request(now()));
        breaker.record_success(now());
        breaker.record_failure(now());
        see((breaker.state(), breaker.stats()));
        if any() {
            breaker.reset();
        }
    }
}

#[inline(never)]
fn breakers() {
    let mut breakers: Breakers<u64, 8> = Breakers::new(Trip::consecutive(3), reset());
    for _ in 0..any::<u32>() {
        let key: u64 = any();
        if let Ok(permit) = breakers.try_acquire(&key, now()) {
            breakers.record(&key, permit, outcome(), now());
        }
        see((breakers.state(&key), breakers.reset(&key), breakers.cleanup(now())));
    }
}

#[inline(never)]
fn retry() {
    let mut budget = RetryBudget::percent(any()).floor_per_second(any()).burst(any());
    for jitter in [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        for policy in [RetryPolicy::exponential(span()), RetryPolicy::linear(span()), RetryPolicy::constant(span())] {
            let policy = policy.max_delay(span()).max_retries(any()).max_elapsed(span()).jitter(jitter);
            let mut retry = policy.start(now());
            for _ in 0..any::<u32>() {
                budget.deposit();
                see(retry.attempt_deadline(now()));
                see(policy.delay_for(any()));
                see(retry.next(Failure::RetryAfter(span()), now(), &mut Dice));
                see(retry.next_within(&mut budget, Failure::Transient, now(), &mut Dice));
            }
        }
    }
}

#[inline(never)]
fn dedup_cache() {
    for when_full in [WhenFull::ForgetOldest, WhenFull::Refuse] {
        let mut cache: DedupCache<[u8; 16], 64> = DedupCache::new(span(), when_full);
        for _ in 0..any::<u32>() {
            let key = any();
            see((cache.check(&key, now()), cache.seen(&key, now()), cache.mark(&key, now())));
            if let Claim::Fresh(ticket) = cache.claim(&key, now()) {
                if any() {
                    see(cache.commit(ticket, now()));
                } else {
                    cache.abort(ticket, now());
                }
            }
            see((cache.cleanup(now()), cache.horizon(now()), cache.next_deadline(), cache.stats()));
            cache.on_timeout(now());
        }
    }
}

#[inline(never)]
fn correlator() {
    let mut calls: Correlator<u32, [u8; 8], 16> = Correlator::new(any());
    for _ in 0..any::<u32>() {
        see(calls.begin(any(), span(), now()));
        let id = CallId::from_u64(any());
        see((calls.resolve(id, any(), any(), now()), calls.take(id), calls.cancel(id)));
        see((calls.next_deadline(), calls.on_timeout(now()), calls.stats(), calls.round_trips()));
        if any() {
            calls.close();
            calls.reopen();
        }
    }
}

#[inline(never)]
fn keyed_correlator() {
    let mut calls: KeyedCorrelator<u64, [u8; 8], 16> = KeyedCorrelator::new();
    for _ in 0..any::<u32>() {
        see(calls.begin(any(), span(), now()));
        let id: u64 = any();
        see((calls.resolve(&id, any(), now()), calls.take(&id), calls.cancel(&id)));
        see((calls.next_deadline(), calls.on_timeout(now()), calls.stats(), calls.round_trips()));
        if any() {
            calls.close();
            calls.reopen();
        }
    }
}

#[inline(never)]
fn batch_collector() {
    let mut batch: BatchCollector<u32, 16> = BatchCollector::new(BatchSettings::new(span()).idle_gap(span()));
    for _ in 0..any::<u32>() {
        see(batch.push_weighted(any(), any(), now()).map(|batch| batch.len()));
        see(batch.on_timeout(now()).map(|batch| batch.reason()));
        see(batch.flush().map(|batch| batch.iter().sum::<u32>()));
        see((batch.next_deadline(), batch.stats()));
    }
}

#[inline(never)]
fn quorum() {
    let mut votes: Quorum<u32, i64, 8> = Quorum::new::<5>(now());
    let aggregates: [fn(&mut [i64]) -> Option<i64>; 5] = [
        aggregate::trimmed_mean,
        aggregate::trimmed_mean_positive,
        aggregate::median,
        aggregate::majority,
        aggregate::plurality,
    ];
    for _ in 0..any::<u32>() {
        see(votes.vote(any(), any(), now()));
        for aggregate in aggregates {
            see(votes.result(aggregate, now()));
        }
        see((votes.next_deadline(), votes.on_timeout(now()), votes.stats()));
        if any() {
            votes.reset(now());
        }
    }
}

#[inline(never)]
fn logger() {
    let mut logger: Logger<8> = Logger::new();
    let service = logger.service("stash");
    for _ in 0..any::<u32>() {
        let level = if any() { Level::Error } else { Level::Debug };
        let event = Event::new("store", text()).target(text()).message(text()).count(any()).level(level);
        see(logger.record(service, &event, now()));
        see(logger.record(service, &event.instant(), now()));
        see(logger.line(service, level, text(), now()));
        while let Some(entry) = logger.on_timeout(now()) {
            see(entry.line().as_str());
            logger.not_written(&entry, now());
        }
        see((logger.next_deadline(), logger.stats()));
        logger.flush();
    }
    logger.shutdown();
}

/// Something that can panic: with it this must not link.
#[cfg(feature = "canary")]
fn canary() {
    see([1, 2, 3][any::<usize>()]);
}

#[entry]
fn main() -> ! {
    loop {
        rate_limiter(Gcra::every(span()));
        rate_limiter(SlidingLog::<5>::new(span()));
        cached_rate_limiter();
        circuit_breaker(Trip::consecutive(3));
        circuit_breaker(Trip::call_window::<32>(Percent::new(50)));
        circuit_breaker(Trip::time_window::<10>(span(), Percent::new(50)));
        breakers();
        retry();
        dedup_cache();
        correlator();
        keyed_correlator();
        batch_collector();
        quorum();
        logger();
        #[cfg(feature = "canary")]
        canary();
    }
}
