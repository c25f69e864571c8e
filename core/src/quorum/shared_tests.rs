use core::{
    cell::{Cell, RefCell},
    future::{Future, Pending, pending},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{format, sync::atomic::Ordering::Relaxed, vec::Vec};

use crate::{
    aggregate::{majority, median, settled},
    foundation::{
        shared::{Clock, Shared, Timer},
        time::Instant,
    },
    quorum::{Ballot, BallotId, Cast, Quorum, Vote},
    test_util::{Simulator, VirtualTimer, seeds},
};

type Machine = Quorum<u32, i64, 8>;
type Subject = Shared<Machine, RefCell<Machine>, VirtualTimer>;

const TIMEOUT: Duration = Duration::from_secs(60);
const END: Instant = Instant::from_secs(60);
const FIRST: BallotId = BallotId::from_u64(0);

fn quorum(timer: &VirtualTimer) -> Subject {
    Shared::new(RefCell::new(Quorum::new::<3>(END)), timer.clone())
}

/// Nobody holds a place any more.
fn nobody_waits(quorum: &Subject) -> bool {
    quorum.with_lock(|quorum| (0..4).all(|_| quorum.waiters.join().is_some()))
}

#[test]
fn all_who_wait_learn_the_decision_when_it_is_made() {
    for seed in seeds(1_000) {
        let timer = VirtualTimer::default();
        let quorum = quorum(&timer);
        let learned = RefCell::new(Vec::new());
        let mut simulator = Simulator::with_timer(seed, timer);
        for _ in 0..6 {
            simulator.spawn(async {
                let value = quorum.decided(FIRST, median).await;
                learned.borrow_mut().push((value, quorum.timer().now()));
            });
        }
        for voter in 1..=4 {
            let quorum = &quorum;
            simulator.spawn(async move {
                let at = Instant::from_secs(u64::from(voter));
                quorum.timer().sleep_until(at).await;
                let _ = quorum.vote(FIRST, voter, 10 * i64::from(voter));
            });
        }
        simulator.run();
        drop(simulator);
        let learned = learned.into_inner();
        assert_eq!(learned.len(), 6);
        let decided_at = Instant::from_secs(3);
        assert!(learned.iter().filter(|(_, at)| *at == decided_at).count() >= 4, "four at least are woken");
        for (value, at) in learned {
            assert_eq!(value, Some(20), "seed {seed}");
            assert!(at.saturating_duration_since(decided_at) <= Duration::from_millis(10) && at >= decided_at);
        }
        assert_eq!(quorum.stats().late, 1);
        assert!(nobody_waits(&quorum));
    }
}

#[test]
fn the_deadline_wakes_those_who_wait() {
    for (votes, expected) in [(2, None), (4, Some(10))] {
        let timer = VirtualTimer::default();
        let quorum = quorum(&timer);
        for voter in 0..votes {
            assert_eq!(quorum.vote(FIRST, voter, 10), Vote::Counted);
        }
        let mut simulator = Simulator::with_timer(1, timer);
        simulator.spawn(async {
            assert_eq!(quorum.decided_when_settled(FIRST, median, settled::all_voted).await, expected);
            assert_eq!(quorum.timer().now(), END);
        });
        simulator.run();
    }
}

#[test]
fn a_settled_result_is_not_waited_for() {
    let timer = VirtualTimer::default();
    let machine = Quorum::with_voters(2, 1..=5, END).unwrap();
    let quorum: Subject = Shared::new(RefCell::new(machine), timer.clone());
    let mut simulator = Simulator::with_timer(1, timer);
    simulator.spawn(async {
        assert_eq!(quorum.decided_when_settled(FIRST, majority, settled::majority).await, Some(7));
        assert_eq!(quorum.timer().now(), Instant::ZERO);
    });
    simulator.spawn(async {
        for voter in 1..=3 {
            assert_eq!(quorum.vote(FIRST, voter, 7), Vote::Counted);
        }
    });
    simulator.run();
}

#[test]
fn a_reset_ends_the_wait_for_the_former_ballot() {
    for seed in seeds(100) {
        let timer = VirtualTimer::default();
        let quorum = quorum(&timer);
        let mut simulator = Simulator::with_timer(seed, timer);
        let waiter = simulator.spawn(async { assert_eq!(quorum.decided(FIRST, median).await, None) });
        assert!(simulator.step(), "the first poll");
        simulator.spawn(async {
            let next = quorum.reset(TIMEOUT);
            for voter in 1..=3 {
                assert_eq!(quorum.vote(next, voter, 7), Vote::Counted);
            }
        });
        simulator.run();
        assert!(simulator.is_over(waiter));
        assert_eq!(quorum.result(FIRST, median), Ballot::Failed);
        assert_eq!(quorum.result(quorum.ballot(), median), Ballot::Decided(7));
    }
}

#[test]
fn a_dropped_future_frees_its_place_and_wakes_nobody_in_vain() {
    for seed in seeds(1_000) {
        let timer = VirtualTimer::default();
        let quorum = quorum(&timer);
        let learned = Cell::new(0);
        let mut simulator = Simulator::with_timer(seed, timer);
        let mut tasks = Vec::new();
        for _ in 0..6 {
            tasks.push(simulator.spawn(async {
                assert_eq!(quorum.decided(FIRST, median).await, Some(10));
                learned.set(learned.get() + 1);
            }));
        }
        for voter in 0..3 {
            let quorum = &quorum;
            simulator.spawn(async move {
                quorum.timer().sleep_until(Instant::from_secs(u64::from(voter))).await;
                let _ = quorum.vote(FIRST, voter, 10);
            });
        }
        for _ in 0..2 {
            (0..simulator.next_random() % 16).for_each(|_| _ = simulator.step());
            let victim = tasks[(simulator.next_random() % 6) as usize];
            simulator.abort(victim);
        }
        simulator.run();
        drop(simulator);
        assert!(learned.get() >= 4, "seed {seed}");
        assert!(nobody_waits(&quorum));
    }
}

/// A clock that is set by hand, and that notes until when it was asked to sleep.
#[derive(Default)]
struct Noted {
    now: Cell<Instant>,
    alarms: RefCell<Vec<Instant>>,
}

impl Clock for Noted {
    fn now(&self) -> Instant {
        self.now.get()
    }
}

impl Timer for Noted {
    type Sleep = Pending<()>;

    fn sleep_until(&self, at: Instant) -> Pending<()> {
        self.alarms.borrow_mut().push(at);
        pending()
    }
}

#[test]
fn a_clock_that_steps_back_sets_the_alarm_anew() {
    let timer = Noted::default();
    let quorum = Shared::new(RefCell::new(Machine::new::<3>(END)), &timer);
    let mut waiting = pin!(quorum.decided(FIRST, median));
    let mut cx = Context::from_waker(Waker::noop());
    timer.now.set(Instant::from_secs(50));
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    timer.now.set(Instant::from_secs(20));
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    assert_eq!(*timer.alarms.borrow(), [END, Instant::from_secs(30)]);
    timer.now.set(Instant::from_secs(30));
    assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Ready(None));
}

#[test]
fn votes_may_come_while_the_result_is_found() {
    let quorum = quorum(&VirtualTimer::default());
    for voter in 1..=3 {
        assert_eq!(quorum.vote(FIRST, voter, 10), Vote::Counted);
    }
    // No lock is held; and the result is that of all four.
    let ballot = quorum.result(FIRST, |votes| {
        let _ = quorum.vote(FIRST, 4, 90);
        votes.iter().max().copied()
    });
    assert_eq!(ballot, Ballot::Decided(90));
    assert_eq!(quorum.vote(FIRST, 5, 99), Vote::Late);
    assert_eq!(quorum.stats().seen(), 6);
}

#[test]
fn the_calls_are_those_of_the_machine() {
    let timer = VirtualTimer::default();
    let quorum = quorum(&timer);
    let cast = |voter: &mut Option<u32>| {
        let is_one = |known: &u32| *known == 1;
        quorum.vote_with(FIRST, is_one, voter, &mut Some(10), |cast| format!("{cast:?}"))
    };
    assert_eq!(cast(&mut None), "Wanted");
    let without_value = quorum.vote_with(FIRST, |_| false, &mut Some(9), &mut None, |cast| cast == Cast::Wanted);
    assert!(without_value && quorum.with_lock(|quorum| quorum.is_empty()));
    assert_eq!(cast(&mut Some(1)), "Done(Counted)");
    assert_eq!(cast(&mut None), "Again(10)");
    assert_eq!(quorum.result_when_settled(FIRST, median, settled::median), Ballot::Open { missing: 2 });
    assert_eq!(quorum.next_deadline(), Some(END));
    assert!(!quorum.on_timeout());
    let second = quorum.reset(Duration::MAX);
    assert_eq!(quorum.next_deadline(), None);
    assert!(!quorum.reset_to(second, TIMEOUT) && quorum.reset_to(BallotId::from_u64(99), TIMEOUT));
    assert_eq!(quorum.ballot().as_u64(), 99);
    assert_eq!(quorum.with_lock(|quorum| quorum.len()), 0);
}

#[test]
fn a_time_out_tells_whether_it_closed_the_ballot() {
    let timer = VirtualTimer::default();
    let quorum = quorum(&timer);
    assert!(!quorum.on_timeout());
    timer.advance(TIMEOUT);
    assert!(quorum.on_timeout());
    assert!(!quorum.on_timeout());
}

#[test]
fn found_b4_who_waits_for_a_former_ballot_learns_nothing_of_the_next() {
    for seed in seeds(100) {
        let timer = VirtualTimer::default();
        let quorum = quorum(&timer);
        let second = quorum.reset(TIMEOUT);
        let mut simulator = Simulator::with_timer(seed, timer);
        // The first poll of both comes when the first ballot is over.
        simulator.spawn(async { assert_eq!(quorum.decided(FIRST, median).await, None) });
        simulator.spawn(async { assert_eq!(quorum.decided(second, median).await, Some(7)) });
        simulator.spawn(async {
            for voter in 1..=3 {
                assert_eq!(quorum.vote(FIRST, voter, 1), Vote::OtherBallot);
                assert_eq!(quorum.vote(second, voter, 7), Vote::Counted);
            }
        });
        simulator.run();
        assert!(nobody_waits(&quorum));
    }
}

#[test]
fn found_a2_whatever_brings_the_deadline_nearer_wakes_those_who_wait() {
    let timer = Noted::default();
    let quorum = Shared::new(RefCell::new(Machine::new::<3>(END)), &timer);
    timer.now.set(Instant::from_secs(50));
    let woken = std::sync::Arc::new(Woken::default());
    let waker = woken.clone().into();
    let mut waiting = pin!(quorum.decided(FIRST, median));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    timer.now.set(Instant::from_secs(20));
    assert_eq!(quorum.vote(FIRST, 1, 10), Vote::Counted);
    assert!(woken.0.swap(false, Relaxed));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(timer.alarms.borrow().last(), Some(&Instant::from_secs(30)));
    timer.now.set(Instant::from_secs(10));
    assert!(!quorum.on_timeout());
    assert!(woken.0.swap(false, Relaxed), "a deadline came nearer");
}

#[derive(Default)]
struct Woken(std::sync::atomic::AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn futures_can_be_shown() {
    let quorum = quorum(&VirtualTimer::default());
    assert_eq!(format!("{:?}", quorum.decided(FIRST, median)), "Decided { .. }");
    let settled = quorum.decided_when_settled(FIRST, median, settled::all_voted);
    assert_eq!(format!("{settled:?}"), "DecidedWhenSettled { .. }");
}
