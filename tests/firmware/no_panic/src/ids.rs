use steadfast_core::{
    DedupCache,
    dedup_cache::{Claim, OnFull},
};

use crate::{any, now, see, seed, span};

pub fn probe() {
    dedup_cache(OnFull::ForgetOldest);
    dedup_cache(OnFull::Refuse);
}

#[inline(never)]
fn dedup_cache(on_full: OnFull) {
    let mut cache: DedupCache<[u8; 16], 64> = DedupCache::with_hasher(span(), on_full, seed()).with_lease(span());
    cache.reseed(seed());
    for _ in 0..any::<u32>() {
        let key = any();
        see((cache.check(&key, now()).is_fresh(), cache.seen(&key, now()), cache.mark(&key, now())));
        let hash = cache.hash(&key);
        see((cache.forget(&key, now()), cache.forget_with(hash, &key, now())));
        see((cache.in_flight_until(&key, now()), cache.in_flight_until_with(hash, &key, now())));
        let mut spare = any::<bool>().then(any);
        see(cache.check_with(hash, &key, &mut spare, now));
        see(cache.seen_with(hash, &key, now()));
        see(cache.mark_with(hash, &key, &mut spare, now()));
        for claim in [Some(cache.claim(&key, now())), cache.claim_with(hash, &key, &mut spare, now())] {
            if let Some(Claim::Fresh(ticket)) = claim.map(|claim| claim.map(|ticket| ticket)) {
                match any::<u8>() {
                    0 => see(cache.commit(ticket, now())),
                    _ => see(cache.abort(ticket, now())),
                }
            }
        }
        see((cache.cleanup(now()), cache.cleanup_some(any(), see, now()), cache.horizon(now()), cache.next_deadline()));
        cache.on_timeout(now());
        cache.set_settings(span(), span(), on_full, now());
        see((cache.stats().plus(cache.stats()), cache.len(), cache.is_empty(), cache.capacity(), cache.ttl()));
    }
}
