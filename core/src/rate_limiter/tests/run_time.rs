//! The sliding log whose size is known at run time decides as the fixed one does.

use core::num::NonZeroU16;
use proptest::{collection::vec, prelude::*};
use std::string::String;

use super::*;
use crate::{foundation::storage::Heap, rate_limiter::SlidingLogIn};

const SECOND: Duration = Duration::from_secs(1);

fn log(max: u16) -> SlidingLogIn<Heap> {
    SlidingLogIn::new(NonZeroU16::new(max).unwrap(), SECOND)
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Allow(u32),
    Mend,
    Refund(u32),
    RefundLast(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (1..8_u32).prop_map(Op::Allow),
        1 => Just(Op::Mend),
        1 => (1..8_u32).prop_map(Op::Refund),
        1 => (1..8_u32).prop_map(Op::RefundLast),
    ]
}

fn after<A: Quota>(quota: &A, state: &mut A::State, op: Op, now: Instant) -> String {
    let cost = |cost| NonZeroU32::new(cost).unwrap();
    let decision = match op {
        Op::Allow(n) => Some(quota.allow(state, cost(n), now)),
        Op::Mend => {
            quota.mend(state, now);
            None
        }
        Op::Refund(n) => {
            quota.refund(state, cost(n), now);
            None
        }
        Op::RefundLast(n) => {
            quota.refund_last(state, cost(n), now);
            None
        }
    };
    let ready = [(0, 1), (3, 2), (20, 5), (1, 6)].map(|(ahead, n)| quota.ready_at(state, ahead, cost(n), now));
    let rest = (quota.check(state, cost(2), now), quota.remaining(state, now), quota.reset_at(state, now));
    format!("{decision:?} {ready:?} {rest:?}")
}

proptest! {
    #[test]
    fn it_decides_as_the_fixed_one_does(ops in vec((-300_i64..900, op()), 1..100)) {
        let (fixed, chosen) = (SlidingLog::<5>::new(SECOND), log(5));
        let (mut one, mut other) = (SlidingLog::<5>::IDLE, SlidingLogIn::<Heap>::IDLE);
        let mut millis = 10_000_i64;
        for (pause, op) in ops {
            millis += pause;
            let now = Instant::from_millis(millis.unsigned_abs());
            prop_assert_eq!(fixed.limit(), chosen.limit());
            prop_assert_eq!(after(&fixed, &mut one, op, now), after(&chosen, &mut other, op, now));
        }
    }
}

#[test]
fn under_another_size_the_newest_that_counted_are_kept() {
    let mut limiter: RateLimiter<char, SlidingLogIn<Heap>, 4> = RateLimiter::new(log(5));
    let ms = |millis: u64| Instant::from_millis(100_000 + millis);
    for millis in [0, 100, 200, 300] {
        assert!(limiter.allow(&'a', ms(millis)).is_allowed());
    }
    limiter.set_quota(log(9), ms(300));
    assert_eq!(limiter.remaining(&'a', ms(300)), 5);
    limiter.set_quota(log(2), ms(300));
    assert_eq!(limiter.allow(&'a', ms(300)), Decision::Deny { retry_at: ms(1_200) });
    assert!(limiter.allow(&'a', ms(1_200)).is_allowed());
    assert_eq!(limiter.remaining(&'a', ms(1_200)), 0);
}

#[test]
fn a_key_that_has_not_asked_takes_no_memory() {
    let idle = SlidingLogIn::<Heap>::IDLE;
    assert_eq!(size_of_val(&idle), 3 * size_of::<usize>());
    assert_eq!(format!("{idle:?}"), "[]");
    assert_eq!(log(5).window(), SECOND);
    assert_eq!(size_of::<SlidingLogState<5>>(), 44);
}
