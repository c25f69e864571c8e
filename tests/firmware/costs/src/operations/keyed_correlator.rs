//! 8 calls with ids of 16 bytes that came from elsewhere, with replies of 8.

use core::time::Duration;

use steadfast_core::{Instant, KeyedCorrelator, correlator::Resolution};

pub type Id = [u8; 16];
pub type Reply = [u8; 8];
pub type Calls = KeyedCorrelator<Id, Reply, 8>;

pub const NEW: Calls = KeyedCorrelator::new();

operations! {
    fn begin(calls: &mut Calls, id: &Id, timeout: Duration, now: Instant) -> bool {
        calls.begin(*id, timeout, now).is_ok()
    }
    fn resolve(calls: &mut Calls, id: &Id, reply: Reply, now: Instant) -> Resolution<Reply> {
        calls.resolve(id, reply, now)
    }
    fn take(calls: &mut Calls, id: &Id) -> Option<Reply> {
        calls.take(id)
    }
    /// How many have expired.
    fn on_timeout(calls: &mut Calls, now: Instant) -> usize {
        let mut expired = 0;
        while calls.on_timeout(now).is_some() {
            expired += 1;
        }
        expired
    }
}

/// What fewer programs call.
pub mod rest {
    use super::*;

    operations! {
        fn cancel(calls: &mut Calls, id: &Id) -> bool {
            calls.cancel(id)
        }
    }
}
