use super::*;
use crate::{
    limit::{Per, Rate},
    reader::Reader,
};

const LIMIT: Limit = Limit { rate: Rate { count: 1, per: Per::Second }, burst: 2 };

fn report(text: &str) -> Report {
    let mut reader = Reader::new(KeyBy::User, usize::MAX);
    reader.push(text.as_bytes());
    Report::of(&reader.finish(), &KeyBy::User, LIMIT)
}

#[test]
fn what_is_told_of_one_who_is_hit() {
    // 0, 0.1 allowed; 0.25 would have to wait for 1.0; 2.0 allowed.
    let report = report("0.000,a\n0.100,a\n0.250,a\n0.300,b\n2.000,a\n2.000,b,3\n");
    let Headline { denied, longest_wait, never, hit, time_line, clients, .. } = &report.headline;
    assert_eq!(denied.at_start, Denied { requests: 2, clients: 2 });
    assert_eq!((longest_wait.at_start, *never, *clients, denied.spread), (0.75, 1, 2, None));
    let sum = |columns: &[u64]| columns.iter().sum::<u64>();
    assert_eq!((sum(&time_line.allowed), sum(&time_line.denied), time_line.denied[119]), (4, 2, 1));
    let told: Vec<_> =
        hit.iter().map(|client| (client.key.as_str(), client.denied, client.burst, client.rate)).collect();
    // 3 at once, or 2 and another within 250 ms; of what costs more than the burst no rate lets anything through.
    assert_eq!(told, [("a", 1, Some(3), Some(4)), ("b", 1, Some(3), None)]);
    assert_eq!(hit[0].first, "1970-01-01 00:00:00.250");
}

#[test]
fn a_sliding_log_stands_beside_it_and_all_adds_up() {
    let report = report("0.000,a\n0.100,a\n0.250,a\n1.100,a\n2.050,a\n");
    let log = report.headline.sliding_log.unwrap();
    assert_eq!((log.max, log.window), (2, 2.0));
    // The bucket has a request again at 1.0, the log at 2.0.
    assert_eq!((report.headline.denied.at_start.requests, log.denied.at_start.requests), (1, 2));
    assert_eq!(report.least.rate.at_start.map(|rate| rate.count), Some(4));
    assert_eq!(report.tables.most_in_use.at_start, 1);
    assert_eq!(report.rust(), "RateLimiter::<String, _>::builder(Gcra::per_second(1).burst(2)).capacity(64).build()");
    let bursts: Vec<_> = report.sweep.iter().map(|point| point.limit.burst).collect();
    assert!(bursts.is_sorted() && bursts.contains(&1) && bursts.contains(&4));
}

#[test]
fn a_sliding_log_that_would_keep_too_much_is_left_out() {
    let mut reader = Reader::new(KeyBy::User, usize::MAX);
    (0..2_000).for_each(|key| reader.push(format!("1,{key}\n").as_bytes()));
    let log = reader.finish();
    let with = |burst| sliding_log(&log, Limit { burst, ..LIMIT });
    assert!(with(100).is_some() && with(60_000).is_none() && with(70_000).is_none() && with(0).is_none());
}

#[test]
fn an_empty_log_is_no_error() {
    let report = report("\n");
    assert_eq!(report.headline.denied.at_start, Denied::default());
    assert_eq!((report.headline.clients, report.headline.hit.len()), (0, 0));
}

#[test]
fn the_bursts_of_a_sweep_stand_around_the_one_that_was_asked_for() {
    assert_eq!(bursts(10), [5, 10, 20]);
    assert_eq!(bursts(1), [1, 2]);
    assert_eq!(bursts(u32::MAX), [1 << 31, u32::MAX]);
}
