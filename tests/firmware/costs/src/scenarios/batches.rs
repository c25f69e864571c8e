//! The batch collector.

use core::time::Duration;

use crate::operations::batch_collector::{NEW, on_timeout, push, rest};
use steadfast_core::Instant;

use super::meter::{By, Meter};

const MACHINE: &str = "batch collector of 16";
const START: Instant = Instant::from_secs(1_000_000);

pub fn batch_collector(meter: &Meter) {
    let mut pushed = meter.row(MACHINE, "push");
    let mut filled = meter.row(MACHINE, "push, it fills the batch");
    let mut waited = meter.row(MACHINE, "next_deadline");
    let mut early = meter.row(MACHINE, "on_timeout, nothing due");
    let mut due = meter.row(MACHINE, "on_timeout, a batch due");
    let mut flushed = meter.row(MACHINE, "flush");
    let mut batches = NEW;
    let mut now = START;
    for round in 0..20 {
        for item in 0..16 {
            now = now.saturating_add(Duration::from_millis(round));
            if item < 15 {
                assert_eq!(pushed.count(By::Chance, || push(&mut batches, item, now)), 0);
            } else {
                assert_eq!(filled.count(By::Chance, || push(&mut batches, item, now)), 16);
            }
            waited.count(By::Chance, || rest::next_deadline(&batches));
            assert_eq!(early.count(By::Chance, || on_timeout(&mut batches, now)), 0);
        }
    }
    for len in 1..16 {
        // The clock steps back, and on.
        for now in [START, Instant::from_secs(1), START] {
            (0..len).for_each(|item| assert_eq!(pushed.count(By::Enemy, || push(&mut batches, item, now)), 0));
            let late = now.saturating_add(Duration::from_secs(5));
            assert_eq!(due.count(By::Chance, || on_timeout(&mut batches, late)), len as usize);
            (0..len).for_each(|item| assert_eq!(push(&mut batches, item, now), 0));
            assert_eq!(flushed.count(By::Chance, || rest::flush(&mut batches)), len as usize);
        }
    }
    for row in [pushed, filled, waited, early, due, flushed] {
        row.print();
    }
}
