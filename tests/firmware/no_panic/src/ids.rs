use steadfast_core::{
    DedupCache, HashSeed,
    dedup_cache::{Claim, ClaimTicket, OnFull},
};

use crate::{any, now, see, seed, span};

pub fn probe() {
    dedup_cache(OnFull::ForgetOldest);
    dedup_cache(OnFull::Refuse);
}

#[inline(never)]
fn dedup_cache(on_full: OnFull) {
    let cache: DedupCache<[u8; 16], 64, HashSeed, u32> = DedupCache::with_hasher(span(), on_full, seed());
    let mut cache = cache.with_lease(span());
    see(DedupCache::<u32, 4>::new(span(), on_full).check(&any(), now()));
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
        let ticket =
            |claim: Claim<ClaimTicket, u32>| if let Claim::Fresh(ticket) = claim { Some(ticket) } else { None };
        let mine = ticket(cache.claim(&key, now()));
        let lent = cache.claim_with(hash, &key, &mut spare, now());
        let lent = lent.map(|claim| claim.map(|ticket| ticket).map_value(|value| *value));
        for ticket in [mine, lent.and_then(ticket)].into_iter().flatten() {
            match any::<u8>() {
                0 => see(cache.commit(ticket, now())),
                1 => see(cache.commit_with(ticket, &mut any(), now())),
                _ => see(cache.abort(ticket, now())),
            }
        }
        see((cache.cleanup(now()), cache.cleanup_some(any(), see, now()), cache.horizon(now()), cache.next_deadline()));
        cache.on_timeout(now());
        cache.set_settings(span(), span(), on_full, now());
        see((
            cache.stats().plus(cache.stats()).since(cache.stats()),
            cache.len(),
            cache.is_empty(),
            cache.capacity(),
            cache.ttl(),
        ));
    }
}
