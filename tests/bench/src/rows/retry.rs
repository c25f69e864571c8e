//! An operation whose first attempt succeeds, as nearly all do.

use std::{
    hint::black_box,
    io,
    time::{Duration, Instant},
};

use backon::{ExponentialBuilder, Retryable};
use steadfast::{RetryExt, RetryPolicy, runtime::SystemRng};
use tokio_retry2::{Retry, strategy::ExponentialBackoff};

use super::Plan;
use crate::{
    run::{Goal::Within, Row},
    slice::repeat_async,
    work::Given,
};

const BASE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
const RETRIES: u32 = 3;

pub(super) fn rows() -> Vec<Plan> {
    vec![
        Plan::new("retry, first attempt succeeds, own clocks", || {
            const POLICY: RetryPolicy = RetryPolicy::exponential(BASE).max_delay(LONGEST).max_retries(RETRIES);
            let ours = repeat_async(async || assert!(POLICY.call(operation).await.is_ok()));
            beside(Row::new(ours))
        }),
        Plan::new("retry, first attempt succeeds, `now` given", || {
            const POLICY: RetryPolicy = RetryPolicy::exponential(BASE).max_delay(LONGEST).max_retries(RETRIES);
            let ours = async || assert!(POLICY.call_with(Given, SystemRng::jitter(), operation).await.is_ok());
            beside(Row::new(repeat_async(ours)))
        }),
    ]
}

/// None of them reads a clock before the first failure.
fn beside(row: Row) -> Row {
    row.peer("backon", None, repeat_async(async || assert!(operation.retry(backon()).await.is_ok())))
        .peer("tokio-retry2", None, repeat_async(async || assert!(tokio_retry().await.is_ok())))
        .floor("loop by hand", Within(1.1), repeat_async(async || assert!(by_hand().await.is_ok())))
        .floor("no retry at all", None, repeat_async(async || assert!(operation().await.is_ok())))
}

async fn operation() -> io::Result<u64> {
    Ok(black_box(7))
}

fn backon() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(BASE)
        .with_max_delay(LONGEST)
        .with_max_times(RETRIES as usize)
        .with_jitter()
}

/// Without jitter, which it draws with the delay, so never here.
async fn tokio_retry() -> io::Result<u64> {
    let strategy = ExponentialBackoff::from_millis(2).factor(50).max_delay(LONGEST).take(RETRIES as usize);
    Retry::spawn(strategy, async || operation().await.map_err(tokio_retry2::RetryError::transient)).await
}

/// What one writes without a library, a limit of time included.
async fn by_hand() -> io::Result<u64> {
    let (mut delay, mut attempts, mut started) = (BASE, 0, None);
    loop {
        let error = match operation().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let start = *started.get_or_insert_with(Instant::now);
        if attempts >= RETRIES || start.elapsed() > LONGEST {
            return Err(error);
        }
        tokio::time::sleep(delay).await;
        (delay, attempts) = ((delay * 2).min(LONGEST), attempts + 1);
    }
}
