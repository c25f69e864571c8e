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

fn after<A: Quota>(quota: &A, state: &mut (Instant, A::Beside), op: Op, now: Instant) -> String {
    let cost = |cost| NonZeroU32::new(cost).unwrap();
    let (idle_at, beside) = state;
    let mut decision = None;
    match op {
        Op::Allow(n) => match quota.allow(*idle_at, Held::Entry(beside), cost(n), now, now) {
            Ok((told, after)) => (decision, *idle_at) = (Some(Ok(told)), after),
            Err(error) => decision = Some(Err(error)),
        },
        Op::Mend => {
            *idle_at = quota.mend(*idle_at, Held::Entry(beside), now);
        }
        Op::Refund(n) => *idle_at = quota.refund(*idle_at, Held::Entry(beside), cost(n), now),
        Op::RefundLast(n) => *idle_at = quota.refund_last(*idle_at, Held::Entry(beside), cost(n), now),
    }
    let mut ready_at = |(ahead, n)| quota.ready_at(*idle_at, Held::Entry(beside), ahead, cost(n), now);
    let ready = [(0, 1), (3, 2), (20, 5), (1, 6)].map(&mut ready_at);
    let check = quota.check(*idle_at, Held::Entry(beside), cost(2), now);
    let remaining = quota.remaining(*idle_at, Held::Entry(beside), now);
    format!("{decision:?} {ready:?} {check:?} {remaining} {:?}", (*idle_at).max(now))
}

proptest! {
    #[test]
    fn it_decides_as_the_fixed_one_does(ops in vec((-300_i64..900, op()), 1..100)) {
        let (fixed, chosen) = (SlidingLog::<5>::new(SECOND), log(5));
        let mut one = (Instant::ZERO, SlidingLog::<5>::IDLE);
        let mut other = (Instant::ZERO, SlidingLogIn::<Heap>::IDLE);
        let mut millis = 10_000_i64;
        for (pause, op) in ops {
            millis += pause;
            let now = Instant::from_millis(millis.unsigned_abs());
            prop_assert_eq!(fixed.limit(), chosen.limit());
            prop_assert_eq!(after(&fixed, &mut one, op, now), after(&chosen, &mut other, op, now));
        }
    }

    /// A key without an entry is never allowed more than one whose log has all instants.
    #[test]
    fn a_cell_allows_no_more_than_the_log_that_it_stands_for(ops in vec((0..900_i64, 1..8_u32), 1..100)) {
        let quota = SlidingLog::<5>::new(SECOND);
        let (mut log, mut cell) = ((Instant::ZERO, SlidingLog::<5>::IDLE), (Instant::ZERO, 0_u16));
        let mut millis = 10_000_u64;
        for (pause, cost) in ops {
            millis += pause.unsigned_abs();
            let (now, cost) = (Instant::from_millis(millis), NonZeroU32::new(cost).unwrap());
            let ready_at = quota.ready_at(cell.0, Held::Cell(&mut cell.1), 0, cost, now);
            let Ok((decision, idle_at)) = quota.allow(cell.0, Held::Cell(&mut cell.1), cost, now, now) else { continue };
            prop_assert_eq!(ready_at, Ok(if let Decision::Deny { retry_at } = decision { retry_at } else { now }));
            cell.0 = idle_at;
            if decision.is_allowed() {
                let told = quota.allow(log.0, Held::Entry(&mut log.1), cost, now, now);
                prop_assert_eq!(told.map(|(decision, _)| decision), Ok(Decision::Allow));
                log.0 = told.unwrap().1;
            }
            let left = quota.remaining(cell.0, Held::Cell(&mut cell.1), now);
            prop_assert!(left <= quota.remaining(log.0, Held::Entry(&mut log.1), now));
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

/// In a table of eight with a ledger, under a flood: what is evicted, owed and told is the same.
#[test]
fn a_full_limiter_with_a_chosen_size_decides_as_one_with_the_fixed_size() {
    fn limiter<A: Quota>(quota: A) -> RateLimiterIn<u32, A, Heap> {
        RateLimiterIn::allocate(quota, 8, 8, HashSeed::new(3, 4))
    }
    let (mut fixed, mut chosen) = (limiter(SlidingLog::<5>::new(SECOND)), limiter(log(5)));
    let (mut now, mut state) = (at(100), 7_u64);
    let mut below = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % limit
    };
    for round in 0..20_000 {
        now = now.saturating_add(Duration::from_millis(below(30)));
        let (key, cost) = (below(40) as u32, NonZeroU32::new(1 + below(3) as u32).unwrap());
        match below(20) {
            0 => assert_eq!(fixed.refund(&key, cost, now), chosen.refund(&key, cost, now)),
            1 if round % 50 == 0 => {
                let window = Duration::from_millis(500 + below(1_000));
                fixed.set_quota(SlidingLog::new(window), now);
                chosen.set_quota(SlidingLogIn::new(NonZeroU16::new(5).unwrap(), window), now);
            }
            2 => assert_eq!(fixed.check_verdict(&key, cost, now), chosen.check_verdict(&key, cost, now)),
            3 => assert_eq!(fixed.ready_at(&key, 2, cost, now), chosen.ready_at(&key, 2, cost, now)),
            4 => assert_eq!(fixed.remaining(&key, now), chosen.remaining(&key, now)),
            5 => assert_eq!(fixed.reset_at(&key, now), chosen.reset_at(&key, now)),
            _ => assert_eq!(fixed.allow_n(&key, cost, now), chosen.allow_n(&key, cost, now)),
        }
    }
    assert_eq!(fixed.stats(), chosen.stats());
    assert!(fixed.stats().evicted > 100 && fixed.stats().refused > 100, "{:?}", fixed.stats());
    let (mut beside, mut count) = (SlidingLog::<5>::IDLE, SlidingLog::<5>::NOTHING);
    let shown = [Held::Entry::<SlidingLog<5>>(&mut beside), Held::Cell(&mut count)].map(|held| format!("{held:?}"));
    assert_eq!(shown, ["Entry(..)", "Cell(..)"]);
}
