use steadfast_core::session::{CounterReserve, KeyRing, ReplayWindow};

use crate::{any, limiters::cost, see};

#[inline(never)]
pub fn probe() {
    window(ReplayWindow::<2>::new());
    window(ReplayWindow::<256>::resume(any()));

    let mut counters = CounterReserve::restore(any(), cost());
    for _ in 0..any::<u32>() {
        see((counters.next(), counters.remaining(), counters.to_store(), counters.stored(any())));
    }

    let mut keys = KeyRing::new(any(), any::<u32>());
    for _ in 0..any::<u32>() {
        see(keys.add(any(), any()));
        see(keys.promote());
        see(keys.retire(any()));
        see((keys.current(), keys.get(any())));
        see(keys.current_mut());
        see(keys.get_mut(any()));
    }
}

fn window<const W: usize>(mut window: ReplayWindow<W>) {
    for _ in 0..any::<u32>() {
        see(window.next());
        if let Ok(candidate) = window.check(any()) {
            see(window.accept(candidate));
        }
    }
}
