//! A log's requests, through the rate limiter.

use std::hash::{BuildHasher, Hasher};

use steadfast_core::{
    foundation::storage::{Allocate, Storage},
    rate_limiter::{CostExceedsBurst, Keys, Quota, RateLimiterIn, RateLimiterStats, Verdict},
};

use crate::log::Request;

/// Slots in boxed slices.
#[derive(Clone, Copy, Debug)]
pub struct Boxed;

impl Storage for Boxed {
    type Of<T> = Box<[T]>;
    type Lines<T> = Box<[T]>;
    type Extra<T> = [T; 1];
    type Link = u32;
}

impl Allocate for Boxed {
    fn allocate<T>(len: usize, mut fill: impl FnMut() -> T) -> Box<[T]> {
        (0..len).map(|_| fill()).collect()
    }

    fn allocate_lines<T: Copy>(len: usize, slot: T, _: T) -> Box<[T]> {
        vec![slot; len].into()
    }

    fn extra<T>(value: T) -> [T; 1] {
        [value]
    }
}

/// Spreads the numbers of keys, the same on every target: nobody who is in a log chooses their numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Spread(u64);

impl BuildHasher for Spread {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = self.0.wrapping_add(u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
        self.0 = self.0.wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
}

/// What the limiter says of a request.
pub type Answer = Result<Verdict, CostExceedsBurst>;

/// Replays requests, in order of time, through a limiter with so many slots and cells of its ledger. `each` is told every
/// answer, and ends the replay with false.
pub fn replay<A: Quota>(
    requests: &[Request],
    quota: A,
    (slots, cells): (usize, usize),
    mut each: impl FnMut(usize, Request, &Answer, &RateLimiterStats) -> bool,
) -> RateLimiterStats {
    let mut limiter: RateLimiterIn<u32, A, Boxed, _, Keys> =
        RateLimiterIn::allocate(quota, slots, cells, Spread::default());
    for (index, request) in requests.iter().enumerate() {
        let answer = limiter.allow_verdict(&(request.key() as u32), request.cost(), request.at());
        if !each(index, *request, &answer, &limiter.stats()) {
            break;
        }
    }
    limiter.stats()
}

/// Replays requests through a limiter that has room for every key that is in use: decisions are exact then. `each` is told
/// every answer; `start` makes it, anew each time that there was no room, and more is taken.
pub fn replay_exactly<A: Quota + Clone, T>(
    requests: &[Request],
    quota: &A,
    mut start: impl FnMut() -> T,
    mut each: impl FnMut(&mut T, usize, Request, &Answer),
) -> (T, RateLimiterStats) {
    let mut slots = 4_096;
    loop {
        let mut told = start();
        let stats = replay(requests, quota.clone(), (slots, 0), |index, request, answer, stats| {
            each(&mut told, index, request, answer);
            stats.overflowed == 0
        });
        if stats.overflowed == 0 {
            return (told, stats);
        }
        slots = slots.saturating_mul(4);
    }
}

/// True for each request that is allowed.
pub fn decisions<A: Quota + Clone>(requests: &[Request], quota: &A) -> Vec<bool> {
    let allowed = |answer: &Answer| answer.is_ok_and(Verdict::is_allowed);
    replay_exactly(requests, quota, Vec::new, |told, _, _, answer| told.push(allowed(answer))).0
}
