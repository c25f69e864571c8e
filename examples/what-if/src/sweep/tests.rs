use proptest::prelude::*;

use super::*;
use crate::{key::KeyBy, reader::Reader, replay::decisions};

fn log_of(requests: impl IntoIterator<Item = (u64, u32, u32)>) -> Log {
    let mut reader = Reader::new(KeyBy::User, usize::MAX);
    for (millis, key, cost) in requests {
        reader.push(format!("{}.{:03},{key},{cost}\n", millis / 1_000, millis % 1_000).as_bytes());
    }
    reader.finish()
}

fn limit(count: u32, per: Per, burst: u32) -> Limit {
    Limit { rate: Rate { count, per }, burst }
}

fn a_limit() -> impl Strategy<Value = Limit> {
    (1_u32..40, prop_oneof![Just(Per::Second), Just(Per::Minute), Just(Per::Hour)], 1_u32..20)
        .prop_map(|(count, per, burst)| limit(count, per, burst))
}

fn a_trace(costs: std::ops::Range<u32>) -> impl Strategy<Value = Log> {
    let request = (0_u64..5_000, 0_u32..8, costs);
    prop::collection::vec(request, 0..200).prop_map(log_of)
}

#[test]
fn the_least_is_found_wherever_it_is() {
    for most in [1, 2, 3, 100, u32::MAX] {
        for least_good in [1, 2, 3, 4, 5, 63, 64, 65, 99, 100, u32::MAX - 1, u32::MAX] {
            let found = least(most, |number| number >= least_good);
            assert_eq!(found, (least_good <= most).then_some(least_good), "{least_good} of {most}");
        }
    }
}

#[test]
fn a_sweep_ends_where_nothing_more_is_let_through() {
    let log = log_of((0..100).map(|at| (at * 10, 1, 1)));
    let points = sweep(&log, Per::Second, 10);
    let rates: Vec<_> = points.iter().map(|point| point.limit.rate.to_string()).collect();
    assert_eq!(rates[..3], ["1 a minute", "2 a minute", "3 a minute"]);
    assert_eq!(rates.last().unwrap(), "100 a second");
    assert_eq!(points[0].denied.at_start, Denied { requests: 90, clients: 1 });
    assert_eq!(points.last().unwrap().denied.at_start, Denied::default());
    assert!(points.iter().all(|point| point.denied.spread.is_none()));
    assert_eq!(sweep(&log, Per::Hour, 10)[0].limit.rate.to_string(), "1 an hour");
    let rising = points.windows(2).all(|two| two[0].per_second < two[1].per_second);
    assert!(rising);
}

#[test]
fn requests_at_one_instant_need_a_burst_and_no_rate_helps() {
    let log = log_of([(0, 1, 1); 20]);
    let found = least_limits(&log, limit(5, Per::Second, 10));
    assert_eq!((found.may_be_hit, found.rate.at_start, found.burst.at_start), (0, None, Some(20)));
    assert_eq!(sweep(&log, Per::Second, 10).len(), 1);
}

#[test]
fn whole_seconds_give_a_band() {
    let mut reader = Reader::new(KeyBy::User, usize::MAX);
    reader.push("7,a\n".repeat(10).as_bytes());
    let log = reader.finish();
    let found = least_limits(&log, limit(5, Per::Second, 5));
    assert_eq!((found.burst.at_start, found.burst.spread), (Some(10), Some(Some(6))));
    // Ten in a second, 100 ms apart: with five at once, the others need 5 in half a second.
    assert_eq!((found.rate.at_start, found.rate.spread.flatten().unwrap().count), (None, 6));
}

proptest! {
    /// States beside each other decide as the limiter does.
    #[test]
    fn the_sweep_decides_as_the_limiter(log in a_trace(1..4), limit in a_limit()) {
        let mut seen = Vec::new();
        let denied = States::new(log.keys.len()).run(&log.at_start, &limit.quota(), |allowed| seen.push(allowed));
        prop_assert_eq!(&seen, &decisions(&log.at_start, &limit.quota()));
        prop_assert_eq!(denied.requests, seen.iter().filter(|allowed| !**allowed).count() as u64);
    }

    /// A larger rate or burst denies no more requests and hits no more clients, where each request counts once. So
    /// halving finds the least.
    #[test]
    fn denials_never_rise_with_the_limit(log in a_trace(1..2), limit in a_limit(), more in 1_u32..20) {
        let mut states = States::new(log.keys.len());
        let mut denied = |limit| states.denied(&log.at_start, limit);
        let faster = Limit { rate: Rate { count: limit.rate.count + more, ..limit.rate }, ..limit };
        let larger = Limit { burst: limit.burst + more, ..limit };
        let before = denied(limit);
        for after in [denied(faster), denied(larger)] {
            prop_assert!(after.requests <= before.requests && after.clients <= before.clients);
        }
    }

    /// What is found is good, and one less is not.
    #[test]
    fn the_least_limit_is_the_least(log in a_trace(1..2), limit in a_limit()) {
        let found = least_limits(&log, limit);
        let mut states = States::new(log.keys.len());
        let mut hit = |limit| states.denied(&log.at_start, limit).clients;
        let burst = found.burst.at_start.unwrap();
        prop_assert_eq!(hit(Limit { burst, ..limit }), 0);
        let one_less = Limit { burst: burst - 1, ..limit };
        prop_assert!(burst == 1 || hit(one_less) > 0);
        match found.rate.at_start {
            None => prop_assert!(hit(FASTEST.with(limit.burst)) > 0),
            Some(Rate { count, per }) => {
                prop_assert_eq!(hit(Rate { count, per }.with(limit.burst)), 0);
                let one_less = Rate { count: count - 1, per }.with(limit.burst);
                prop_assert!(count == 1 || hit(one_less) > 0);
            }
        }
    }
}
