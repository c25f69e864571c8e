use core::time::Duration;

use heapless::Vec;
use steadfast_core::{
    DedupCache,
    dedup_cache::{Claim, ClaimTicket, OnFull},
};

use super::{rounds, take};
use crate::{Fold, HostileClock, Script, hasher::SameEverywhere};

/// 40 ids on 32 entries.
pub(crate) fn run(fold: &mut Fold, script: &mut Script, operations: u32) {
    const ON_FULL: [OnFull; 2] = [OnFull::ForgetOldest, OnFull::Refuse];

    rounds(operations, |round, operations| {
        let (ttl, lease) = (Duration::from_secs(2), Duration::from_millis(300));
        let on_full = ON_FULL[round as usize % 2];
        let mut cache: DedupCache<u32, 32, _, u32> =
            DedupCache::with_hasher(ttl, on_full, SameEverywhere).with_lease(lease);
        let mut tickets: Vec<ClaimTicket, 8> = Vec::new();
        let mut clock = HostileClock::new(Duration::from_millis(20));
        for _ in 0..operations {
            let now = clock.tick(script);
            let id = script.below(40);
            match script.below(64) {
                0..24 => fold.answer(&cache.check(&id, now)),
                24..30 => fold.answer(&cache.seen(&id, now)),
                30..34 => fold.answer(&cache.mark(&id, now)),
                34..46 => match cache.claim(&id, now) {
                    Claim::Duplicate { first_seen_at, count, value } => fold.answer(&(first_seen_at, count, value)),
                    Claim::Fresh(ticket) => {
                        fold.number(1);
                        let _lost = tickets.push(ticket);
                    }
                    Claim::Full => fold.number(2),
                    Claim::InFlight => fold.number(3),
                },
                46..53 => {
                    if let Some(ticket) = take(&mut tickets, script) {
                        let mut value = script.any() as u32;
                        fold.answer(&(cache.commit_with(ticket, &mut value, now).is_ok(), value));
                    }
                }
                53..56 => {
                    if let Some(ticket) = take(&mut tickets, script) {
                        fold.answer(&cache.abort(ticket, now).is_some());
                    }
                }
                56 => fold.answer(&cache.forget(&id, now).is_some()),
                57 => fold.answer(&cache.in_flight_until(&id, now)),
                58 => fold.number(cache.cleanup(now) as u64),
                59 => fold.number(cache.cleanup_some(script.below(4) as usize, drop, now) as u64),
                60 => cache.on_timeout(now),
                61 => cache.set_settings(ttl / (1 + script.below(3)), lease, script.one_of(&ON_FULL), now),
                _ => fold.answer(&cache.horizon(now)),
            }
            fold.answer(&(cache.next_deadline(), cache.len(), cache.stats()));
        }
    });
}
