use core::{cell::RefCell, time::Duration};
use std::{format, vec, vec::Vec};

use super::*;
use crate::{
    RateLimiter, Shared,
    foundation::{shared::Clock, split_mix, storage::Heap},
    test_util::{ManualClock, seeds},
};

const QUOTA: Gcra = Gcra::per_second(100);
const LEASE: Lease = Lease::up_to(10);
const ONE: NonZeroU32 = NonZeroU32::MIN;

fn at(millis: u64) -> Instant {
    Instant::from_millis(100_000 + millis)
}

fn n(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

fn ask(spend: Spend) -> LeaseAsk {
    match spend {
        Spend::Ask(ask) => ask,
        other => panic!("{other:?}"),
    }
}

fn leases() -> Leases<u8, 4> {
    Leases::new(QUOTA, LEASE)
}

/// Leases that have spent six since `millis` and hold `held`.
fn holding(held: u32, millis: u64) -> Leases<u8, 4> {
    let mut leases = leases();
    for _ in 0..held {
        let question = ask(leases.spend(&7, ONE, at(millis)).unwrap());
        let needed = question.cost();
        assert!(leases.granted(&7, question, needed, at(millis)));
    }
    let question = ask(leases.spend(&7, ONE, at(millis)).unwrap());
    assert_eq!((question.cost(), question.wanted()), (1, held.max(1)));
    let wanted = question.wanted();
    assert!(leases.granted(&7, question, wanted, at(millis)));
    leases
}

#[test]
fn a_key_that_is_seldom_used_asks_for_what_it_needs_and_holds_nothing() {
    let mut leases = leases();
    for second in 0..10 {
        let now = at(second * 3_000);
        let question = ask(leases.spend(&7, ONE, now).unwrap());
        assert_eq!((question.cost(), question.wanted()), (1, 1));
        assert!(leases.granted(&7, question, 1, now));
    }
}

#[test]
fn a_key_that_is_often_used_asks_for_what_it_spends_and_again_when_a_quarter_is_left() {
    let mut leases = holding(8, 0);
    for _ in 0..4 {
        assert_eq!(leases.spend(&7, ONE, at(1)).unwrap(), Spend::Allowed { refill: None });
    }
    let Spend::Allowed { refill: Some(refill) } = leases.spend(&7, ONE, at(1)).unwrap() else { panic!() };
    assert_eq!((refill.cost(), refill.wanted()), (0, 8), "ten may be held, and two are");
    // One at a time; who finds nothing meanwhile asks for himself.
    for _ in 0..2 {
        assert_eq!(leases.spend(&7, ONE, at(2)).unwrap(), Spend::Allowed { refill: None });
    }
    let own = ask(leases.spend(&7, ONE, at(2)).unwrap());
    assert_eq!(own.wanted(), 1);
    assert!(leases.granted(&7, own, 1, at(3)) && leases.granted(&7, refill, 8, at(3)));
    assert_eq!(leases.spend(&7, n(8), at(3)).map(|spend| matches!(spend, Spend::Allowed { .. })), Ok(true));
}

#[test]
fn what_was_held_too_long_is_not_spent_and_is_given_back() {
    let mut leases = holding(5, 0);
    assert!(matches!(leases.spend(&7, ONE, at(999)), Ok(Spend::Allowed { .. })));
    let mut back = Vec::new();
    leases.expire(4, at(999), |key, count| back.push((*key, count.get())));
    assert!(back.is_empty());
    assert!(matches!(leases.spend(&7, ONE, at(1_000)), Ok(Spend::Ask(_))));
    leases.expire(4, at(1_000), |key, count| back.push((*key, count.get())));
    leases.expire(4, at(1_000), |key, count| back.push((*key, count.get())));
    assert_eq!(back, [(7, 3)]);
    assert_eq!(leases.len(), 1, "it is still known how much is used");
    leases.expire(4, at(5_000), |_, _| panic!("nothing is held"));
    assert!(leases.is_empty());
}

/// Counted from before it was asked for, so that what is late is lost.
#[test]
fn what_was_granted_ends_a_lease_after_it_was_asked_for() {
    let mut leases = holding(8, 0);
    let question = ask(leases.spend(&7, n(8), at(500)).unwrap());
    let wanted = question.wanted();
    assert!(wanted > 8, "{wanted}");
    assert!(leases.granted(&7, question, wanted, at(1_500)), "what waited for it is allowed");
    assert!(matches!(leases.spend(&7, ONE, at(1_500)), Ok(Spend::Ask(_))));
}

#[test]
fn a_denial_holds_for_costs_not_below_and_for_a_second_at_most() {
    let mut leases: Leases<u8, 4> = Leases::new(Gcra::per_hour(10), LEASE.eager());
    let question = ask(leases.spend(&7, n(3), at(0)).unwrap());
    let in_an_hour = at(3_600_000);
    assert_eq!(leases.denied(&7, question, in_an_hour, at(0)), in_an_hour);
    assert_eq!(leases.spend(&7, n(3), at(999)), Ok(Spend::Denied { retry_at: at(1_000) }));
    assert!(matches!(leases.spend(&7, n(2), at(999)), Ok(Spend::Ask(_))));
    assert!(matches!(leases.spend(&7, n(3), at(1_000)), Ok(Spend::Ask(_))));
}

/// For half of what it wants, unless it is eager; for no longer than it could hold it.
#[test]
fn who_was_denied_comes_back_when_half_of_what_it_wants_is_there() {
    let retry_at = at(20);
    for (lease, expected) in
        [(LEASE, 50), (LEASE.eager(), 20), (LEASE.hold(Duration::from_millis(25)), 35), (Lease::up_to(1), 20)]
    {
        let mut leases: Leases<u8, 4> = Leases::new(QUOTA, lease);
        for _ in 0..8 {
            let question = ask(leases.spend(&7, ONE, at(10)).unwrap());
            assert!(leases.granted(&7, question, 1, at(10)));
        }
        let question = ask(leases.spend(&7, ONE, at(10)).unwrap());
        assert_eq!(leases.denied(&7, question, retry_at, at(10)), at(expected), "{lease:?}");
    }
}

#[test]
fn a_question_that_is_not_answered_keeps_nobody_from_asking_for_more_for_longer_than_a_lease() {
    let mut leases = holding(5, 0);
    for _ in 0..4 {
        let _ = leases.spend(&7, ONE, at(0)).unwrap();
    }
    // The refill is forgotten above.
    let own = ask(leases.spend(&7, ONE, at(1)).unwrap());
    assert_eq!(own.wanted(), 1);
    leases.failed(&7, own, at(1));
    let next = ask(leases.spend(&7, ONE, at(1_000)).unwrap());
    assert!(next.wanted() > 1, "{next:?}");
    leases.failed(&7, next, at(1_001));
    let next = ask(leases.spend(&7, ONE, at(1_001)).unwrap());
    assert!(next.wanted() > 1, "a failure is an answer: {next:?}");
}

#[test]
fn a_flood_of_keys_takes_denials_and_no_leases() {
    let mut leases = holding(5, 0);
    for key in 100..=255 {
        let question = ask(leases.spend(&key, ONE, at(1)).unwrap());
        leases.denied(&key, question, at(500), at(1));
    }
    assert_eq!(leases.len(), leases.capacity());
    assert!(matches!(leases.spend(&7, ONE, at(2)), Ok(Spend::Allowed { .. })));
}

#[test]
fn a_cost_beyond_the_burst_is_an_error_and_a_quota_of_nothing_denies() {
    let mut leases = leases();
    assert_eq!(leases.spend(&7, n(101), at(0)), Err(CostExceedsBurst { limit: 100 }));
    assert!(leases.is_empty());
    leases.set_settings(QUOTA.burst(0), LEASE, at(0));
    assert_eq!(leases.spend(&7, ONE, at(0)), Ok(Spend::Denied { retry_at: Instant::MAX }));
}

#[test]
fn another_lease_cuts_what_is_held_and_another_quota_forgets_denials() {
    let mut leases = holding(8, 0);
    leases.set_settings(QUOTA, Lease::up_to(3), at(1));
    for _ in 0..3 {
        assert!(matches!(leases.spend(&7, ONE, at(1)), Ok(Spend::Allowed { .. })));
    }
    let question = ask(leases.spend(&7, ONE, at(1)).unwrap());
    leases.denied(&7, question, at(900), at(1));
    assert!(matches!(leases.spend(&7, ONE, at(2)), Ok(Spend::Denied { .. })));
    leases.set_settings(Gcra::per_second(1_000), Lease::up_to(3), at(2));
    assert!(matches!(leases.spend(&7, ONE, at(2)), Ok(Spend::Ask(_))));
}

/// It is that of the answer: needed at least, an eighth of the room beyond it, the last one to whoever asks.
#[test]
fn a_grant_leaves_most_to_others_and_the_last_to_whoever_asks() {
    let granted = |used: u32, cost: u32, wanted: u32| {
        let mut gateway: RateLimiter<u8, Gcra, 4> = RateLimiter::new(QUOTA);
        if let Some(used) = NonZeroU32::new(used) {
            assert!(gateway.allow_n(&7, used, at(0)).unwrap().is_allowed());
        }
        let before = gateway.remaining(&7, at(0));
        let grant = gateway.grant(&7, cost, wanted, at(0));
        match grant {
            Grant::Granted(granted) => {
                assert_eq!(gateway.remaining(&7, at(0)), before - granted.get());
                Ok(granted.get())
            }
            Grant::Denied { retry_at } => Err(retry_at),
        }
    };
    assert_eq!(granted(0, 1, 50), Ok(12));
    assert_eq!(granted(0, 30, 50), Ok(30));
    assert_eq!(granted(0, 0, 5), Ok(5));
    assert_eq!(granted(0, 0, 0), Ok(1));
    assert_eq!(granted(95, 1, 50), Ok(1));
    assert_eq!(granted(99, 0, 50), Ok(1));
    assert_eq!(granted(100, 0, 50), Err(at(10)));
    assert_eq!(granted(95, 6, 50), Err(at(10)));
    assert_eq!(granted(0, 101, 200), Err(Instant::MAX));
}

#[test]
fn a_gateway_behind_a_lock_grants_as_the_machine_does() {
    let clock = ManualClock::new(at(0));
    let mut machine: RateLimiter<u8, Gcra, 4> = RateLimiter::new(QUOTA);
    let shared = Shared::new(RefCell::new(RateLimiter::<u8, Gcra, 4>::new(QUOTA)), clock.clone());
    for (cost, wanted) in [(1, 50), (0, 5), (90, 95), (1, 50), (101, 101)] {
        assert_eq!(shared.grant(&7, cost, wanted), machine.grant(&7, cost, wanted, clock.now()), "{cost} of {wanted}");
        clock.advance(Duration::from_millis(10));
    }
}

/// Of any size; without an entry each request is asked for, and the answers that come then are good.
#[test]
fn where_all_hold_something_a_newcomer_asks_for_each_request() {
    let mut leases: LeasesIn<u8, Heap> = LeasesIn::allocate(QUOTA, LEASE, 1, HashSeed::FIXED);
    assert!((leases.quota(), leases.lease()) == (QUOTA, LEASE) && leases.is_empty());
    for _ in 0..2 {
        let question = ask(leases.spend(&7, ONE, at(0)).unwrap());
        assert!(leases.granted(&7, question, 1, at(0)));
    }
    let question = ask(leases.spend(&7, ONE, at(0)).unwrap());
    assert!(leases.granted(&7, question, 2, at(0)), "and one is held");
    leases.reseed(HashSeed::new(1, 2));
    assert_eq!((leases.len(), leases.capacity()), (1, 1));
    let stranger = ask(leases.spend(&8, n(3), at(1)).unwrap());
    assert_eq!((stranger.cost(), stranger.wanted()), (3, 3));
    assert!(leases.granted(&8, stranger, 3, at(1)));
    for (retry_at, told) in [(at(50), at(50)), (Instant::MAX, Instant::MAX)] {
        let stranger = ask(leases.spend(&8, ONE, at(2)).unwrap());
        assert_eq!(leases.denied(&8, stranger, retry_at, at(2)), told);
    }
    let stranger = ask(leases.spend(&8, ONE, at(3)).unwrap());
    leases.failed(&8, stranger, at(3));
    let stranger = ask(leases.spend(&8, n(3), at(3)).unwrap());
    assert!(!leases.granted(&8, stranger, 2, at(3)), "less than it needs is nothing");
    assert!(matches!(leases.spend(&7, ONE, at(4)), Ok(Spend::Allowed { .. })), "it is known after all of that");
    assert!(format!("{leases:?}").starts_with("Leases { quota: Gcra"));
}

/// Three processes and a gateway, with questions and answers that are lost, late and double, processes that are killed,
/// clocks of processes that step: what is allowed stays within the bound, and who asks when there is room is allowed.
#[test]
fn what_all_processes_allow_together_obeys_the_quota_and_what_they_held() {
    const QUOTA: Gcra = Gcra::per_second(20).burst(8);
    const PROCESSES: usize = 3;
    for seed in seeds(300) {
        let mut state = seed;
        let mut dice = |limit: u64| split_mix::next(&mut state) % limit;
        let mut gateway: RateLimiter<u8, Gcra, 2> = RateLimiter::new(QUOTA);
        let lease = Lease::up_to(1 + dice(6) as u32).hold(Duration::from_millis(50 + dice(500)));
        let new = || -> Leases<u8, 2> { Leases::new(QUOTA, lease) };
        let mut processes: [Leases<u8, 2>; PROCESSES] = [new(), new(), new()];
        let mut clocks = [0_i64; PROCESSES];
        // Answers on their way: to whom, in which life, the question, what it says, and when it comes.
        let mut answers: Vec<(usize, u32, LeaseAsk, Grant, u64)> = Vec::new();
        let mut lives = [0_u32; PROCESSES];
        let mut allowed: Vec<(u64, u32)> = vec![];
        let mut granted = 0_u64;
        let mut now = 100_000_u64;
        for _ in 0..300 {
            now += dice(40);
            let process = dice(PROCESSES as u64) as usize;
            let local = |process: usize, now: u64| at((now as i64 + clocks[process]) as u64);
            // What has arrived.
            let (due, later): (Vec<_>, Vec<_>) = answers.drain(..).partition(|answer| answer.4 <= now);
            answers = later;
            for (to, life, question, grant, _) in due {
                if lives[to] != life {
                    continue;
                }
                let cost = question.cost();
                match grant {
                    Grant::Granted(count) => {
                        assert!(processes[to].granted(&7, question, count.get(), local(to, now)));
                        let held =
                            processes[to].known(&7, local(to, now)).map_or(0, |entry| entry.held(local(to, now)));
                        assert!(u64::from(held) <= lease.most_held(1), "seed {seed}: {held} of {lease:?}");
                        allowed.push((now, cost));
                    }
                    Grant::Denied { .. } => {
                        processes[to].denied(&7, question, local(to, now + 20), local(to, now));
                    }
                }
            }
            match dice(40) {
                0 => {
                    (processes[process], lives[process]) = (new(), lives[process] + 1);
                    continue;
                }
                1 => {
                    clocks[process] = dice(20_000) as i64 - 10_000;
                    continue;
                }
                _ => {}
            }
            let cost = n(1 + dice(3) as u32);
            let question = match processes[process].spend(&7, cost, local(process, now)).unwrap() {
                Spend::Ask(question) => Some(question),
                Spend::Allowed { refill } => {
                    allowed.push((now, cost.get()));
                    refill
                }
                Spend::Denied { .. } => None,
            };
            let Some(question) = question else { continue };
            let room = gateway.remaining(&7, at(now));
            let grant = gateway.grant(&7, question.cost(), question.wanted(), at(now));
            match grant {
                Grant::Granted(count) => {
                    assert!(count.get() >= question.cost());
                    granted += u64::from(count.get());
                }
                Grant::Denied { .. } => assert!(room < question.cost().max(1), "denied with room for {room}"),
            }
            match dice(10) {
                0 => processes[process].failed(&7, question, local(process, now)),
                1 => drop(question),
                _ => answers.push((process, lives[process], question, grant, now + dice(60))),
            }
        }
        let spent: u64 = allowed.iter().map(|(_, cost)| u64::from(*cost)).sum();
        assert!(spent <= granted, "seed {seed}: {spent} of {granted}");
        // Three requests at most wait for an answer when a span begins, each of three.
        let held = lease.most_held(PROCESSES as u32) + 60;
        for (first, (begin, _)) in allowed.iter().enumerate() {
            let mut count = 0;
            for (end, cost) in &allowed[first..] {
                count += u64::from(*cost);
                let bound = 8 + (end - begin) / 50 + held;
                assert!(count <= bound, "seed {seed}: {count} in {} ms, at most {bound}", end - begin);
            }
        }
    }
}
