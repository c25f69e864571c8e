use core::time::Duration;

use heapless::Vec;
use steadfast_core::{Correlator, KeyedCorrelator, correlator::CallId};

use super::rounds;
use crate::{Fold, HostileClock, Script, hasher::SameEverywhere};

pub(crate) fn numbered(fold: &mut Fold, script: &mut Script, operations: u32) {
    rounds(operations, |_, operations| {
        let mut calls: Correlator<u8, u32, 12> = Correlator::new(script.any());
        // Of calls that are over, too.
        let mut ids: Vec<CallId, 32> = Vec::new();
        let mut clock = HostileClock::new(Duration::from_millis(100));
        for _ in 0..operations {
            let now = clock.tick(script);
            let peer = script.below(3) as u8;
            let id = match script.below(16) {
                0 => CallId::from_u64(script.any()),
                _ => ids.get(script.below(32) as usize).copied().unwrap_or(CallId::from_u64(1)),
            };
            match script.below(64) {
                0..24 => {
                    let call = calls.begin(peer, timeout(script), now);
                    fold.answer(&call);
                    if let Ok(call) = call {
                        if ids.is_full() {
                            ids.remove(0);
                        }
                        let _there_is_room = ids.push(call.id());
                    }
                }
                24..40 => fold.answer(&calls.resolve(id, peer, script.any() as u32, now)),
                40..50 => fold.answer(&calls.take(id)),
                50..54 => fold.answer(&calls.cancel(id)),
                54..62 => fold.answer(&calls.on_timeout(now)),
                62 => calls.close(),
                _ => calls.reopen(),
            }
            fold.answer(&(calls.next_deadline(), calls.len(), calls.round_trips(), calls.stats()));
        }
    });
}

pub(crate) fn keyed(fold: &mut Fold, script: &mut Script, operations: u32) {
    rounds(operations, |_, operations| {
        let mut calls: KeyedCorrelator<u32, u32, 12, _> = KeyedCorrelator::with_hasher(SameEverywhere);
        let mut clock = HostileClock::new(Duration::from_millis(100));
        for _ in 0..operations {
            let now = clock.tick(script);
            let id = script.below(20);
            match script.below(64) {
                0..24 => fold.answer(&calls.begin(id, timeout(script), now)),
                24..40 => fold.answer(&calls.resolve(&id, script.any() as u32, now)),
                40..50 => fold.answer(&calls.take(&id)),
                50..54 => fold.answer(&calls.cancel(&id)),
                54..62 => fold.answer(&calls.on_timeout(now)),
                62 => calls.close(),
                _ => calls.reopen(),
            }
            fold.answer(&(calls.next_deadline(), calls.len(), calls.round_trips(), calls.stats()));
        }
    });
}

fn timeout(script: &mut Script) -> Duration {
    match script.below(8) {
        0 => script.span(),
        _ => Duration::from_millis(50 * u64::from(script.below(12))),
    }
}
