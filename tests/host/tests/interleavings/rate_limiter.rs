//! Waiting one's turn in a limiter.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};

use steadfast_core::{Gcra, Instant, RateLimiter, WaitList};

use super::support::{Mutex, Threads, Time, block_on, explore, spawn, threads};

type Limiter = RateLimiter<u8, Gcra, 2>;
type Queue<const W: usize> = Arc<Mutex<WaitList<W>>>;

/// Two at once, both used up; after two seconds there are two again.
fn used_up<const W: usize>(time: &Time) -> (Threads<Limiter>, Queue<W>) {
    let limiter = threads(Limiter::new(Gcra::per_second(1).burst(2)), time);
    for _ in 0..2 {
        assert!(limiter.allow(&7).is_allowed());
    }
    (limiter, Arc::new(Mutex::new(WaitList::new())))
}

fn waiters_get_through<const W: usize>() {
    let time = Time::new();
    let (limiter, queue) = used_up::<W>(&time);
    let (other, other_queue) = (limiter.clone(), queue.clone());
    let other = spawn(move || block_on(other.until_allowed(&7, &*other_queue)));
    spawn(move || time.set(Instant::from_secs(2)));
    block_on(limiter.until_allowed(&7, &*queue));
    other.join().unwrap();
    assert_eq!(limiter.stats().allowed, 4);
    assert!(!limiter.allow(&7).is_allowed());
}

#[test]
fn two_who_wait_get_through() {
    explore(waiters_get_through::<2>);
}

#[test]
fn whoever_finds_no_place_gets_through_too() {
    explore(waiters_get_through::<1>);
}

#[test]
fn a_place_given_up_passes_on() {
    explore(|| {
        let time = Time::new();
        let (limiter, queue) = used_up::<2>(&time);
        let mut first = Box::pin(limiter.until_allowed(&7, &*queue));
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let (second, second_queue) = (limiter.clone(), queue.clone());
        let second = spawn(move || block_on(second.until_allowed(&7, &*second_queue)));
        spawn(move || time.set(Instant::from_secs(2)));
        drop(first);
        second.join().unwrap();
        assert_eq!(limiter.stats().allowed, 3, "a dropped future counted");
        // Nobody is in the line, so whoever comes now need not wait.
        assert!(pin!(limiter.until_allowed(&7, &*queue)).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    });
}

#[test]
fn three_threads_get_no_more_than_the_quota() {
    explore(|| {
        let limiter = threads(Limiter::new(Gcra::per_second(1).burst(2)), &Time::new());
        let ask = |limiter: &Threads<Limiter>| {
            let limiter = limiter.clone();
            spawn(move || limiter.allow(&7).is_allowed())
        };
        let others = [ask(&limiter), ask(&limiter)];
        let mine = limiter.allow(&7).is_allowed();
        let allowed = others.map(|other| other.join().unwrap()).into_iter().chain([mine]).filter(|is| *is).count();
        assert_eq!(allowed, 2);
    });
}
