//! One question to many.

use alloc::rc::Rc;
use core::{
    cell::RefCell,
    future::{Ready, pending, ready},
    ops::ControlFlow,
};
use std::vec::Vec;

use super::{
    shared_tests::{DUE, SECOND, SENT, nothing_left, run, slab},
    *,
};
use crate::{
    foundation::{shared::Clock, time::Instant},
    test_util::Simulator,
};

/// What was sent, and to whom.
type Sent = Rc<RefCell<Vec<(u8, CallId)>>>;

fn record(sent: &Sent) -> impl FnMut(u8, CallId) -> Ready<Result<(), ()>> + use<> {
    let sent = sent.clone();
    move |peer, id| {
        sent.borrow_mut().push((peer, id));
        ready(SENT)
    }
}

#[test]
fn gather_returns_as_soon_as_enough_have_answered() {
    let mut simulator = Simulator::new(1);
    let (calls, sent) = (slab::<8>(&simulator), Sent::default());
    let (asking, send) = (calls.clone(), record(&sent));
    simulator.spawn(async move {
        let answers = asking.gather::<5, _, _, _>([1, 2, 3, 4, 5], 3, SECOND, send).await.unwrap();
        assert_eq!(answers, [(4, 40), (1, 10), (2, 20)]);
    });
    assert!(simulator.step());
    for peer in [4, 1, 2] {
        let (asked, id) = sent.borrow()[usize::from(peer) - 1];
        assert_eq!(asked, peer);
        assert_eq!(calls.resolve(id, 9, 99), Resolution::WrongPeer(99));
        assert!(calls.resolve(id, peer, u32::from(peer) * 10).is_matched());
        assert!(simulator.step());
    }
    simulator.run();
    assert_eq!(simulator.timer().now(), Instant::ZERO);
    let (_, third) = sent.borrow()[2];
    assert_eq!(calls.resolve(third, 3, 30), Resolution::Late(30));
    assert_eq!((calls.stats().resolved, calls.stats().cancelled), (3, 2));
    nothing_left(&calls);
}

#[test]
fn gather_returns_what_has_arrived_by_the_deadline() {
    let mut simulator = Simulator::new(1);
    let (calls, sent) = (slab::<8>(&simulator), Sent::default());
    let (asking, send) = (calls.clone(), record(&sent));
    simulator.spawn(async move {
        // Peer 1 is listed twice, and asked once.
        let answers = asking.gather::<4, _, _, _>([1, 1, 2, 3], 4, SECOND, send).await.unwrap();
        assert_eq!(answers, [(2, 20)]);
    });
    assert!(simulator.step());
    assert_eq!(sent.borrow().iter().map(|(peer, _)| *peer).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(calls.resolve(sent.borrow()[1].1, 2, 20).is_matched());
    simulator.run();
    assert_eq!((simulator.timer().now(), calls.stats().timed_out), (DUE, 2));
    nothing_left(&calls);
}

#[test]
fn gather_ends_when_nobody_is_left_to_answer() {
    let mut simulator = Simulator::new(1);
    let calls = slab::<8>(&simulator);
    let asking = calls.clone();
    simulator.spawn(async move {
        // 1 and 3 cannot be reached, 2 answers inside the send: there is nothing to wait for.
        let inner = asking.clone();
        let answers = asking.gather::<3, _, _, _>([1, 2, 3], 3, SECOND, |peer, id| {
            ready(if peer == 2 && inner.resolve(id, peer, 20).is_matched() { Ok(()) } else { Err(peer) })
        });
        assert_eq!(answers.await.unwrap(), [(2, 20)]);
        // Nobody can be reached.
        let answers = asking.gather::<3, _, _, _>([1, 2, 3], 3, SECOND, |peer, _| ready(Err(peer)));
        assert_eq!(answers.await, Err(CallError::Send(1)));
        // An answer counts although its send failed.
        let answers = asking.gather::<3, _, _, _>([1, 2], 1, SECOND, |peer, id| {
            let _ = inner.resolve(id, peer, 10);
            ready(Err(peer))
        });
        assert_eq!(answers.await.unwrap(), [(1, 10)]);
        // Nobody is asked.
        assert_eq!(asking.gather::<3, _, _, ()>([], 1, SECOND, |_, _| ready(SENT)).await, Ok(heapless::Vec::new()));
        let none = asking.gather::<3, _, _, ()>([1, 2], 0, SECOND, |_, _| ready(SENT)).await;
        assert_eq!(none, Ok(heapless::Vec::new()));
        assert_eq!(asking.stats().begun, 8);
    });
    simulator.run();
    assert_eq!(simulator.timer().now(), Instant::ZERO);
    nothing_left(&calls);
}

#[test]
fn gather_sends_nothing_unless_all_can_be_asked() {
    let simulator = Simulator::new(1);
    let calls = slab::<2>(&simulator);
    let left = calls.clone();
    run(simulator, async move {
        let mut asked = 0;
        let mut ask = |_, _| {
            asked += 1;
            ready(SENT)
        };
        assert_eq!(calls.gather::<3, _, _, _>([1, 2, 3], 1, SECOND, &mut ask).await, Err(CallError::Full));
        assert_eq!(calls.gather::<1, _, _, _>([1, 2], 1, SECOND, &mut ask).await, Err(CallError::Full));
        calls.close();
        assert_eq!(calls.gather::<3, _, _, _>([1], 1, SECOND, &mut ask).await, Err(CallError::Closed));
        assert_eq!(asked, 0);
    });
    nothing_left(&left);
}

#[test]
fn gather_ends_with_the_correlator() {
    let mut simulator = Simulator::new(1);
    let calls = slab::<4>(&simulator);
    let asking = calls.clone();
    simulator.spawn(async move {
        let answers = asking.gather::<3, _, _, ()>([1, 2, 3], 3, SECOND, |_, _| ready(SENT)).await;
        assert_eq!(answers, Err(CallError::Closed));
    });
    assert!(simulator.step());
    calls.close();
    simulator.run();
    nothing_left(&calls);
}

#[test]
fn a_stuck_send_holds_up_neither_answers_nor_the_deadline() {
    for want in [1, 2] {
        let mut simulator = Simulator::new(1);
        let (calls, sent) = (slab::<4>(&simulator), Sent::default());
        let (asking, sending) = (calls.clone(), sent.clone());
        simulator.spawn(async move {
            let answers = asking.gather::<3, _, _, ()>([1, 2, 3], want, SECOND, |peer, id| {
                sending.borrow_mut().push((peer, id));
                async move { if peer == 2 { pending().await } else { SENT } }
            });
            assert_eq!(answers.await.unwrap(), [(1, 10)]);
        });
        assert!(simulator.step());
        assert!(calls.resolve(sent.borrow()[0].1, 1, 10).is_matched());
        simulator.run();
        assert_eq!(sent.borrow().len(), 2, "3 was never asked");
        assert_eq!(simulator.timer().now(), if want == 1 { Instant::ZERO } else { DUE });
        nothing_left(&calls);
    }
}

#[test]
fn gather_each_stops_when_its_judge_has_heard_enough() {
    let simulator = Simulator::new(1);
    let calls = slab::<4>(&simulator);
    let left = calls.clone();
    run(simulator, async move {
        let mut asked = [1, 2, 3].map(Asked::new);
        for _ in 0..2 {
            let mut sum = 0;
            let send = |peer, id| {
                assert!(calls.resolve(id, peer, u32::from(peer)).is_matched());
                ready(SENT)
            };
            let judge = |_, reply| {
                sum += reply;
                if sum >= 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            assert_eq!(calls.gather_each(&mut asked, SECOND, send, judge).await, Ok(()));
            assert_eq!(sum, 3);
        }
    });
    nothing_left(&left);
}

#[test]
fn its_futures_can_be_shown() {
    let calls = slab::<4>(&Simulator::new(1));
    let gather = calls.gather::<2, _, _, ()>([1, 2], 1, SECOND, |_, _| ready(SENT));
    assert_eq!(std::format!("{gather:?}"), "Gather { .. }");
    drop(gather);
    nothing_left(&calls);
}
