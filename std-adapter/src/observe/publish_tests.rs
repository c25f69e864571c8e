//! What a scrape of Prometheus shows.

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::thread;

use metrics::with_local_recorder;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::*;
use crate::{CircuitBreaker, DedupCache, Gcra, RateLimiter, Reset, RetryBudget, Trip, dedup_cache::OnFull};

fn prometheus() -> (PrometheusRecorder, PrometheusHandle) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    (recorder, handle)
}

/// The numbers of the lines that begin so.
fn numbers(scrape: &str, begin: &str) -> Vec<f64> {
    let lines = scrape.lines().filter(|line| line.starts_with(begin));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

fn sum(scrape: &str, begin: &str) -> f64 {
    numbers(scrape, begin).iter().sum()
}

#[test]
fn a_scrape_names_describes_and_counts() {
    let (recorder, handle) = prometheus();
    let limiter: RateLimiter<u8, _> = RateLimiter::builder(Gcra::per_hour(1)).build();
    let other: RateLimiter<u8, _> = RateLimiter::builder(Gcra::per_hour(1)).build();
    let orders = DedupCache::<u8>::builder(Duration::from_millis(1_500), OnFull::Refuse).build();
    for _ in 0..3 {
        let _ = limiter.allow(&1);
    }
    let _ = other.allow(&1);
    with_local_recorder(&recorder, || {
        describe();
        publish("api", &limiter);
        publish("login", &other);
        publish("orders", &orders);
    });
    let scrape = handle.render();
    for line in [
        "# TYPE steadfast_rate_limiter_decisions counter",
        "# HELP steadfast_rate_limiter_decisions Requests that were decided.",
        r#"steadfast_rate_limiter_decisions{steadfast_name="api",decision="allowed"} 1"#,
        r#"steadfast_rate_limiter_decisions{steadfast_name="api",decision="denied"} 2"#,
        r#"steadfast_rate_limiter_decisions{steadfast_name="api",decision="overridden"} 0"#,
        r#"steadfast_rate_limiter_decisions{steadfast_name="login",decision="allowed"} 1"#,
        r#"steadfast_rate_limiter_decisions{steadfast_name="login",decision="denied"} 0"#,
        "# TYPE steadfast_rate_limiter_keys gauge",
        r#"steadfast_rate_limiter_keys{steadfast_name="api"} 1"#,
        r#"steadfast_dedup_horizon{steadfast_name="orders"} 1.5"#,
    ] {
        assert!(scrape.lines().any(|shown| shown == line), "{line}\nis not in\n{scrape}");
    }
}

/// What is gone stays as it was; what takes its name counts on once it has counted more.
#[test]
fn what_was_dropped_stays_as_it_was() {
    let (recorder, handle) = prometheus();
    let publish = |budget: &RetryBudget| with_local_recorder(&recorder, || publish("upstreams", budget));
    let shown = || sum(&handle.render(), "steadfast_retry_budget_requests{");
    let deposit = |budget: &RetryBudget, times| (0..times).for_each(|_| budget.deposit());

    let budget = RetryBudget::percent(20);
    deposit(&budget, 5);
    publish(&budget);
    drop(budget);
    assert_eq!(shown(), 5.0);

    let budget = RetryBudget::percent(20);
    deposit(&budget, 4);
    publish(&budget);
    assert_eq!(shown(), 5.0);
    deposit(&budget, 4);
    publish(&budget);
    assert_eq!(shown(), 8.0);
}

/// No sum ever goes back, none is ahead of what was asked, and the last one is all of it.
#[test]
fn a_scrape_while_threads_work_adds_up() {
    const THREADS: usize = 4;
    const CALLS: u32 = 20_000;
    const SUMS: [&str; 3] =
        ["steadfast_rate_limiter_decisions{", "steadfast_circuit_breaker_calls{", "steadfast_dedup_ids{"];
    let (recorder, handle) = prometheus();
    let limiter: RateLimiter<u32, _> = RateLimiter::builder(Gcra::per_hour(1)).capacity(10_000).build();
    let breaker = CircuitBreaker::new(Trip::consecutive(1_000), Reset::after(Duration::from_secs(30)));
    let ids = DedupCache::<u32>::builder(Duration::from_secs(600), OnFull::ForgetOldest).capacity(10_000).build();
    let scrape = || {
        with_local_recorder(&recorder, || {
            publish("one", &limiter);
            publish("one", &breaker);
            publish("one", &ids);
        });
        let shown = handle.render();
        SUMS.map(|name| sum(&shown, name))
    };
    let is_over = AtomicBool::new(false);
    let all = f64::from(CALLS) * THREADS as f64;
    let scrapes = thread::scope(|scope| {
        let work = |thread: usize| {
            let (limiter, breaker, ids) = (&limiter, &breaker, &ids);
            move || {
                for call in 0..CALLS {
                    let _ = limiter.allow(&(call % 5_000));
                    let result = if call % 7 == 0 { Err(()) } else { Ok(()) };
                    let _ = breaker.call_blocking(|| result);
                    let _ = ids.check(&(call.wrapping_mul(thread as u32) % 5_000));
                }
            }
        };
        let workers: Vec<_> = (0..THREADS).map(|thread| scope.spawn(work(thread))).collect();
        let scraper = scope.spawn(|| {
            let (mut last, mut scrapes) = ([0.0; 3], 0);
            while !is_over.load(Ordering::Acquire) {
                let now = scrape();
                for (before, now) in last.iter().zip(now) {
                    assert!(*before <= now && now <= all, "{before}, then {now} of {all}");
                }
                (last, scrapes) = (now, scrapes + 1);
            }
            scrapes
        });
        // The scraper ends even if a worker has failed.
        let ended: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        is_over.store(true, Ordering::Release);
        ended.into_iter().for_each(|result| result.unwrap());
        scraper.join().unwrap()
    });
    assert_eq!(scrape(), [all; 3], "after {scrapes} scrapes");
}
