//! One call that succeeds through a closed breaker.

use std::{
    convert::Infallible,
    future::ready,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use failsafe::CircuitBreaker as _;
use recloser::Recloser;
use steadfast::{
    CircuitBreaker, Reset, Trip,
    circuit_breaker::{CallWindow, Percent},
    runtime::{Clock, SystemTimer},
};
use tower::{Service, ServiceExt, service_fn};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

use super::Plan;
use crate::{
    run::{Goal::Faster, Row},
    slice::{Work, on_runtime, on_two_threads, repeat, repeat_async},
    work::{Given, LONG},
};

pub(super) fn rows() -> Vec<Plan> {
    vec![
        Plan::new("breaker, success while closed, own clocks", || {
            let (ours, recloser, failsafe, count) = (ours(SystemTimer), recloser(), failsafe(), AtomicU64::new(0));
            Row::new(repeat(move || assert!(ours.call_blocking(work).is_ok())))
                .peer("recloser", Faster(1.0), repeat(move || assert!(recloser.call(work).is_ok())))
                .peer("failsafe", None, repeat(move || assert!(failsafe.call(work).is_ok())))
                .floor("atomic counter", None, repeat(move || _ = count.fetch_add(1, Ordering::Relaxed)))
        }),
        Plan::new("breaker, success while closed, `now` given", || {
            // It reads no clock while closed, so it has it given already.
            let (ours, recloser) = (ours(Given), recloser());
            Row::new(repeat(move || assert!(ours.call_blocking(work).is_ok()))).peer(
                "recloser",
                Faster(1.0),
                repeat(move || assert!(recloser.call(work).is_ok())),
            )
        }),
        Plan::new("breaker, async, own clocks", || {
            let ours = ours(SystemTimer);
            Row::new(repeat_async(async move || assert!(ours.call(ready(work())).await.is_ok()))).peer(
                "tower-resilience",
                Faster(10.0),
                tower_resilience(),
            )
        }),
        Plan::new("breaker, 2 threads on one, own clocks", || {
            let (ours, recloser, failsafe, count) = (ours(SystemTimer), recloser(), failsafe(), AtomicU64::new(0));
            Row::new(from_two_threads(move || assert!(ours.call_blocking(work).is_ok())))
                .peer("recloser", Faster(3.0), from_two_threads(move || assert!(recloser.call(work).is_ok())))
                .peer("failsafe", None, from_two_threads(move || assert!(failsafe.call(work).is_ok())))
                .floor("atomic counter", None, from_two_threads(move || _ = count.fetch_add(1, Ordering::Relaxed)))
        }),
    ]
}

/// What is called.
fn work() -> Result<u64, Infallible> {
    Ok(black_box(7))
}

fn from_two_threads(op: impl Fn() + Sync + 'static) -> Work {
    Box::new(move |n| on_two_threads(n, |_, n| (0..n).for_each(|_| op())))
}

/// A window of 100 calls, as that of recloser.
fn ours<T: Clock>(clock: T) -> CircuitBreaker<CallWindow<100>, T> {
    CircuitBreaker::builder(Trip::call_window::<100>(Percent::new(50)), Reset::after(LONG)).timer(clock).build()
}

/// As it comes: a window of 100 calls. While half-open it lets every call pass; see `d13` in the breaker's tests.
fn recloser() -> Recloser {
    Recloser::custom().build()
}

/// As it comes: an average over time, or five failures in a row.
fn failsafe() -> impl failsafe::CircuitBreaker + Sync {
    failsafe::Config::new().build()
}

/// As it comes: a window of 100 calls that does not slide. It is a service, so its futures are boxed.
fn tower_resilience() -> Work {
    let layer = CircuitBreakerLayer::builder().build().expect("its defaults are valid");
    let service = Arc::new(tokio::sync::Mutex::new(layer.layer_fn(service_fn(|()| ready(work())))));
    on_runtime(async move |n| {
        let mut service = service.lock().await;
        for _ in 0..n {
            assert!(service.ready().await.unwrap().call(()).await.is_ok());
        }
    })
}
