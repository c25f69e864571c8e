//! The runtime: lock, monotonic clock, timer, entropy and [`block_on`], on tokio or without an async runtime.

mod alarm;
mod blocking;
mod clock;
mod entropy;
#[cfg(feature = "tokio")]
mod held;
mod lock;
mod panics;
#[cfg(feature = "tick")]
mod tick;
mod timer;
#[cfg(feature = "tokio")]
mod tokio_timer;
mod waiters;

pub use blocking::block_on;
pub(crate) use entropy::random_seed;
pub use entropy::{JitterRng, SystemRng};
pub use lock::Mutex;
pub(crate) use panics::unless_it_panics;
#[doc(inline)]
pub use steadfast_core::foundation::shared::{Clock, Lock, Timer};
#[cfg(feature = "tick")]
pub use tick::{TickClock, TickSleep};
pub use timer::{SystemSleep, SystemTimer};
#[cfg(feature = "tokio")]
pub(crate) use tokio_timer::here as runtime_here;
pub(crate) use waiters::{Asking, Asks, Waiters};
