//! `Quorum` against a map from voters to votes, under clocks that step back and leap.

mod support;

use core::{num::NonZeroU64, time::Duration};

use proptest::{collection::vec, prelude::*};
use steadfast_core::{
    Instant, Quorum, aggregate,
    quorum::{Ballot, Vote},
};
use steadfast_models::quorum::{self as model, Op, PLACES, SPAN, Subject};

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..7_u8, 10..14_i64).prop_map(|(voter, value)| Op::Vote { voter, value }),
        1 => Just(Op::Majority),
        2 => Just(Op::SettledMajority),
        1 => Just(Op::SettledMedian),
        1 => Just(Op::TrimmedMean),
        1 => Just(Op::TimeOut),
        1 => (0..7_u8, 0..3_u64).prop_map(|(voter, back)| Op::OtherBallot { voter, back }),
        1 => prop_oneof![Just(None), (1..SPAN).prop_map(NonZeroU64::new)].prop_map(|deadline_in| Op::Reset { deadline_in }),
    ]
}

/// Seconds that the clock moves by before each step.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0..4_i64, 2 => 4..SPAN as i64, 1 => -100_000..0_i64, 1 => 60..1_000_000_i64]
}

proptest! {
    #![proptest_config(support::cases(10_000))]

    #[test]
    fn it_does_what_the_model_does(
        threshold in 1..=3_usize,
        listed in any::<bool>(),
        start in 0..1_000_u64,
        steps in vec((op(), step()), 1..24),
    ) {
        model::beside_the_model(threshold, listed, start, steps);
    }

    /// Readings that are late, however much, end no ballot before its time, and never keep it open longer.
    #[test]
    fn late_readings_end_no_ballot_early(steps in vec((0..4_u64, 0..2 * SPAN, any::<bool>()), 1..40)) {
        let start = 1_000;
        let mut quorum: Subject = Quorum::new::<PLACES>(Instant::from_secs(start + SPAN));
        let _ = quorum.on_timeout(Instant::from_secs(start));
        let mut clock = start;
        for (step, late, is_late) in steps {
            clock += step;
            // Whoever has a late reading comes beside one who has not.
            if is_late {
                let _ = quorum.on_timeout(Instant::from_secs(clock - late));
            }
            let _ = quorum.on_timeout(Instant::from_secs(clock));
            prop_assert_eq!(quorum.next_deadline().is_none(), clock >= start + SPAN);
        }
    }

    /// Whatever order the votes arrive in, those of honest voters decide alike.
    #[test]
    fn the_order_of_arrival_decides_nothing(
        (votes, shuffled) in vec(-20..20_i64, PLACES).prop_flat_map(|values| {
            let votes: Vec<(u8, i64)> = (0..).zip(values).collect();
            (Just(votes.clone()), Just(votes).prop_shuffle())
        }),
    ) {
        let [one, other] = [votes, shuffled].map(|votes| {
            let mut quorum: Subject = Quorum::new::<PLACES>(Instant::MAX);
            for (voter, value) in votes {
                assert_eq!(quorum.vote(quorum.ballot(), voter, value, Instant::ZERO), Vote::Counted);
            }
            let ballot = quorum.ballot();
            let mean = quorum.result(ballot, aggregate::trimmed_mean, Instant::ZERO);
            (mean, quorum.result(ballot, aggregate::plurality, Instant::ZERO), quorum.result(ballot, aggregate::cluster(3), Instant::ZERO))
        });
        prop_assert_eq!(one, other);
    }
}

#[test]
fn steps_of_the_clock_by_years_neither_panic_nor_stall() {
    let year = Duration::from_secs(365 * 86_400);
    let start = Instant::ZERO.saturating_add(20 * year);
    let minute = Duration::from_secs(60);
    for back in [Duration::from_secs(1), year, 10 * year, 20 * year] {
        let mut quorum: Subject = Quorum::new::<2>(start.saturating_add(minute));
        assert_eq!(quorum.vote(quorum.ballot(), 1, 10, start), Vote::Counted);
        let earlier = start.saturating_sub(back);
        assert_eq!(quorum.result(quorum.ballot(), aggregate::median, earlier), Ballot::Open { missing: 1 });
        // A step of less than that is not told from a late reading.
        let end = if back < minute { start } else { earlier }.saturating_add(minute);
        assert_eq!(quorum.result(quorum.ballot(), aggregate::median, end), Ballot::Failed);
    }
}

/// Every order in which `voters` may vote, as lists of who is next.
fn orders(voters: &[u8]) -> Vec<Vec<u8>> {
    if voters.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (index, first) in voters.iter().enumerate() {
        let mut rest = voters.to_vec();
        rest.remove(index);
        all.extend(orders(&rest).into_iter().map(|order| [vec![*first], order].concat()));
    }
    all
}

/// What a majority decides for, in each order in which six voters come, the first `liars` of whom lie.
fn decisions(threshold: usize, liars: u8) -> Vec<Option<bool>> {
    let decide = |order: Vec<u8>| {
        let mut quorum: Quorum<u8, bool, 6> = Quorum::with_voters(threshold, 0..6, Instant::MAX).unwrap();
        order.into_iter().find_map(|voter| {
            let _ = quorum.vote(quorum.ballot(), voter, voter >= liars, Instant::ZERO);
            quorum.result(quorum.ballot(), aggregate::majority, Instant::ZERO).decided()
        })
    };
    orders(&[0, 1, 2, 3, 4, 5]).into_iter().map(decide).collect()
}

/// The threshold is what keeps liars out: most of so many must be honest, whoever comes first.
#[test]
fn a_threshold_of_twice_the_liars_and_one_believes_no_liar() {
    for liars in 0..=2_u8 {
        let safe = 2 * usize::from(liars) + 1;
        assert!(decisions(safe, liars).iter().all(|decided| *decided == Some(true)), "{liars} liars");
        if liars > 0 {
            assert!(decisions(safe - 2, liars).contains(&Some(false)), "{liars} liars, and a lower threshold");
        }
    }
}
