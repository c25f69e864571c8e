//! 64 ids of 16 bytes.

use core::time::Duration;

use steadfast_core::{
    DedupCache, Instant,
    dedup_cache::{Claim, ClaimTicket, OnFull, Seen},
};

pub type Id = [u8; 16];
pub type Cache = DedupCache<Id, 64>;

pub const TTL: Duration = Duration::from_secs(60);
pub const FORGETS: Cache = DedupCache::new(TTL, OnFull::ForgetOldest);
pub const REFUSES: Cache = DedupCache::new(TTL, OnFull::Refuse);

operations! {
    fn check(cache: &mut Cache, id: &Id, now: Instant) -> Seen {
        cache.check(id, now)
    }
}

/// What fewer programs call.
pub mod rest {
    use super::*;

    operations! {
        fn seen(cache: &mut Cache, id: &Id, now: Instant) -> bool {
            cache.seen(id, now)
        }
        fn claim(cache: &mut Cache, id: &Id, now: Instant) -> Claim {
            cache.claim(id, now)
        }
        fn commit(cache: &mut Cache, ticket: ClaimTicket, now: Instant) -> bool {
            cache.commit(ticket, now).is_ok()
        }
        fn abort(cache: &mut Cache, ticket: ClaimTicket, now: Instant) {
            cache.abort(ticket, now);
        }
        fn on_timeout(cache: &mut Cache, now: Instant) {
            cache.on_timeout(now);
        }
        fn cleanup(cache: &mut Cache, now: Instant) -> usize {
            cache.cleanup(now)
        }
    }
}
