use steadfast_core::{Correlator, KeyedCorrelator, correlator::CallId};

use crate::{any, now, see, seed, span};

pub fn probe() {
    correlator();
    keyed_correlator();
}

#[inline(never)]
fn correlator() {
    let mut calls: Correlator<u32, [u8; 8], 16> = Correlator::new(any());
    see(calls.reseed(any()));
    for _ in 0..any::<u32>() {
        see(calls.begin(any(), span(), now()).map(|call| (call.id().as_u64(), call.expires_at())));
        let id = CallId::from_u64(any());
        see(calls.resolve(id, any(), any(), now()).is_matched());
        see((calls.resolve(id, any(), any(), now()).into_unmatched(), calls.take(id), calls.cancel(id)));
        see((calls.next_deadline(), calls.on_timeout(now()), calls.stats().since(calls.stats()), calls.round_trips()));
        see((calls.len(), calls.is_empty(), calls.capacity(), calls.is_closed()));
        if any() {
            calls.close();
            calls.reopen();
        }
    }
}

#[inline(never)]
fn keyed_correlator() {
    let mut calls: KeyedCorrelator<u64, [u8; 8], 16> = KeyedCorrelator::with_hasher(seed());
    calls.reseed(seed());
    for _ in 0..any::<u32>() {
        see(calls.begin(any(), span(), now()));
        let id: u64 = any();
        see((calls.resolve(&id, any(), now()), calls.take(&id), calls.cancel(&id)));
        see((calls.next_deadline(), calls.on_timeout(now()), calls.stats().since(calls.stats()), calls.round_trips()));
        see((calls.len(), calls.is_empty(), calls.capacity(), calls.is_closed()));
        if any() {
            calls.close();
            calls.reopen();
        }
    }
}
