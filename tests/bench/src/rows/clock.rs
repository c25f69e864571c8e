//! Reading the clock, which many of the other rows do once or twice.

use std::{hint::black_box, sync::Arc, time::Instant};

use governor::clock::{Clock as _, QuantaClock};
use steadfast::runtime::{Clock, SystemTimer, TickClock};

use super::Plan;
use crate::{
    options::Options,
    run::Row,
    slice::{Work, repeat},
    work::mix,
};

pub(super) fn rows(options: &Options) -> Vec<Plan> {
    let words = options.keys(8_000_000);
    vec![
        Plan::new("clock, one reading", || {
            let quanta = QuantaClock::default();
            Row::new(repeat(|| _ = black_box(SystemTimer.now())))
                .peer("std", None, repeat(|| _ = black_box(Instant::now())))
                .peer("quanta, through governor", None, repeat(move || _ = black_box(quanta.now())))
                .peer("ours, by ticks", None, repeat(|| _ = black_box(TickClock.now())))
        }),
        Plan::new("clock, one reading after a load from memory", move || {
            let memory: Arc<[u64]> = (0..words as u64).collect();
            Row::new(after_load(&memory, || _ = black_box(SystemTimer.now())))
                .peer("std", None, after_load(&memory, || _ = black_box(Instant::now())))
                .floor("the load", None, after_load(&memory, || ()))
        }),
    ]
}

/// A word from anywhere, which nothing that follows needs.
fn after_load(memory: &Arc<[u64]>, then: impl Fn() + 'static) -> Work {
    let (memory, mut index) = (memory.clone(), 0);
    repeat(move || {
        index += 1;
        black_box(memory[mix(index) as usize % memory.len()]);
        then();
    })
}
