use alloc::{collections::VecDeque, sync::Arc, task::Wake, vec::Vec};
use core::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::{foundation::storage::Heap, test_util::Simulator};

#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// One in line as the reference knows it.
struct Known {
    ticket: Ticket,
    waits: bool,
    here: bool,
    /// Was woken before the round that can be let go ended.
    is_late: bool,
    woken: Arc<Count>,
}

/// Random joins, stays, leaves and wake-ups beside a deque of all slots, gaps included.
fn compare<S: Storage>(mut line: Line<S>, most: usize, seed: u64) {
    let mut random = Simulator::new(seed);
    let mut known: VecDeque<Known> = VecDeque::new();
    let mut round = line.begin_round();
    for _ in 0..200 {
        let choice = random.next_random();
        let pick = (choice >> 8) as usize % known.len().max(1);
        match choice % 8 {
            0..3 => {
                let woken = Arc::new(Count::default());
                let ticket = line.join(&mut Some(Waker::from(woken.clone())));
                assert_eq!(ticket.is_none(), known.len() == most);
                known.extend(ticket.map(|ticket| Known { ticket, waits: true, here: true, is_late: false, woken }));
            }
            3 if !known.is_empty() && known[pick].here => {
                let one = &mut known[pick];
                one.woken = Arc::default();
                let mut waker = Some(Waker::from(one.woken.clone()));
                line.stay(one.ticket, &mut waker);
                assert_eq!(waker.is_some(), one.waits, "the former one comes back");
                (one.waits, one.is_late) = (true, false);
            }
            4 | 5 if !known.is_empty() => {
                let one = &mut known[pick];
                assert_eq!(line.leave(one.ticket).is_some(), one.here && one.waits);
                (one.here, one.waits) = (false, false);
                while known.front().is_some_and(|one| !one.here) {
                    known.pop_front();
                }
            }
            6 => {
                let may_go = (choice >> 40) as usize % 6;
                let expected: Vec<_> = known.iter_mut().take(may_go).filter(|one| one.waits).collect();
                let before: Vec<_> = expected.iter().map(|one| one.woken.0.load(Ordering::Relaxed)).collect();
                for _ in &expected {
                    line.next_within(may_go).expect("one more").wake();
                }
                assert!(line.next_within(may_go).is_none());
                for (one, before) in expected.into_iter().zip(before) {
                    assert_eq!(one.woken.0.load(Ordering::Relaxed), before + 1);
                    one.waits = false;
                }
            }
            7 if choice >> 61 == 7 => {
                if choice >> 40 & 1 == 0 {
                    round = line.begin_round();
                    known.iter_mut().for_each(|one| one.is_late = one.here && !one.waits);
                } else {
                    let late = |one: &Known| one.here && !one.waits && one.is_late;
                    assert_eq!(line.let_go(round), known.iter().any(late));
                    known.iter_mut().for_each(|one| one.here &= !late(one));
                }
                while known.front().is_some_and(|one| !one.here) {
                    known.pop_front();
                }
            }
            7 if choice >> 60 == 0 => {
                let end = known.get(pick).map_or_else(|| line.end(), |one| one.ticket);
                let dismissed = if known.is_empty() { 0 } else { pick };
                let waiting = known.drain(..dismissed).filter(|one| one.waits).count();
                for _ in 0..waiting {
                    assert!(line.dismiss(end).is_some());
                }
                assert!(line.dismiss(end).is_none());
                // A gap before the ones that stay goes with the head.
                while known.front().is_some_and(|one| !one.here) {
                    let ticket = known.pop_front().map(|one| one.ticket);
                    assert!(ticket.is_some_and(|ticket| line.leave(ticket).is_none()));
                }
            }
            _ => {}
        }
        assert_eq!(line.len(), known.len());
        assert_eq!(line.has_woken(), known.iter().any(|one| one.here && !one.waits));
        for (ahead, one) in known.iter().enumerate() {
            assert_eq!(line.ahead(one.ticket), Some(ahead));
        }
    }
}

#[test]
fn a_line_does_what_a_naive_one_does() {
    for seed in 0..1_000 {
        compare(Line::<Inline<5>>::new(), 5, seed);
        compare(Line::<Heap>::growing(), usize::MAX, seed);
    }
    compare(Line::<Inline<0>>::new(), 0, 0);
}

#[test]
fn a_void_ticket_does_nothing() {
    let mut line = Line::<Inline<2>>::new();
    let ticket = line.join(&mut Some(Waker::noop().clone())).unwrap();
    assert!(line.dismiss(line.end()).is_some());
    let next = line.join(&mut Some(Waker::noop().clone())).unwrap();
    assert_eq!((line.ahead(ticket), line.ahead(next)), (None, Some(0)));
    assert!(line.leave(ticket).is_none());
    let mut waker = Some(Waker::noop().clone());
    line.stay(ticket, &mut waker);
    assert!(waker.is_some(), "it was not needed");
    assert_eq!(line.len(), 1);
    assert_eq!(line.ahead(line.end()), None, "nobody has this one yet");
}
