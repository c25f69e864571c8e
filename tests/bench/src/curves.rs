//! How the cost of a keyed operation grows from a thousand keys to ten million, from one thread and from two.

use std::{
    collections::HashMap,
    convert::Infallible,
    hint::black_box,
    sync::{Arc, Mutex},
};

use ahash::RandomState;
use dashmap::DashMap;
use governor::clock::DefaultClock;
use moka::policy::EvictionPolicy;
use recloser::Recloser;
use steadfast::{Breakers, Reset, Trip, circuit_breaker::Percent};

use crate::{
    options::Options,
    plot::Line,
    rows::{dedup, dedup::Ids, limiter},
    run::{Effort, Rival, Row, measure},
    slice::{Work, on_two_threads, timed},
    work::{LONG, all_keys, over, over_two, requests},
};

/// One operation, measured against the number of keys.
pub struct Curves {
    pub file: &'static str,
    pub title: &'static str,
    /// Nanoseconds an operation, from one thread and from two.
    pub panels: [Vec<Line>; 2],
}

/// Where a peer's curve ends: filling it would take minutes.
const MOST_OF_SLOW: usize = 1_000_000;

/// The numbers of keys that are measured.
#[must_use]
pub fn sizes(options: &Options) -> &'static [usize] {
    if options.is_quick { &[1_000, 10_000] } else { &[1_000, 10_000, 100_000, 1_000_000, 10_000_000] }
}

/// Measures all curves; `step` is told of each that begins.
pub fn all(options: &Options, mut step: impl FnMut(String)) -> Vec<Curves> {
    let mut effort = options.effort();
    effort.pair /= 2;
    let mut curves = |kind: &Kind| {
        let mut curves = Curves { file: kind.file, title: kind.title, panels: [Vec::new(), Vec::new()] };
        for keys in sizes(options) {
            step(format!("{}, {keys} keys", kind.title));
            add(&mut curves, *keys, (kind.subjects)(*keys), effort);
        }
        curves
    };
    KINDS.iter().map(&mut curves).collect()
}

/// An operation whose cost may grow.
struct Kind {
    file: &'static str,
    title: &'static str,
    subjects: fn(usize) -> Vec<Subject>,
}

const KINDS: [Kind; 3] = [
    Kind { file: "limiter", title: "Rate limiter: one check", subjects: limiters },
    Kind { file: "dedup", title: "Dedup cache: one check of a full cache", subjects: dedup_caches },
    Kind { file: "breaker", title: "Circuit breaker by key: one call that succeeds", subjects: breakers },
];

/// How many steps [`all`] has.
#[must_use]
pub fn steps(options: &Options) -> u64 {
    (KINDS.len() * sizes(options).len()) as u64
}

/// One of those compared, filled, with the same work from one thread and from two. The first is ours.
struct Subject {
    name: &'static str,
    work: [Work; 2],
}

fn add(curves: &mut Curves, keys: usize, subjects: Vec<Subject>, effort: Effort) {
    let names: Vec<_> = subjects.iter().map(|subject| subject.name).collect();
    let mut works = [Vec::new(), Vec::new()];
    for Subject { work: [one, two], .. } in subjects {
        works[0].push(one);
        works[1].push(two);
    }
    for (panel, works) in curves.panels.iter_mut().zip(works) {
        let mut works = works.into_iter();
        let mut row = Row::new(works.next().expect("ours is the first"));
        row.rivals = works.map(|work| Rival { name: "", hash: "", work, goal: None, is_floor: false }).collect();
        let measured = measure(row, effort);
        // Ours as it is beside the first, who is the peer.
        let ours = measured.first().map(|beside| beside.ours.median);
        let nanos = ours.into_iter().chain(measured.iter().map(|beside| beside.theirs.median));
        for (name, nanos) in names.iter().zip(nanos) {
            match panel.iter_mut().find(|curve| curve.name == *name) {
                Some(curve) => curve.points.push((keys, nanos)),
                None => panel.push(Line { name, points: vec![(keys, nanos)] }),
            }
        }
    }
}

fn limiters(keys: usize) -> Vec<Subject> {
    let asked = requests(keys, |key| key);
    vec![
        by_key("steadfast", &asked, limiter::ours(keys)),
        by_key("governor", &asked, limiter::governor(keys, DefaultClock::default())),
        by_key("hash map, one lock", &asked, limiter::map(keys)),
    ]
}

/// A window of 32 calls for each key.
fn breakers(keys: usize) -> Vec<Subject> {
    let asked = requests(keys, |key| key);
    let work = || Ok::<_, Infallible>(black_box(7));
    let trip = Trip::call_window::<32>(Percent::new(50));
    let ours = Breakers::builder(trip, Reset::after(LONG)).capacity(keys + keys / 8).build();
    let ours = move |key: &u64| ours.call_blocking(key, work).is_ok();
    all_keys(keys).for_each(|key| assert!(ours(&key)));
    let mut subjects = vec![by_key("steadfast", &asked, ours)];
    if keys <= MOST_OF_SLOW {
        let map: DashMap<_, _, RandomState> =
            all_keys(keys).map(|key| (key, Recloser::custom().closed_len(32).build())).collect();
        let theirs = move |key: &u64| map.get(key).is_some_and(|breaker| breaker.call(work).is_ok());
        subjects.push(by_key("recloser in a dashmap", &asked, theirs));
    }
    let map = Mutex::new(all_keys(keys).map(|key| (key, 0_u64)).collect::<HashMap<_, _, RandomState>>());
    let floor = move |key: &u64| {
        let is_ok = black_box(work()).is_ok();
        *map.lock().unwrap().get_mut(key).unwrap() += 1;
        is_ok
    };
    subjects.push(by_key("hash map, one lock", &asked, floor));
    subjects
}

fn by_key(name: &'static str, asked: &Arc<[u64]>, op: impl Fn(&u64) -> bool + Send + Sync + 'static) -> Subject {
    let op = Arc::new(op);
    let other = op.clone();
    Subject { name, work: [over(asked, move |key| op(key)), over_two(asked, move |key| other(key))] }
}

fn dedup_caches(ids: usize) -> Vec<Subject> {
    let mut subjects = vec![by_id("steadfast", ids, dedup::ours(ids))];
    if ids <= MOST_OF_SLOW {
        subjects.push(by_id("moka, LRU", ids, dedup::moka(ids, EvictionPolicy::lru())));
    }
    subjects.push(by_id("lru, one lock", ids, dedup::lru(ids)));
    subjects.push(by_id("hash set and ring, one lock", ids, dedup::hash_set_and_ring(ids)));
    subjects
}

/// Two streams of ids fill the cache; one thread takes them in turns, two take one each.
fn by_id(name: &'static str, ids: usize, check: impl Fn(u128) -> bool + Send + Sync + 'static) -> Subject {
    let check = Arc::new(check);
    // One thread may run ahead of the other, so only the newer two thirds are asked for.
    let streams = Arc::new([1, 2].map(|stream| Mutex::new(Ids::new(ids / 3, stream))));
    for _ in 0..ids / 2 {
        streams.iter().for_each(|stream| _ = check(stream.lock().unwrap().fresh()));
    }
    let (other, others) = (check.clone(), streams.clone());
    let one = move |n| {
        let mut streams: Vec<_> = streams.iter().map(|stream| stream.lock().unwrap()).collect();
        let input: Vec<_> = (0..n / 4).flat_map(|_| [0, 1, 2, 3]).map(|i| next(&mut streams[i / 2], i)).collect();
        timed(|| input.iter().for_each(|id| _ = black_box(check(black_box(*id)))))
    };
    let two = move |n| {
        let inputs = [0, 1].map(|thread| {
            let mut stream = others[thread].lock().unwrap();
            (0..n as usize / 2).map(|i| next(&mut stream, i)).collect::<Vec<_>>()
        });
        on_two_threads(n, |thread, _| inputs[thread].iter().for_each(|id| _ = black_box(other(black_box(*id)))))
    };
    Subject { name, work: [Box::new(one), Box::new(two)] }
}

fn next(stream: &mut Ids, index: usize) -> u128 {
    if index.is_multiple_of(2) { stream.fresh() } else { stream.repeated() }
}
