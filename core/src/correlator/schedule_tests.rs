//! Calls that wait, under every schedule.

use alloc::rc::Rc;
use core::{
    cell::{Cell, RefCell},
    time::Duration,
};
use std::vec::Vec;

use super::{
    shared_tests::{SECOND, SENT, keyed, nothing_left, slab},
    *,
};
use crate::{
    foundation::shared::{Clock, Timer},
    test_util::{Simulator, seeds},
};

/// Random numbers of a task's own.
#[derive(Clone)]
struct Dice(Rc<Cell<u64>>);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Rc::new(Cell::new(seed | 1)))
    }

    fn below(&self, limit: u64) -> u64 {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        state % limit
    }
}

/// The reply to a call is made from its id, so that whoever gets another's reply notices.
const fn reply_to(id: CallId) -> u32 {
    id.as_u64() as u32 ^ (id.as_u64() >> 32) as u32
}

/// Tasks call and gather through a network that is slow, fails, doubles and forges; some are dropped where they stand.
fn chaos(seed: u64, hostile: bool) {
    let mut simulator = Simulator::new(seed);
    let calls = slab::<5>(&simulator);
    let wire: Rc<RefCell<Vec<(u8, CallId)>>> = Rc::default();
    let done = Rc::new(Cell::new(0_u32));
    let dice = Dice::new(seed.wrapping_mul(0x9e37_79b9) + 1);
    let mut tasks = Vec::new();
    for task in 0..5_u8 {
        let (calls, wire, done, timer, dice) =
            (calls.clone(), wire.clone(), done.clone(), simulator.timer(), dice.clone());
        tasks.push(simulator.spawn(async move {
            for _ in 0..3 {
                let send = |peer: u8, id: CallId| {
                    let (timer, wire, dice) = (timer.clone(), wire.clone(), dice.clone());
                    async move {
                        if dice.below(2) == 0 {
                            timer.sleep_until(timer.now().saturating_add(SECOND * dice.below(3) as u32)).await;
                        }
                        wire.borrow_mut().push((peer, id));
                        if hostile && dice.below(8) == 0 { Err(()) } else { SENT }
                    }
                };
                let timeout = SECOND * if hostile { dice.below(6) as u32 } else { 1_000_000 };
                if !hostile || dice.below(3) > 0 {
                    let named = Cell::new(None);
                    let outcome = calls.call(task, timeout, |id| {
                        named.set(Some(id));
                        send(task, id)
                    });
                    match outcome.await {
                        Ok(reply) => assert_eq!(Some(reply), named.get().map(reply_to)),
                        Err(error) => assert!(hostile, "{error:?}"),
                    }
                } else if let Ok(answers) = calls.gather::<3, _, _, _>([task, 10, 11], 2, timeout, send).await {
                    assert!(answers.len() <= 2);
                }
            }
            done.set(done.get() + 1);
        }));
    }
    // The network: takes any message, and answers it after a while.
    let (answering, network_timer, network_dice) = (calls.clone(), simulator.timer(), dice.clone());
    let network = simulator.spawn(async move {
        loop {
            let mut step = Duration::from_millis(network_dice.below(500));
            let count = wire.borrow().len() as u64;
            if count > 0 {
                let index = network_dice.below(count) as usize;
                let (peer, id) = if hostile && network_dice.below(4) == 0 {
                    wire.borrow()[index]
                } else {
                    wire.borrow_mut().remove(index)
                };
                match network_dice.below(if hostile { 8 } else { 1 }) {
                    1 => assert!(!answering.resolve(id, peer + 100, reply_to(id)).is_matched()),
                    2 => drop(answering.cancel(id)),
                    3 => step = SECOND * 3,
                    4 => drop(answering.on_timeout()),
                    _ => drop(answering.resolve(id, peer, reply_to(id))),
                }
            }
            network_timer.sleep_until(network_timer.now().saturating_add(step + Duration::from_nanos(1))).await;
        }
    });
    let mut steps = 0;
    while tasks.iter().any(|task| !simulator.is_over(*task)) {
        assert!(simulator.step(), "a lost wake-up");
        steps += 1;
        assert!(steps < 100_000, "no progress");
        if hostile && simulator.next_random().is_multiple_of(40) {
            simulator.abort(tasks[steps % tasks.len()]);
        }
        if hostile && simulator.next_random().is_multiple_of(300) {
            calls.close();
            calls.reopen();
        }
        let stats = calls.stats();
        let ended = stats.resolved + stats.timed_out + stats.cancelled + stats.closed;
        assert_eq!(stats.begun, ended + stats.pending, "{stats:?}");
    }
    assert!(hostile || done.get() == 5);
    simulator.abort(network);
    nothing_left(&calls);
}

#[test]
fn under_every_schedule_no_wake_up_is_lost_and_no_slot_leaks() {
    seeds(1_000).for_each(|seed| chaos(seed, true));
}

#[test]
fn under_every_schedule_every_call_is_answered_if_nothing_fails() {
    seeds(200).for_each(|seed| chaos(seed, false));
}

#[test]
fn a_call_can_be_dropped_at_every_await() {
    for steps in 0..12 {
        let mut simulator = Simulator::new(steps);
        let (calls, keyed) = (slab::<4>(&simulator), keyed(&simulator));
        let (calling, also_calling, timer) = (calls.clone(), keyed.clone(), simulator.timer());
        let task = simulator.spawn(async move {
            let send = |millis| {
                let timer = timer.clone();
                async move {
                    timer.sleep_until(timer.now().saturating_add(Duration::from_millis(millis))).await;
                    SENT
                }
            };
            let _ = calling.call(1, SECOND, |_| send(10)).await;
            let _ = also_calling.call(1, SECOND, || send(10)).await;
            let _ = calling.gather::<3, _, _, _>([1, 2, 3], 2, SECOND, |_, _| send(10)).await;
        });
        for _ in 0..steps {
            simulator.step();
        }
        simulator.abort(task);
        nothing_left(&calls);
        assert!(keyed.with_lock(|calls| calls.is_empty()));
    }
}
