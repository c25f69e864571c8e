//! 8 calls of peers of 4 bytes with replies of 8.

use core::time::Duration;

use steadfast_core::{
    Correlator, Instant,
    correlator::{CallId, Resolution},
};

pub type Reply = [u8; 8];
pub type Calls = Correlator<u32, Reply, 8>;

pub const NEW: Calls = Correlator::new(0x5eed);

operations! {
    fn begin(calls: &mut Calls, peer: u32, timeout: Duration, now: Instant) -> Option<CallId> {
        calls.begin(peer, timeout, now).ok().map(|call| call.id())
    }
    fn resolve(calls: &mut Calls, id: CallId, from: u32, reply: Reply, now: Instant) -> Resolution<Reply> {
        calls.resolve(id, from, reply, now)
    }
    fn take(calls: &mut Calls, id: CallId) -> Option<Reply> {
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
        fn cancel(calls: &mut Calls, id: CallId) -> bool {
            calls.cancel(id)
        }
        fn next_deadline(calls: &Calls) -> Option<Instant> {
            calls.next_deadline()
        }
    }
}
