//! Replay window, counter reserve and key ring.

use core::num::NonZeroU32;

use steadfast_core::session::{CounterError, CounterReserve, KeyRing, ReplayWindow};

use crate::operations::session::{accept, check, counters, keys};

use super::meter::{By, Meter};

pub fn session(meter: &Meter) {
    window(meter);
    counter(meter);
    ring(meter);
}

fn window(meter: &Meter) {
    let machine = "replay window of 224";
    let mut both = meter.row(machine, "check and accept");
    let mut refused = meter.row(machine, "check, a duplicate");
    let mut window = ReplayWindow::new();
    let in_order = (0..1_000).map(|counter| (counter, By::Chance));
    let jumps = [2_000, 1_990, 1 << 40, (1 << 40) - 223, u64::MAX - 1].map(|counter| (counter, By::Enemy));
    for (counter, by) in in_order.chain(jumps) {
        both.count(by, || check(&window, counter).and_then(|candidate| accept(&mut window, candidate)))
            .expect("it is fresh");
        assert!(refused.count(by, || check(&window, counter)).is_err());
    }
    both.print();
    refused.print();
}

fn counter(meter: &Meter) {
    let machine = "counter reserve";
    let mut next = meter.row(machine, "next");
    let mut stored = meter.row(machine, "stored");
    let mut reserve = CounterReserve::restore(0, NonZeroU32::MIN);
    for _ in 0..100 {
        let asked = next.count(By::Enemy, || counters::next(&mut reserve));
        let Err(CounterError::Store(limit)) = asked else { panic!("a block is one number") };
        assert!(stored.count(By::Chance, || counters::stored(&mut reserve, limit)).is_ok());
        assert!(next.count(By::Chance, || counters::next(&mut reserve)).is_ok());
    }
    next.print();
    stored.print();
}

fn ring(meter: &Meter) {
    let machine = "key ring";
    let mut rotated = meter.row(machine, "add, promote and retire");
    let mut got = meter.row(machine, "get");
    let mut ring = KeyRing::new(0, [0; 8]);
    for id in 1..50 {
        let is_rotated = rotated.count(By::Chance, || {
            keys::add(&mut ring, id, [0; 8]) && keys::promote(&mut ring) && keys::retire(&mut ring, id - 1)
        });
        assert!(is_rotated);
        assert!(got.count(By::Chance, || keys::get(&ring, id).is_some()));
        assert!(got.count(By::Enemy, || keys::get(&ring, id - 1).is_none()));
    }
    rotated.print();
    got.print();
}
