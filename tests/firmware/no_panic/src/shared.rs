//! The calls of `Shared` that do not wait, with the least of all locks.

use core::{
    cell::UnsafeCell,
    future::{Future, poll_fn},
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use steadfast_core::{
    BatchQueue, BatchSettings, Breakers, CachedRateLimiter, CircuitBreaker, Clock, Correlator, DedupCache, Gcra,
    HashSeed, Instant, KeyedCorrelator, Lock, Logger, Quorum, RateLimiter, Shared, SlidingLog, Timer, Trip, WaitList,
    aggregate,
    batch_collector::{AddError, BatchAdd, FlushOutcome},
    circuit_breaker::{GuardedCall, OkOrErr, Outcome},
    correlator::{CallId, CallOn, PendingCall},
    dedup_cache::{Claim, OnFull},
    logger::{Level, NotWritten, ServiceLog, Show, Sink},
    quorum::BallotId,
    rate_limiter::{self, AllowOrCached, RateLimiterIn, WaitRequest, WaitState},
};

use crate::{
    any,
    breakers::{outcome, reset},
    limiters::{Eight, cost},
    look_at, now, see, seed, span, text,
};

/// Keeps nobody out, since there is nobody.
struct Bare<M>(UnsafeCell<M>);

impl<M> Lock for Bare<M> {
    type Target = M;

    fn with<R>(&self, f: impl FnOnce(&mut M) -> R) -> R {
        // SAFETY: there is one thread, and no machine calls its own lock while it has it.
        f(unsafe { &mut *self.0.get() })
    }
}

struct Watch;

impl Clock for Watch {
    fn now(&self) -> Instant {
        now()
    }
}

/// Ends at some time, and may be polled after that: `Ready` would panic.
struct Sometime;

impl Future for Sometime {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if any() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Timer for Watch {
    type Sleep = Sometime;

    fn sleep_until(&self, _: Instant) -> Sometime {
        Sometime
    }
}

/// A call that may be polled at any time.
struct Calling;

impl Future for Calling {
    type Output = Result<u8, u8>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if any() { Poll::Ready(if any() { Ok(any()) } else { Err(any()) }) } else { Poll::Pending }
    }
}

/// Polls a future as often as it likes, also after its end.
fn poll<F: Future>(future: F) {
    let mut future = pin!(future);
    for _ in 0..any::<u32>() {
        see(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}

fn shared<M>(machine: M) -> Shared<M, Bare<M>, Watch> {
    Shared::new(Bare(UnsafeCell::new(machine)), Watch)
}

pub fn probe() {
    limiters();
    breakers();
    calls();
    others();
    lines();
}

#[inline(never)]
fn limiters() {
    let limiter = shared(RateLimiter::<u64, SlidingLog<5>, 32>::new(SlidingLog::new(span())));
    let queue = Bare(UnsafeCell::new(WaitList::<4>::new()));
    let observed = RateLimiterIn::<u64, Gcra, Eight>::allocate(Gcra::every(span()), any(), any(), seed());
    let observed = shared(observed);
    let plan = || Gcra::every(span()).burst(any()).per_key();
    let planned = shared(RateLimiter::<u64, _, 32>::new(plan()));
    let cached = shared(CachedRateLimiter::<u64, u32, Gcra, 32>::new(Gcra::every(span()), span()));
    for _ in 0..any::<u32>() {
        let key: u64 = any();
        see((limiter.allow(&key), limiter.allow_n(&key, cost()), limiter.check(&key), limiter.remaining(&key)));
        see(limiter.grant(&key, any(), any()));
        see((limiter.allow_verdict(&key, cost()), limiter.allow_at(&key, now()), limiter.reset(&key)));
        see((limiter.check_n(&key, cost()), limiter.check_verdict(&key, cost())));
        let hash = limiter.with_lock(|limiter| limiter.hash(&key));
        see((limiter.allow_with(hash, &key), limiter.allow_n_with(hash, &key, cost())));
        see((limiter.allow_at_with(hash, &key, now()), limiter.set_quota(SlidingLog::new(span()))));
        see(limiter.allow_verdict_with(hash, &key, cost()));
        see((planned.allow_with_quota(&key, plan(), cost()), planned.check_with_quota(&key, plan(), cost())));
        see(planned.allow_with_quota_with(any(), &key, plan(), cost()));
        see((limiter.reset_at(&key), limiter.refund(&key, cost()), limiter.stats(), limiter.timer().now()));
        see(limiter.lock().with(|limiter| (limiter.is_at_home(hash), limiter.on_time(now(), now))));
        see(limiter.refund_and_wake(&key, cost(), &queue));
        limiter.set_quota_and_wake(SlidingLog::new(span()), &queue);
        limiter.set_on_full(black_box(rate_limiter::OnFull::Deny));
        observed.set_enforce(black_box(rate_limiter::Enforce::Observe));
        see((observed.enforce() == rate_limiter::Enforce::Yes, observed.allow(&key)));
        poll(observed.until_allowed_within(&key, cost(), span(), &queue));
        cached.set_settings(Gcra::every(span()), span());
        see(limiter.reset_and_wake(&key, &queue));
        see(limiter.allow_n_waiting_with(hash, &key, cost()));
        poll(limiter.until_allowed(&key, &queue));
        poll(limiter.until_allowed_n(&key, cost(), &queue));
        poll(limiter.until_allowed_within(&key, cost(), span(), &queue));
        let mut state = pin!(WaitState::new());
        let request = WaitRequest { hash, key: &key, cost: cost(), longest: None };
        let cx = &mut Context::from_waker(Waker::noop());
        see((limiter.poll_until_allowed(&request, &queue, state.as_mut(), cx).is_ready(), state.is_new()));
        state.leave(&queue);
        WaitList::wake_all(&queue);
        see(queue.with(|queue| (queue.len(), queue.is_empty())));
        if let AllowOrCached::Allowed(attempt) = cached.allow_or_cached(&key) {
            match any::<u8>() {
                0 => see(attempt.complete(any())),
                1 => attempt.refund(),
                _ => drop(attempt),
            }
        }
        see(cached.stats());
        look_at(&limiter);
        look_at(&cached);
    }
}

#[inline(never)]
fn breakers() {
    let breaker = shared(CircuitBreaker::new(Trip::consecutive(3), reset()));
    let keyed = shared(Breakers::<u64, 8>::new(Trip::consecutive(3), reset()));
    let call = || if any() { Ok(any::<u8>()) } else { Err(any::<u8>()) };
    for _ in 0..any::<u32>() {
        let key: u64 = any();
        for mut guard in [breaker.try_acquire(), breaker.try_acquire()].into_iter().flatten() {
            match any::<u8>() {
                0 => see(guard.call_blocking(call)),
                1 => guard.record(Outcome::of(&call())),
                2 => see(guard.call_blocking_with(call, |_| outcome())),
                3 => guard.record(outcome()),
                4 => {
                    let mut result = Some(call());
                    let mut called = poll_fn(|_| result.take().map_or(Poll::Pending, Poll::Ready));
                    let cx = &mut Context::from_waker(Waker::noop());
                    see(guard.poll_call(Pin::new(&mut called), cx, |_| outcome()));
                }
                _ => drop(guard),
            }
        }
        if let Ok(guard) = keyed.try_acquire(&key) {
            guard
                .report_to(|permit, outcome| breaker.with(|breaker, now| breaker.record(permit, outcome, now)))
                .record(outcome());
        }
        poll(breaker.call(Calling));
        poll(breaker.call_with(Calling, |_| outcome()));
        poll(GuardedCall::new(&breaker, Calling, OkOrErr));
        poll(keyed.call(&key, Calling));
        poll(keyed.call_with(&key, Calling, |_| outcome()));
        see(keyed.record_with(any(), &key, u64::clone, None, outcome()));
        breaker.open();
        see((breaker.window(), breaker.last_transition()));
        see((keyed.open(&key), keyed.window(&key), keyed.last_transition()));
        see((
            breaker.call_blocking(call),
            keyed.call_blocking(&key, call),
            breaker.allow_request(),
            breaker.state(),
            keyed.state(&key),
        ));
        breaker.record_success();
        breaker.record_failure();
        breaker.set_mode(black_box(steadfast_core::circuit_breaker::BreakerMode::ObserveOnly));
        keyed.set_mode(black_box(steadfast_core::circuit_breaker::BreakerMode::ForcedOpen));
        breaker.set_settings(Trip::consecutive(3), reset());
        keyed.set_settings(Trip::consecutive(3), reset());
        breaker.close();
        see((keyed.close(&key), breaker.stats(), keyed.stats()));
        look_at(&breaker);
        look_at(&keyed);
    }
}

/// A request that is on its way at once, or cannot be sent. `Ready` would panic if it were polled again: that it is not,
/// which the tests of the correlator would show, not every compiler sees.
struct Sending;

impl Future for Sending {
    type Output = Result<(), u8>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(if any() { Ok(()) } else { Err(any()) })
    }
}

#[inline(never)]
fn calls() {
    let calls = shared(Correlator::<u32, [u8; 8], 16>::new(any()));
    let keyed = shared(KeyedCorrelator::<u64, [u8; 8], 16>::new());
    for _ in 0..any::<u32>() {
        let id = CallId::from_u64(any());
        see((calls.begin(any(), span()), calls.resolve(id, any(), any()), calls.resolve_at(id, any(), any(), now())));
        see((calls.take(id), calls.cancel(id), calls.next_deadline(), calls.on_timeout()));
        see((calls.stats(), calls.round_trips(), calls.now()));
        look_at(&calls);
        see((calls.is_closed(), calls.len(), calls.is_empty(), calls.capacity()));
        poll(calls.call(any(), span(), |_| Sending));
        poll(PendingCall::new(&calls, any(), span(), |_| Sending));
        see((CallOn::time_out_due(&&calls), CallOn::time_out_due(&&keyed)));
        let id: u64 = any();
        see((keyed.begin(id, span()), keyed.resolve(&id, any()), keyed.resolve_at(&id, any(), now())));
        see((keyed.take(&id), keyed.cancel(&id), keyed.next_deadline(), keyed.on_timeout()));
        see((keyed.stats(), keyed.round_trips()));
        look_at(&keyed);
        see((keyed.is_closed(), keyed.len(), keyed.is_empty(), keyed.capacity()));
        poll(keyed.call(any(), span(), || Sending));
        calls.close();
        keyed.close();
        calls.reopen();
        keyed.reopen();
    }
}

#[inline(never)]
fn others() {
    let cache: DedupCache<[u8; 16], 64, HashSeed, u32> = DedupCache::with_hasher(span(), OnFull::ForgetOldest, seed());
    let cache = shared(cache);
    let votes = shared(Quorum::<u32, i64, 8>::new::<5>(now()));
    let queue = BatchQueue::<u32, 8, 4>::new(BatchSettings::new(span())).retry(any(), span());
    let queue = shared(queue.stall_timeout(span()).gather_in(heapless::Vec::new()));
    for _ in 0..any::<u32>() {
        let key = any();
        see((cache.check(&key), cache.seen(&key), cache.mark(&key), cache.cleanup(), cache.horizon(), cache.stats()));
        look_at(&cache);
        if let Claim::Fresh(claim) = cache.claim(&key) {
            match any::<u8>() {
                0 => see(claim.commit()),
                1 => claim.keep(),
                2 => see(claim.commit_with(any())),
                _ => drop(claim),
            }
        }
        see((cache.forget(&key), cache.in_flight_until(&key)));
        let ballot = if any() { votes.ballot() } else { BallotId::from_u64(any()) };
        see(votes.vote(ballot, any(), any()));
        votes.vote_with(
            ballot,
            |voter| *voter == 7,
            &mut Some(any()),
            &mut Some(any()),
            |cast| {
                see(cast);
            },
        );
        see(votes.result(ballot, aggregate::trimmed_mean));
        see(votes.result_when_settled(ballot, aggregate::median, aggregate::settled::median));
        see((votes.next_deadline(), votes.on_timeout(), votes.stats()));
        look_at(&votes);
        see((votes.reset(span()), votes.reset_to(ballot, span())));
        see(queue.try_add(any()).map_err(AddError::into_item));
        see((queue.try_add_weighted(any(), any()), queue.stats().since(queue.stats()), queue.is_stopped()));
        look_at(&queue);
        poll(queue.add(any()));
        poll(queue.add_weighted(any(), any()));
        poll(BatchAdd::new(&queue, any(), any()));
        queue.flush();
        queue.set_settings(BatchSettings::new(span()).idle_gap(span()));
        cache.set_settings(span(), span(), OnFull::ForgetOldest);
        see((queue.with_lock(|queue| queue.is_stopped()), queue.with(|queue, now| (queue.stats(), now))));
        if let Ok(mut worker) = queue.worker() {
            see((worker.items().len(), worker.attempt()));
            see(worker.complete(if any() { FlushOutcome::Delivered } else { FlushOutcome::Failed }, any(), any()));
        }
        queue.abandon_in_flight();
        see(queue.is_inside_flush(&Context::from_waker(Waker::noop())));
        if any() {
            queue.close();
            see(queue.abandon());
        }
    }
}

struct Line;

impl Sink for Line {
    fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten> {
        see((level, line));
        if any() { Ok(()) } else { Err(NotWritten) }
    }
}

#[inline(never)]
fn lines() {
    let logger = shared(Logger::<8>::new());
    for _ in 0..any::<u32>() {
        let log = logger.service(text()).prefix(text());
        see((log.show(black_box(Show::Verbose)), log.has_settings()));
        log.debug(format_args!("{}", text()));
        log.info(format_args!("{}", text()));
        log.warn(format_args!("{}", text()));
        log.error(format_args!("{}", text()));
        drop(log.event(text(), text()).target(text()).message(text()).level(Level::Warn).count(any()));
        drop(log.event(text(), text()).instant());
        let service = logger.with_lock(|logger| logger.service(text()));
        ServiceLog::new(&logger, service).warn(format_args!("{}", text()));
        if let Some(entry) = logger.on_timeout() {
            logger.not_written(&entry);
        }
        see((logger.drain(&mut Line), logger.stats()));
        look_at(&logger);
        see(logger.formatter(text(), text(), |group, line| line.write_str(group.message())));
        logger.flush();
        if any() {
            logger.shutdown();
        }
    }
}
