//! What the demo asserts of itself while it runs.

use std::{fmt, time::Duration};

use steadfast::{Logger, logger::ServiceLog};
use tokio::time::{Instant, sleep};

/// How long a check waits for what has to become true.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints each check as it is made, and remembers whether all held.
#[derive(Debug)]
pub(super) struct Checks {
    logger: Logger,
    held: ServiceLog<Logger>,
    failed: ServiceLog<Logger>,
    made: u32,
    failures: u32,
}

impl Checks {
    pub(super) fn new(logger: &Logger) -> Self {
        let held = logger.service("check").prefix("✅");
        let failed = logger.service("failed").prefix("❌");
        Self { logger: logger.clone(), held, failed, made: 0, failures: 0 }
    }

    /// Checks what has to be true now.
    pub(super) fn that(&mut self, holds: bool, what: impl fmt::Display) {
        self.logger.flush(); // so that what led to it stands before it
        self.made += 1;
        if holds {
            self.held.info(format_args!("{what}"));
        } else {
            self.failures += 1;
            self.failed.error(format_args!("{what}"));
        }
    }

    /// Checks what has to become true soon, because a datagram is still on its way.
    pub(super) async fn soon(&mut self, mut holds: impl FnMut() -> bool, what: impl fmt::Display) {
        let ends_at = Instant::now() + PATIENCE;
        while !holds() && Instant::now() < ends_at {
            sleep(Duration::from_millis(5)).await;
        }
        self.that(holds(), what);
    }

    pub(super) const fn made(&self) -> u32 {
        self.made
    }

    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }
}
