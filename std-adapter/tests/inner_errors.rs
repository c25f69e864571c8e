//! Inner errors of every kind pass on with `?`, and the chain of causes tells each once.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use core::{future::ready, time::Duration};
use std::{error::Error, fmt, io};

use anyhow::Context;
use steadfast::{
    BoxedInner, CircuitBreaker, Correlator, Reset, RetryExt, RetryPolicy, Trip, block_on, correlator::CallError,
};

type AnyError = Box<dyn Error + Send + Sync>;

const POLICY: RetryPolicy = RetryPolicy::constant(Duration::ZERO).max_retries(1);

#[derive(Debug)]
struct Fetch(io::Error);

impl fmt::Display for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no orders")
    }
}

impl Error for Fetch {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn refused() -> Fetch {
    Fetch(io::Error::other("connection refused"))
}

fn breaker() -> CircuitBreaker {
    CircuitBreaker::new(Trip::consecutive(9), Reset::after(Duration::from_secs(30)))
}

/// What an application prints at its end.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<_> =
        core::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    causes.join(": ")
}

#[test]
fn an_error_of_ones_own_needs_nothing() {
    let fail = || -> Result<(), AnyError> { Ok(block_on(breaker().call(ready(Err(refused()))))?) };
    assert_eq!(chain(&*fail().unwrap_err()), "no orders: connection refused");
    let fail = || -> anyhow::Result<()> { Ok(block_on(POLICY.call(|| ready(Err(refused()))))?) };
    let said = "gave up after 2 attempts, no attempt is left: no orders: connection refused";
    assert_eq!(chain(fail().unwrap_err().as_ref()), said);
}

#[test]
fn a_boxed_error_passes_on() {
    let fail = || -> Result<(), AnyError> {
        Ok(block_on(breaker().call(ready(Err(AnyError::from(refused()))))).map_err(BoxedInner::boxed)?)
    };
    assert_eq!(chain(&*fail().unwrap_err()), "no orders: connection refused");
    let calls: Correlator<u8, u8> = Correlator::new(1);
    let send = |_| ready(Err(AnyError::from(refused())));
    let error = block_on(calls.call(1, Duration::from_secs(1), send)).unwrap_err();
    assert!(matches!(error, CallError::Send(_)));
    assert_eq!(chain(&error.boxed()), "the request could not be sent: no orders: connection refused");
}

#[test]
fn an_error_of_anyhow_passes_on() {
    let fetch = || async { Err::<(), _>(refused()).context("page 7") };
    let fail = || -> anyhow::Result<()> { Ok(block_on(breaker().call(fetch())).map_err(BoxedInner::boxed)?) };
    assert_eq!(chain(fail().unwrap_err().as_ref()), "page 7: no orders: connection refused");
    let error = block_on(POLICY.call(fetch)).unwrap_err().boxed();
    assert_eq!(chain(&error), "gave up after 2 attempts, no attempt is left: page 7: no orders: connection refused");
    assert_eq!(error.last.expect("it was not cut off").into_inner().to_string(), "page 7");
}
