use core::num::NonZeroU32;
use std::{collections::BTreeSet, format, vec, vec::Vec};

use super::*;

/// Every counter that was accepted, kept for ever.
#[derive(Clone, Default)]
struct Accepted(BTreeSet<u64>);

impl Accepted {
    fn verdict(&self, counter: u64, width: u64) -> Result<(), Replay> {
        match self.0.last() {
            _ if counter == u64::MAX => Err(Replay::Exhausted),
            Some(highest) if highest.checked_sub(counter).is_some_and(|behind| behind >= width) => Err(Replay::TooOld),
            _ if self.0.contains(&counter) => Err(Replay::Duplicate),
            _ => Ok(()),
        }
    }
}

fn offer<const W: usize>(window: &mut ReplayWindow<W>, counter: u64) -> Result<(), Replay> {
    window.check(counter).and_then(|candidate| window.accept(candidate))
}

/// All sequences of `depth` of these counters.
fn all_orders<const W: usize>(window: &ReplayWindow<W>, accepted: &Accepted, counters: &[u64], depth: u32) -> u64 {
    if depth == 0 {
        return 1;
    }
    let orders = counters.iter().map(|&counter| {
        let (mut window, mut accepted) = (window.clone(), accepted.clone());
        let expected = accepted.verdict(counter, ReplayWindow::<W>::WIDTH);
        assert_eq!(offer(&mut window, counter), expected, "{counter} after {:?}", accepted.0);
        if expected.is_ok() {
            accepted.0.insert(counter);
        }
        assert_eq!(window.next(), accepted.0.last().map_or(0, |highest| highest + 1));
        all_orders(&window, &accepted, counters, depth - 1)
    });
    orders.sum()
}

/// Around the edges of words, of the window and of its ring, from the beginning and up to the end.
fn all_orders_at_the_edges<const W: usize>() {
    let width = ReplayWindow::<W>::WIDTH;
    let ring = width + 32;
    let from_the_start = [0, 1, 31, 32, width - 1, width, width + 1, ring - 1, ring, ring + 1, 3 * ring];
    let last = u64::MAX;
    let to_the_end =
        [0, last - ring, last - width - 1, last - width, last - width + 1, last - 32, last - 2, last - 1, last];
    for edges in [&from_the_start[..], &to_the_end[..]] {
        let orders = all_orders::<W>(&ReplayWindow::new(), &Accepted::default(), edges, 4);
        assert_eq!(orders, (edges.len() as u64).pow(4));
    }
}

#[test]
fn in_all_orders_each_fresh_counter_is_accepted_once_in_the_smallest_window() {
    all_orders_at_the_edges::<2>();
}

#[test]
fn in_all_orders_each_fresh_counter_is_accepted_once_in_a_larger_window() {
    all_orders_at_the_edges::<4>();
}

/// Each counter of the window by itself: a ring that is a block or a bit too narrow shows.
#[test]
fn every_counter_within_the_width_is_accepted_once_and_none_behind_it() {
    for highest in 300..400 {
        let mut window: ReplayWindow<8> = ReplayWindow::new();
        assert_eq!(ReplayWindow::<8>::WIDTH, 224);
        assert_eq!(offer(&mut window, highest), Ok(()));
        for counter in (0..=highest - 224).rev() {
            assert_eq!(offer(&mut window, counter), Err(Replay::TooOld));
        }
        for counter in highest - 223..highest {
            assert_eq!(offer(&mut window, counter), Ok(()));
            assert_eq!(offer(&mut window, counter), Err(Replay::Duplicate));
        }
    }
}

#[test]
fn a_packet_that_is_not_accepted_moves_nothing() {
    let mut window: ReplayWindow<2> = ReplayWindow::new();
    assert_eq!(offer(&mut window, 5), Ok(()));
    let before = format!("{window:?}");
    for counter in [0, 5, 6, 1_000, u64::MAX - 1, u64::MAX] {
        drop(window.check(counter));
        assert_eq!(format!("{window:?}"), before);
    }
    assert_eq!(offer(&mut window, 6), Ok(()));
}

#[test]
fn a_candidate_is_no_promise() {
    let mut window: ReplayWindow<2> = ReplayWindow::new();
    let copies = [window.check(3), window.check(3)].map(|copy| copy.expect("fresh"));
    let late = window.check(4).expect("fresh");
    let [first, second] = copies;
    assert_eq!(window.accept(first), Ok(()));
    assert_eq!(window.accept(second), Err(Replay::Duplicate));
    assert_eq!(offer(&mut window, 1_000), Ok(()));
    assert_eq!(window.accept(late), Err(Replay::TooOld));
    // Of another window.
    let foreign = ReplayWindow::<4>::new().check(1_000).expect("fresh there");
    assert_eq!(window.accept(foreign), Err(Replay::Duplicate));
}

#[test]
fn a_resumed_window_takes_nothing_from_before_and_everything_since() {
    for next in (0..200).chain(u64::MAX - 100..=u64::MAX) {
        let resumed = ReplayWindow::<4>::resume(next);
        assert_eq!(resumed.next(), next);
        for old in next.saturating_sub(150)..next {
            assert!(resumed.check(old).is_err(), "{old} of {next}");
        }
        let mut backwards = resumed.clone();
        let fresh: Vec<u64> =
            (0..96).map_while(|more| next.checked_add(more)).filter(|fresh| *fresh < u64::MAX).collect();
        for counter in fresh.into_iter().rev() {
            assert_eq!(offer(&mut backwards, counter), Ok(()), "{counter} of {next}");
            assert_eq!(offer(&mut backwards, counter), Err(Replay::Duplicate));
        }
    }
}

/// What can happen to a sender and its storage.
#[derive(Clone, Copy, Debug)]
enum Event {
    Next,
    /// It is written, and read back.
    Store,
    /// The write is lost, and what was there is read back.
    Lose,
    /// It is written, and the power fails before anybody hears of it.
    StoreThenCut,
    Cut,
    /// Another program has written beyond what was asked for.
    Foreign,
}

const EVENTS: [Event; 6] = [Event::Next, Event::Store, Event::Lose, Event::StoreThenCut, Event::Cut, Event::Foreign];

/// All sequences of these events; tells how many numbers were handed out.
fn all_histories(events: &mut Vec<Event>, depth: usize, start: u64, block: NonZeroU32) -> u64 {
    if events.len() == depth {
        return history(events, start, block);
    }
    let mut handed_out = 0;
    for event in EVENTS {
        events.push(event);
        handed_out += all_histories(events, depth, start, block);
        events.pop();
    }
    handed_out
}

fn history(events: &[Event], start: u64, block: NonZeroU32) -> u64 {
    let mut flash = start;
    let mut counters = CounterReserve::restore(flash, block);
    let mut seen = BTreeSet::new();
    let mut hand_out = |counters: &mut CounterReserve, flash: u64| {
        let next = counters.next();
        match next {
            Ok(counter) => {
                assert!(counter < flash && counter < u64::MAX, "{counter} is not covered by storage: {events:?}");
                assert!(seen.insert(counter), "{counter} twice: {events:?}");
            }
            Err(CounterError::Store(limit)) => assert!(limit > flash, "no progress: {events:?}"),
            Err(CounterError::Exhausted) => assert!(flash == u64::MAX, "{events:?}"),
        }
        next
    };
    for event in events {
        match event {
            Event::Next => _ = hand_out(&mut counters, flash),
            Event::Store => {
                flash = counters.to_store();
                assert_eq!(counters.stored(flash), Ok(()));
                assert!(counters.remaining() > 0 || flash == u64::MAX);
            }
            Event::Lose if flash < counters.to_store() => {
                let remaining = counters.remaining();
                assert_eq!(counters.stored(flash), Err(NotStored));
                assert_eq!(counters.remaining(), remaining);
            }
            Event::Lose => {}
            Event::StoreThenCut => {
                flash = counters.to_store();
                counters = CounterReserve::restore(flash, block);
            }
            Event::Cut => counters = CounterReserve::restore(flash, block),
            Event::Foreign => {
                if let Some(beyond) = counters.to_store().checked_add(1) {
                    flash = beyond;
                    assert_eq!(counters.stored(flash), Err(NotStored));
                }
            }
        }
    }
    // With storage that works there is always a next one.
    let next = hand_out(&mut counters, flash);
    if let Err(CounterError::Store(limit)) = next {
        assert_eq!(counters.stored(limit), Ok(()));
        assert!(hand_out(&mut counters, limit).is_ok() || limit == u64::MAX);
    }
    seen.len() as u64
}

#[test]
fn no_counter_repeats_and_each_write_yields_some_whatever_happens_to_the_power_and_the_storage() {
    for block in [1, 2, u32::MAX].map(|block| NonZeroU32::new(block).unwrap()) {
        for start in [0, u64::MAX - 3, u64::MAX] {
            let handed_out = all_histories(&mut vec![], 5, start, block);
            assert!(handed_out > 1_000 || start == u64::MAX, "{handed_out} are few");
        }
    }
}

/// One copy is old or lost after each boot: the other has what counts.
#[test]
fn with_two_copies_storage_that_returns_old_values_repeats_nothing() {
    let block = NonZeroU32::new(3).unwrap();
    let mut copies = [0; 2];
    let mut seen = BTreeSet::new();
    for boot in 0..50 {
        copies[boot % 2] = if boot % 3 == 0 { 0 } else { copies[boot % 2] / 2 };
        let mut counters = CounterReserve::restore(copies[0].max(copies[1]), block);
        copies = [counters.to_store(); 2];
        assert_eq!(counters.stored(copies[0].min(copies[1])), Ok(()));
        while let Ok(counter) = counters.next() {
            assert!(seen.insert(counter));
        }
    }
    assert_eq!(seen.len(), 150, "each write yields its block");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add(u8),
    Promote,
    Retire(u8),
}

/// All sequences of steps, beside a list of ids, from the oldest to the next.
#[test]
fn keys_open_from_when_they_are_added_until_they_are_retired_and_the_current_one_always() {
    let steps =
        [Step::Add(1), Step::Add(2), Step::Add(3), Step::Promote, Step::Retire(1), Step::Retire(2), Step::Retire(3)];
    for number in 0..steps.len().pow(6) {
        let steps = (0..6).map(|place| steps[number / steps.len().pow(place) % steps.len()]);
        let mut ring = KeyRing::new(1, 1);
        let (mut old, mut current, mut next) = (None, 1, None);
        for step in steps {
            match step {
                Step::Add(id) => {
                    let expected = if [old, Some(current), next].contains(&Some(id)) {
                        Err(KeyRingError::Duplicate(id))
                    } else if next.is_some() {
                        Err(KeyRingError::Full(id))
                    } else {
                        next = Some(id);
                        Ok(())
                    };
                    assert_eq!(ring.add(id, id), expected);
                }
                Step::Promote => match next.take() {
                    None => assert_eq!(ring.promote(), Err(KeyRingError::NoNext)),
                    Some(id) => {
                        assert_eq!(ring.promote(), Ok(old));
                        (old, current) = (Some(current), id);
                    }
                },
                Step::Retire(id) => {
                    let expected = if [old, next].contains(&Some(id)) { Ok(id) } else { Err(KeyRingError::NotRetired) };
                    assert_eq!(ring.retire(id), expected);
                    old = old.filter(|own| *own != id);
                    next = next.filter(|own| *own != id);
                }
            }
            assert_eq!(ring.current(), (current, &current));
            assert_eq!(ring.current_mut(), (current, &mut current.clone()));
            for id in 0..5 {
                let is_there = [old, Some(current), next].contains(&Some(id));
                assert_eq!(ring.get(id).copied(), is_there.then_some(id));
                assert_eq!(ring.get_mut(id).copied(), is_there.then_some(id));
            }
        }
    }
}

#[test]
fn neither_the_ring_nor_its_errors_show_a_key() {
    let mut ring = KeyRing::new(1, "secret");
    assert_eq!(format!("{:?}", ring.add(1, "secret")), "Err(Duplicate(..))");
    assert_eq!(ring.add(2, "secret"), Ok(()));
    assert_eq!(format!("{:?}", ring.add(3, "secret")), "Err(Full(..))");
    assert_eq!(format!("{ring:?}"), "KeyRing { old: None, current: 1, next: Some(2), .. }");
}
