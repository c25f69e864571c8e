//! Time and scheduling for tests that never sleep (feature `test-util`).

mod clock;
#[cfg(test)]
mod seeds;
#[cfg(target_has_atomic = "ptr")]
mod simulator;
#[cfg(target_has_atomic = "ptr")]
mod timer;

pub use clock::ManualClock;
#[cfg(test)]
pub(crate) use seeds::seeds;
#[cfg(target_has_atomic = "ptr")]
pub use simulator::{Simulator, TaskId};
#[cfg(target_has_atomic = "ptr")]
pub use timer::{VirtualSleep, VirtualTimer};
