//! Several limiters as one: all count a request, or none.

use core::{
    cell::{Cell, RefCell},
    hash::Hasher,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use std::{panic, rc::Rc, thread};

use proptest::prelude::*;
use steadfast_core::{Instant, test_util::ManualClock};

use super::*;
use crate::rate_limiter::{Enforce, Gcra, Keys, Prints, SlidingLog};

fn limiter<K, A: Quota + Clone>(quota: A, clock: &ManualClock) -> RateLimiter<K, A, ManualClock> {
    RateLimiter::builder(quota).timer(clock.clone()).build()
}

fn cost(units: u32) -> NonZeroU32 {
    NonZeroU32::new(units).unwrap()
}

proptest! {
    #[test]
    fn a_request_counts_where_all_have_room_for_it_and_nowhere_else(
        requests in prop::collection::vec((0..2_u8, 1..4_u32, 0..3_u8, 1..4_u32, 1..4_u32, 0..900_u64), 1..60),
    ) {
        let clock = ManualClock::default();
        let first = limiter::<u8, _>(Gcra::per_second(2).burst(4), &clock);
        let second = limiter::<u8, _>(SlidingLog::<5>::per_second(), &clock);
        let third: RateLimiter<u8, _, _, Keys> =
            RateLimiter::builder(Gcra::per_second(3)).timer(clock.clone()).keep_keys().build();
        for (a, of_a, b, of_b, again, millis) in requests {
            clock.advance(Duration::from_millis(millis));
            let left = || [first.remaining(&a), second.remaining(&b), third.remaining(&b)];
            let before = left();
            // The first is asked twice for the same key.
            let asked = allow_all([
                &(&first, &a, cost(of_a)),
                &(&second, &b, cost(of_b)),
                &(&third, &b, cost(1)),
                &(&first, &a, cost(again)),
            ]);
            let takes = [of_a + again, of_b, 1];
            let has_room = before.iter().zip(takes).all(|(left, takes)| *left >= takes);
            prop_assert_eq!(asked.unwrap().decision.is_allowed(), has_room);
            let takes = if has_room { takes } else { [0; 3] };
            prop_assert_eq!(left(), [before[0] - takes[0], before[1] - takes[1], before[2] - takes[2]]);
        }
    }
}

#[test]
fn who_denies_is_told_with_the_latest_time_and_counts_it() {
    let clock = ManualClock::default();
    let slow = limiter::<u8, _>(Gcra::per_minute(1), &clock);
    let fast = limiter::<u8, _>(Gcra::per_second(1), &clock);
    let free = limiter::<u8, _>(Gcra::per_second(9), &clock);
    let ask = || allow_all([&(&free, &1, cost(1)), &(&fast, &1, cost(1)), &(&slow, &1, cost(1))]).unwrap();
    assert_eq!(ask(), AllOf { decision: Decision::Allow, each: [Decision::Allow; 3] });

    let at = |secs| Decision::Deny { retry_at: Instant::from_secs(secs) };
    assert_eq!(ask(), AllOf { decision: at(60), each: [Decision::Allow, at(1), at(60)] });
    let told = |limiter: &RateLimiter<u8, Gcra, ManualClock>| (limiter.stats().allowed, limiter.stats().denied);
    assert_eq!([told(&slow), told(&fast), told(&free)], [(1, 1), (1, 1), (1, 0)]);

    assert_eq!(allow_all([]).unwrap().decision, Decision::Allow, "nobody denies");
    let never = allow_all([&(&free, &1, cost(1)), &(&fast, &1, cost(2))]);
    assert_eq!((never, free.remaining(&1)), (Err(CostExceedsBurst { limit: 1 }), 8));
}

#[test]
fn of_those_who_ask_for_the_same_two_in_any_order_as_many_are_allowed_as_there_is_room_for() {
    let clock = ManualClock::default();
    let (one, other) = (limiter::<u8, _>(Gcra::per_hour(500), &clock), limiter::<(), _>(Gcra::per_hour(700), &clock));
    let allowed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..4 {
            let (one, other, allowed) = (&one, &other, &allowed);
            scope.spawn(move || {
                for _ in 0..300 {
                    let (one, other) = (&(one, &1_u8, cost(1)), &(other, &(), cost(1)));
                    let all = if number % 2 == 0 { allow_all([one, other]) } else { allow_all([other, one]) };
                    allowed.fetch_add(all.unwrap().decision.is_allowed().into(), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!((allowed.into_inner(), one.remaining(&1), other.remaining(&())), (500, 0, 200));
}

thread_local! {
    static ON_HASH: RefCell<Option<Rc<dyn Fn()>>> = const { RefCell::new(None) };
}

/// A key that acts when it is hashed.
struct Acting;

impl Hash for Acting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(0);
        let act = ON_HASH.take();
        if let Some(act) = &act {
            act();
        }
        ON_HASH.set(act);
    }
}

type Two = [RateLimiter<Acting, Gcra, ManualClock, Prints>; 2];

/// Two limiters of one unit, in the order in which they are charged.
fn two() -> Two {
    let clock = ManualClock::default();
    let mut both = [(); 2].map(|()| limiter::<Acting, _>(Gcra::per_hour(1), &clock));
    both.sort_by_key(|limiter| sealed::Charge::address(&(limiter, &Acting, cost(1))));
    both
}

/// Both asked as one, with something that happens as a key is hashed for the sixth time: both have said yes, for which
/// each hashes it twice, and the first is charged.
fn when_one_is_charged(both: &Two, act: impl Fn(&Two) + 'static) -> ([u32; 2], Option<bool>) {
    let (limiters, hashed) = (both.clone(), Cell::new(0));
    ON_HASH.set(Some(Rc::new(move || {
        hashed.set(hashed.get() + 1);
        if hashed.get() == 6 {
            act(&limiters);
        }
    })));
    let ask = || allow_all([&(&both[0], &Acting, cost(1)), &(&both[1], &Acting, cost(1))]);
    let asked = panic::catch_unwind(panic::AssertUnwindSafe(ask)).ok();
    ON_HASH.set(None);
    let left = both.each_ref().map(|limiter| limiter.remaining(&Acting));
    (left, asked.map(|all| all.unwrap().decision.is_allowed()))
}

#[test]
fn what_was_charged_is_given_back_if_another_is_faster_or_a_key_panics() {
    let took = |both: &Two| {
        let allowed = both.iter().filter(|limiter| limiter.allow(&Acting).is_allowed()).count();
        assert_eq!(allowed, 1, "one of them is charged");
    };
    assert_eq!(when_one_is_charged(&two(), took), ([1, 0], Some(false)), "the one that was charged has it again");

    assert_eq!(when_one_is_charged(&two(), |_| panic!("of a key")), ([1, 1], None));
    assert_eq!(when_one_is_charged(&two(), |_| ()), ([0, 0], Some(true)));
}

#[test]
fn what_is_let_through_by_observing_took_nothing_and_gives_nothing_back() {
    let observed = || {
        let both = two();
        both[0].set_enforce(Enforce::Observe);
        assert!(both[0].allow(&Acting).is_allowed(), "its one unit");
        both
    };
    let faster = |both: &Two| assert!(both[1].allow(&Acting).is_allowed());
    assert_eq!(when_one_is_charged(&observed(), faster), ([0, 0], Some(false)));
    assert_eq!(when_one_is_charged(&observed(), |_| panic!("of a key")), ([0, 1], None));

    let both = observed();
    assert_eq!(when_one_is_charged(&both, |_| ()), ([0, 0], Some(true)));
    assert_eq!(both.each_ref().map(|limiter| (limiter.stats().allowed, limiter.stats().overridden)), [(2, 1), (1, 0)]);
}

#[test]
fn who_is_let_through_meanwhile_is_counted_once() {
    let both = two();
    assert!(both[0].allow(&Acting).is_allowed());
    let (limiters, hashed) = (both.clone(), Cell::new(0));
    // The first has said no, for which it hashes the key twice, and the second yes.
    ON_HASH.set(Some(Rc::new(move || {
        hashed.set(hashed.get() + 1);
        if hashed.get() == 4 {
            limiters[0].set_enforce(Enforce::Observe);
        }
    })));
    let asked = allow_all([&(&both[0], &Acting, cost(1)), &(&both[1], &Acting, cost(1))]);
    ON_HASH.set(None);
    assert!(asked.unwrap().decision.is_allowed());
    assert_eq!(both.each_ref().map(|limiter| (limiter.stats().allowed, limiter.stats().denied)), [(2, 0), (1, 0)]);
}
