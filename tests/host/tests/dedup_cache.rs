//! The dedup cache beside a naive one, under clocks that step and leap.

mod support;

use core::time::Duration;

use proptest::prelude::*;
use steadfast_core::{DedupCache, Instant, dedup_cache::OnFull};
use steadfast_models::dedup_cache::{self as model, Cache, Op, TTL};

fn ops() -> impl Strategy<Value = Vec<(Op, Instant)>> {
    let key = || 0..9_u8;
    let op = prop_oneof![
        5 => key().prop_map(Op::Check),
        2 => key().prop_map(Op::Mark),
        3 => key().prop_map(Op::Claim),
        2 => (0..3_usize).prop_map(Op::Commit),
        2 => (0..3_usize, any::<u16>()).prop_map(|(index, value)| Op::CommitWith(index, value)),
        2 => (0..3_usize).prop_map(Op::Abort),
        1 => Just(Op::Cleanup),
        1 => key().prop_map(Op::Forget),
        1 => any::<u64>().prop_map(Op::Reseed),
    ];
    prop::collection::vec((op, steps()), 0..30).prop_map(|ops| {
        let mut now = Instant::from_secs(1_000);
        ops.into_iter().map(|(op, step)| (op, step.apply(&mut now))).collect()
    })
}

#[derive(Clone, Debug)]
enum Step {
    On(u64),
    Back(u64),
    To(u64),
}

impl Step {
    fn apply(&self, now: &mut Instant) -> Instant {
        *now = match *self {
            Self::On(millis) => now.saturating_add(Duration::from_millis(millis)),
            Self::Back(millis) => now.saturating_sub(Duration::from_millis(millis)),
            Self::To(nanos) => Instant::from_nanos(nanos),
        };
        *now
    }
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop_oneof![Just(0), Just(1), Just(1_000), Just(3_000), Just(10_000), 0..4_000_u64].prop_map(Step::On),
        2 => prop_oneof![Just(1), Just(2_000), 0..20_000_u64, 0..400_000_000_000_u64].prop_map(Step::Back),
        1 => prop_oneof![Just(0), Just(u64::MAX), any::<u64>()].prop_map(Step::To),
    ]
}

proptest! {
    #![proptest_config(support::cases(5_000))]

    #[test]
    fn forgets_as_the_naive_one_does(ops in ops()) {
        model::beside_the_naive_one(OnFull::ForgetOldest, ops);
    }

    #[test]
    fn refuses_as_the_naive_one_does(ops in ops()) {
        model::beside_the_naive_one(OnFull::Refuse, ops);
    }
}

proptest! {
    #![proptest_config(support::cases(400))]

    #[test]
    fn keeps_the_contract_of_deadlines(ops in ops(), refuse in any::<bool>()) {
        let on_full = if refuse { OnFull::Refuse } else { OnFull::ForgetOldest };
        model::keep_deadlines(on_full, ops);
    }

    /// Safety: readings that are late, however much, make no id forgotten before its time. Liveness: nor do they keep one.
    #[test]
    fn late_readings_age_nothing(steps in prop::collection::vec((0..5_u8, 0..1_500_u64, 0..20_000_u64, 0..3_u8), 1..60)) {
        let mut cache: Cache = DedupCache::new(TTL, OnFull::Refuse);
        let mut now = Instant::from_secs(1_000);
        let mut began = [None::<Instant>; 5];
        for (id, step, late, how) in steps {
            now = now.saturating_add(Duration::from_millis(step));
            let late = now.saturating_sub(Duration::from_millis(late));
            match how {
                0 => drop(cache.cleanup(late)),
                1 => drop(cache.seen(&id, late)),
                _ => {}
            }
            let known = began[usize::from(id)].filter(|at| now < at.saturating_add(TTL));
            prop_assert_eq!(cache.check(&id, now).is_fresh(), known.is_none());
            began[usize::from(id)] = known.or(Some(now));
        }
    }

    /// After a step back nothing is known for longer than one life more, and nobody waits for longer.
    #[test]
    fn a_step_back_keeps_nothing_longer(
        steps in prop::collection::vec((0..9_u8, 0..3_000_u64), 1..20), back in 1..1_000_000_u64, pace in 1..10_000_u64,
    ) {
        let mut cache: Cache = DedupCache::new(TTL, OnFull::ForgetOldest);
        let mut now = Instant::from_secs(2_000);
        for (id, step) in steps {
            now = now.saturating_add(Duration::from_millis(step));
            let _ = cache.check(&id, now);
        }
        let back = Duration::from_millis(back);
        let stepped = now.saturating_sub(back);
        // A life from there, and another for an id that may as well have come after the step; if somebody looks then.
        let gone = stepped.saturating_add(2 * TTL);
        let (mut idle, mut now) = (cache.clone(), stepped);
        while now < gone.saturating_add(Duration::from_millis(pace)) {
            cache.on_timeout(now);
            now = now.saturating_add(Duration::from_millis(pace));
        }
        cache.on_timeout(now);
        prop_assert!(cache.is_empty());
        // One that reads the clock only when it is told to.
        idle.on_timeout(stepped);
        while let Some(at) = idle.next_deadline() {
            prop_assert!(at <= gone, "it waits for the length of the step");
            idle.on_timeout(at);
        }
        prop_assert!(idle.is_empty());
    }

    /// Liveness: whoever is not at the cap is never forgotten, whatever the others do.
    #[test]
    fn below_the_cap_every_id_is_known_for_its_whole_life(ids in prop::collection::vec(0..5_u8, 1..30), start in 0..1_000_u64) {
        let mut cache: Cache = DedupCache::new(TTL, OnFull::ForgetOldest);
        let mut now = Instant::from_secs(start);
        let mut began = [None::<Instant>; 5];
        for id in ids {
            let known = began[usize::from(id)].filter(|at| now < at.saturating_add(TTL));
            prop_assert_eq!(cache.check(&id, now).is_fresh(), known.is_none());
            began[usize::from(id)] = known.or(Some(now));
            now = now.saturating_add(Duration::from_millis(900));
        }
    }
}
