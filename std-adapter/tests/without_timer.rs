//! Every type that waits or works in the background, in a tokio runtime that was built without its timer.

#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use steadfast::{
    BatchCollector, Breakers, Correlator, Gcra, KeyedCorrelator, Logger, Quorum, RateLimiter, Reset, RetryExt,
    RetryPolicy, Trip, aggregate, circuit_breaker::BreakerError, correlator::CallError, logger::WriteSink,
};
use tokio::runtime::{Builder, Runtime};

const SHORT: Duration = Duration::from_millis(5);

fn runtimes() -> [Runtime; 2] {
    [Builder::new_current_thread().build().unwrap(), Builder::new_multi_thread().worker_threads(2).build().unwrap()]
}

#[test]
fn found_b6_a_limiter_waits() {
    for runtime in runtimes() {
        let limiter = RateLimiter::<u8, _>::builder(Gcra::every(SHORT)).build();
        runtime.block_on(async {
            for _ in 0..3 {
                let limiter = limiter.clone();
                tokio::spawn(async move { limiter.until_allowed(&1).await }).await.unwrap();
            }
        });
    }
}

#[test]
fn found_b6_a_batch_collector_flushes_in_time() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (sender, mut flushed) = tokio::sync::mpsc::unbounded_channel();
            let batches = BatchCollector::builder(10, SHORT)
                .build(move |batch| {
                    sender.send(batch.into_vec()).unwrap();
                    async {}
                })
                .unwrap();
            batches.add(7).await.unwrap();
            assert_eq!(flushed.recv().await, Some(vec![7]));
            batches.stop().await;
        });
    }
}

#[test]
fn found_b6_retries_and_their_time_limits_wait() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let policy = RetryPolicy::exponential(SHORT).max_retries(2).attempt_timeout(SHORT);
            let mut calls = 0;
            let result = policy.call(|| {
                calls += 1;
                let hangs = calls < 2;
                async move {
                    if hangs {
                        std::future::pending::<()>().await;
                    }
                    if calls < 3 { Err("again") } else { Ok(()) }
                }
            });
            assert!(result.await.is_ok());
        });
    }
}

#[test]
fn found_b6_correlators_and_a_quorum_time_out() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let calls: Correlator<u64, ()> = Correlator::new(4);
            assert_eq!(calls.call(1, SHORT, async |_| Ok::<_, ()>(())).await, Err(CallError::TimedOut));
            let calls: KeyedCorrelator<u64, ()> = KeyedCorrelator::new(4);
            assert_eq!(calls.call(1, SHORT, async || Ok::<_, ()>(())).await, Err(CallError::TimedOut));
            let votes = Quorum::<u64, i64>::builder(2).timeout(SHORT).build().unwrap();
            assert_eq!(votes.decided(votes.ballot(), aggregate::median).await, None);
        });
    }
}

#[test]
fn found_b6_a_breaker_decides() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let breakers = Breakers::<u8>::builder(Trip::consecutive(1), Reset::after(SHORT)).build();
            assert!(breakers.call(&1, async { Err::<(), _>(()) }).await.is_err());
            assert!(matches!(breakers.call(&1, async { Ok::<_, ()>(()) }).await, Err(BreakerError::Open { .. })));
        });
    }
}

#[test]
fn found_b6_a_logger_writes_what_is_due() {
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    for runtime in runtimes() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        runtime.block_on(async {
            let sink = WriteSink::new(Lines(lines.clone()));
            let logger = Logger::builder().window(SHORT, SHORT).build(sink).unwrap();
            drop(logger.service("a").event("x", "alice"));
            RateLimiter::<u8, _>::builder(Gcra::every(SHORT)).build().until_allowed(&1).await;
            while lines.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        });
    }
}
