//! Errors whose inner error is not one itself.

use core::fmt;
use std::error::Error;

use steadfast_core::{circuit_breaker::BreakerError, correlator::CallError, retry::RetryError};

/// Any error behind one type: what `anyhow::Error`, `Box<dyn Error + Send + Sync>` and `String` become by
/// [`boxed`](BoxedInner::boxed).
///
/// None of those is a [`std::error::Error`], and so neither is an error of this crate that holds one; with this it is.
/// It says, and has for its [`source`](Error::source), what the error in it says and has.
pub struct BoxedError(Box<dyn Error + Send + Sync>);

impl BoxedError {
    /// The error in it.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl From<Box<dyn Error + Send + Sync>> for BoxedError {
    fn from(error: Box<dyn Error + Send + Sync>) -> Self {
        Self(error)
    }
}

impl fmt::Debug for BoxedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for BoxedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for BoxedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// For inner errors that are no [`std::error::Error`] themselves: makes one that can be passed on with `?`.
///
/// ```
/// use core::time::Duration;
/// use steadfast::{BoxedInner, CircuitBreaker, Reset, Trip};
///
/// type AnyError = Box<dyn std::error::Error + Send + Sync>;
///
/// # async fn fetch() -> Result<u32, AnyError> { Ok("7".parse()?) }
/// async fn orders(breaker: &CircuitBreaker) -> Result<u32, AnyError> {
///     Ok(breaker.call(fetch()).await.map_err(BoxedInner::boxed)?)
/// }
/// # let breaker = CircuitBreaker::new(Trip::consecutive(3), Reset::after(Duration::from_secs(30)));
/// # assert_eq!(steadfast::block_on(orders(&breaker)).unwrap(), 7);
/// ```
pub trait BoxedInner {
    /// The same error, with a [`BoxedError`] in it.
    type Boxed: Error;

    /// Boxes the inner error.
    fn boxed(self) -> Self::Boxed;
}

fn boxed<E: Into<Box<dyn Error + Send + Sync>>>(error: E) -> BoxedError {
    BoxedError(error.into())
}

impl<E: Into<Box<dyn Error + Send + Sync>>> BoxedInner for BreakerError<E> {
    type Boxed = BreakerError<BoxedError>;

    fn boxed(self) -> Self::Boxed {
        self.map_inner(boxed)
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> BoxedInner for RetryError<E> {
    type Boxed = RetryError<BoxedError>;

    fn boxed(self) -> Self::Boxed {
        self.map_inner(boxed)
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> BoxedInner for CallError<E> {
    type Boxed = CallError<BoxedError>;

    fn boxed(self) -> Self::Boxed {
        self.map_inner(boxed)
    }
}
