use steadfast_core::{
    Gcra, Lease, Leases,
    lease::{Grant, Spend},
};

use crate::{any, limiters::cost, now, see, seed, span};

pub fn probe() {
    let lease = || Lease::up_to(any()).hold(span());
    see(lease().eager().most_held(any()));
    leases(lease());
}

#[inline(never)]
fn leases(lease: Lease) {
    let quota = || Gcra::every(span()).burst(any());
    let mut leases: Leases<u64, 8> = Leases::new(quota(), lease);
    for _ in 0..any::<u32>() {
        let (key, now): (u64, _) = (any(), now());
        if let Ok(Spend::Ask(ask) | Spend::Allowed { refill: Some(ask) }) = leases.spend(&key, cost(), now) {
            see((ask.cost(), ask.wanted()));
            match any::<u8>() {
                0 => see(leases.granted(&key, ask, any(), now)),
                1 => see(leases.denied(&key, ask, crate::now(), now)),
                _ => leases.failed(&key, ask, now),
            }
        }
        leases.expire(any(), now, |key, back| see((*key, back)));
        see((leases.len(), leases.is_empty(), leases.capacity()));
        see((leases.quota(), leases.lease()));
        leases.set_settings(quota(), lease, now);
        leases.reseed(seed());
        see(Grant::Granted(cost()));
    }
}
