//! The batch collector beside a naive one that remembers every item with its time.

use core::{num::NonZeroU64, time::Duration};
use std::hash::{DefaultHasher, Hash, Hasher};

use steadfast_core::{
    BatchCollector, BatchSettings, Instant,
    batch_collector::{Batch, FlushReason},
};
use steadfast_tests::{Timed, deadline_contract};

use crate::Script;

const N: usize = 5;

#[derive(Clone, Debug)]
pub enum Step {
    Push { weight: u32 },
    Timeout,
    TimeoutAtTheDeadline,
    Flush,
    Forward(u64),
    Back(u64),
    Set(u64),
}

#[derive(Clone, Debug)]
pub struct Rules {
    pub wait: Duration,
    pub gap: Option<Duration>,
    pub weight: Option<NonZeroU64>,
}

pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    if script.below(4) == 0 {
        let wait = 1 + script.below(49);
        return waits(wait, script.list(60, |script| script.below(30)));
    }
    let wait = script.nanos();
    let gap = script.flag().then(|| Duration::from_nanos(script.below(15)));
    let weight = NonZeroU64::new(script.below(9));
    let steps =
        script.list(60, |script| match script.weighted(&[(8, 0), (2, 1), (3, 2), (1, 3), (6, 4), (3, 5), (1, 6)]) {
            0 => Step::Push { weight: script.below(4) as u32 },
            1 => Step::Timeout,
            2 => Step::TimeoutAtTheDeadline,
            3 => Step::Flush,
            4 => Step::Forward(script.below(12)),
            5 => [Step::Forward, Step::Back, Step::Set][script.below(3) as usize](script.nanos()),
            _ => Step::Push { weight: script.any() as u32 },
        });
    beside_the_naive_one(Rules { wait: Duration::from_nanos(wait), gap, weight }, steps);
}

/// The reference: a list of what is pending, and sums in wide numbers.
struct Naive {
    rules: Rules,
    pending: Vec<(u32, u32, Instant)>,
}

impl Naive {
    fn deadline(&self) -> Option<(u128, FlushReason)> {
        let nanos = |at: Instant| u128::from(at.as_nanos());
        let last = nanos(self.pending.last()?.2);
        // The age counts from the first item, or from the earliest time seen since.
        let first = self.pending.iter().map(|(.., at)| nanos(*at)).min()?;
        let age = first + self.rules.wait.as_nanos();
        let idle = self.rules.gap.map_or(u128::MAX, |gap| last + gap.as_nanos());
        let (at, reason) = if age <= idle { (age, FlushReason::Age) } else { (idle, FlushReason::Idle) };
        (at < u128::from(u64::MAX)).then_some((at, reason))
    }

    fn due(&self, now: Instant) -> Option<FlushReason> {
        let weight: u64 = self.pending.iter().map(|(_, weight, _)| u64::from(*weight)).sum();
        if self.pending.len() >= N {
            Some(FlushReason::Size)
        } else if self.rules.weight.is_some_and(|most| weight >= most.get()) {
            Some(FlushReason::Weight)
        } else {
            self.deadline().filter(|(at, _)| u128::from(now.as_nanos()) >= *at).map(|(_, reason)| reason)
        }
    }

    /// As [`due`](Self::due), when asked at a time: whoever came later than that came when the clock was ahead.
    fn timeout(&mut self, now: Instant) -> Option<FlushReason> {
        self.pending.iter_mut().for_each(|(.., at)| *at = (*at).min(now));
        self.due(now)
    }

    fn hand_out(&mut self, reason: Option<FlushReason>) -> Option<(FlushReason, Vec<u32>)> {
        reason.map(|reason| (reason, self.pending.drain(..).map(|(item, ..)| item).collect()))
    }
}

fn taken(batch: Option<Batch<'_, u32>>) -> Option<(FlushReason, Vec<u32>)> {
    batch.map(|batch| (batch.reason(), batch.into_iter().collect()))
}

#[derive(Clone)]
struct Contract(BatchCollector<u32, N>);

impl Timed for Contract {
    fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }

    fn on_timeout(&mut self, now: Instant) -> bool {
        self.0.on_timeout(now).is_some()
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.0.pending(), self.0.stats().flushed, self.0.stats().batches).hash(&mut hasher);
        hasher.finish()
    }
}

pub fn beside_the_naive_one(rules: Rules, steps: Vec<Step>) {
    let mut settings = BatchSettings::new(rules.wait);
    settings = rules.gap.map_or(settings, |gap| settings.idle_gap(gap));
    settings = rules.weight.map_or(settings, |weight| settings.max_weight(weight));
    let mut collector = BatchCollector::<u32, N>::new(settings);
    let mut naive = Naive { rules, pending: Vec::new() };
    let mut now = Instant::from_nanos(1_000);
    let (mut pushed, mut flushed, mut batches) = (0, 0, 0);
    for step in steps {
        let mut expected = None;
        let batch = match step {
            Step::Push { weight } => {
                pushed += 1;
                naive.pending.push((pushed, weight, now));
                expected = naive.due(now);
                taken(collector.push_weighted(pushed, weight, now))
            }
            Step::Timeout => {
                expected = naive.timeout(now);
                let batch = taken(collector.on_timeout(now));
                // Whatever the clock did, from here on nothing waits longer than its wait.
                let latest = u128::from(now.as_nanos()) + naive.rules.wait.as_nanos();
                assert!(collector.next_deadline().is_none_or(|at| u128::from(at.as_nanos()) <= latest));
                batch
            }
            Step::TimeoutAtTheDeadline => {
                now = collector.next_deadline().unwrap_or(now).max(now);
                expected = naive.timeout(now);
                assert!(expected.is_some() || collector.next_deadline().is_none());
                taken(collector.on_timeout(now))
            }
            Step::Flush => {
                expected = (!naive.pending.is_empty()).then_some(FlushReason::Manual);
                taken(collector.flush())
            }
            Step::Forward(nanos) => {
                now = now.saturating_add(Duration::from_nanos(nanos));
                None
            }
            Step::Back(nanos) => {
                now = now.saturating_sub(Duration::from_nanos(nanos));
                None
            }
            Step::Set(nanos) => {
                now = Instant::from_nanos(nanos);
                None
            }
        };
        flushed += batch.as_ref().map_or(0, |(_, items)| items.len() as u64);
        batches += u64::from(batch.is_some());
        assert_eq!(batch, naive.hand_out(expected));
        assert!(collector.len() < N);
        assert!(collector.pending().iter().eq(naive.pending.iter().map(|(item, ..)| item)));
        let deadline = collector.next_deadline();
        assert_eq!(deadline.map(|at| u128::from(at.as_nanos())), naive.deadline().map(|(at, _)| at));
        let stats = collector.stats();
        assert_eq!((stats.pushed, stats.flushed, stats.batches), (u64::from(pushed), flushed, batches));
        assert_eq!(stats.pushed, stats.flushed + stats.pending as u64);
    }
    deadline_contract(&Contract(collector));
}

/// Safety: no batch is early. Liveness: no item waits longer than its wait, whatever the gaps.
pub fn waits(wait: u64, gaps: Vec<u64>) {
    let mut collector = BatchCollector::<usize, N>::new(BatchSettings::new(Duration::from_nanos(wait)));
    let mut now = Instant::ZERO;
    let mut pushed_at = Vec::new();
    let check = |batch: Option<Batch<'_, usize>>, now: Instant, pushed_at: &[Instant]| {
        let Some(batch) = batch else { return };
        let full = batch.reason() == FlushReason::Size && batch.len() == N;
        let age = now.saturating_duration_since(pushed_at[batch[0]]).as_nanos() as u64;
        assert!(age <= wait, "an item waited {age} of {wait}");
        assert!(age == wait || full, "early: {age} of {wait}");
    };
    for gap in gaps {
        let next = now.saturating_add(Duration::from_nanos(gap));
        while let Some(due) = collector.next_deadline().filter(|due| *due <= next) {
            check(collector.on_timeout(due), due, &pushed_at);
        }
        now = next;
        pushed_at.push(now);
        check(collector.push(pushed_at.len() - 1, now), now, &pushed_at);
    }
    assert!(collector.next_deadline().is_none_or(|due| due > now));
}
