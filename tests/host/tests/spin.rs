//! Machines behind the spin lock, as several cores without an operating system share them.

use std::thread;

use steadfast_core::{Clock, Gcra, Instant, RateLimiter, Shared};

struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Instant {
        Instant::from_secs(1)
    }
}

type Limiter = RateLimiter<u8, Gcra, 4>;

static LIMITER: Shared<Limiter, spin::Mutex<Limiter>, Frozen> =
    Shared::new(spin::Mutex::new(RateLimiter::new(Gcra::per_hour(1_000))), Frozen);

#[test]
fn cores_share_one_quota_exactly() {
    let allowed: usize = thread::scope(|scope| {
        let cores: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..1_000).filter(|_| LIMITER.allow(&7).is_allowed()).count())).collect();
        cores.into_iter().map(|core| core.join().expect("no panic")).sum()
    });
    assert_eq!(allowed, 1_000);
    assert_eq!(LIMITER.stats().allowed + LIMITER.stats().denied, 4_000);
}
