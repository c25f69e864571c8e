//! Prepared input, so that making it is not timed.

use std::{
    hint::black_box,
    sync::{Arc, Mutex},
    time::Duration,
};

use steadfast::{
    Instant,
    runtime::{Clock, Timer},
};

use crate::slice::{Work, on_a_thread, on_two_threads, timed};

/// SplitMix64's finalizer: numbers that look random, each for one `index` only.
#[must_use]
pub const fn mix(index: u64) -> u64 {
    let z = index.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// All of `keys` keys.
pub fn all_keys(keys: usize) -> impl ExactSizeIterator<Item = u64> {
    (0..keys).map(|index| mix(index as u64))
}

/// A key as text, as long as an address with its port.
#[must_use]
pub fn text(key: u64) -> String {
    format!("{}.{}.{}.{}:{}", key as u8, (key >> 8) as u8, (key >> 16) as u8, (key >> 24) as u8, (key >> 32) as u16)
}

/// Requests of `keys` keys in random order: enough of them that the order is not learnt.
#[must_use]
pub fn requests<T>(keys: usize, make: impl Fn(u64) -> T) -> Arc<[T]> {
    let len = (keys * 2).clamp(1 << 17, 1 << 22) as u64;
    (0..len).map(|i| make(mix(mix(i ^ 0x5eed) % keys as u64))).collect()
}

/// Goes round and round a list of requests.
pub struct Cursor<T> {
    requests: Arc<[T]>,
    at: usize,
}

impl<T> Cursor<T> {
    /// Begins at a place of its own for each `thread`.
    #[must_use]
    pub fn new(requests: &Arc<[T]>, thread: usize) -> Self {
        Self { requests: requests.clone(), at: thread * requests.len() / 2 }
    }

    /// The next `n` requests.
    pub fn each(&mut self, n: u64, mut f: impl FnMut(&T)) {
        self.parts(n, usize::MAX, |part| part.iter().for_each(|request| f(black_box(request))));
    }

    /// The next `n` requests, so many at a time or fewer.
    pub fn parts(&mut self, n: u64, at_once: usize, mut f: impl FnMut(&[T])) {
        let mut left = n as usize;
        while left > 0 {
            let rest = &self.requests[self.at..];
            let part = &rest[..rest.len().min(left).min(at_once)];
            f(part);
            left -= part.len();
            self.at = (self.at + part.len()) % self.requests.len();
        }
    }
}

/// `op` for one request after the other; it must say `true` to each.
pub fn over<T: 'static>(requests: &Arc<[T]>, mut op: impl FnMut(&T) -> bool + 'static) -> Work {
    let mut cursor = Cursor::new(requests, 0);
    Box::new(move |n| {
        let mut done = 0;
        let time = timed(|| cursor.each(n, |request| done += u64::from(op(request))));
        assert_eq!(done, n, "something else was measured than what was meant");
        time
    })
}

/// [`over`] for so many requests at a time, of which `op` tells how many were answered as is meant.
pub fn over_parts<T: 'static>(requests: &Arc<[T]>, at_once: usize, op: impl Fn(&[T]) -> u64 + 'static) -> Work {
    let mut cursor = Cursor::new(requests, 0);
    Box::new(move |n| {
        let mut done = 0;
        let time = timed(|| cursor.parts(n, at_once, |part| done += op(black_box(part))));
        assert_eq!(done, n, "something else was measured than what was meant");
        time
    })
}

/// [`over`] from two threads at once.
pub fn over_two<T: Send + Sync + 'static>(requests: &Arc<[T]>, op: impl Fn(&T) -> bool + Sync + 'static) -> Work {
    let cursors = [0, 1].map(|thread| Mutex::new(Cursor::new(requests, thread)));
    Box::new(move |n| {
        on_two_threads(n, |thread, n| {
            let (mut done, mut cursor) = (0, cursors[thread].lock().unwrap());
            cursor.each(n, |request| done += u64::from(op(request)));
            assert_eq!(done, n, "something else was measured than what was meant");
        })
    })
}

/// [`over`] from one thread, to compare with two.
pub fn over_one<T: Send + Sync + 'static>(requests: &Arc<[T]>, op: impl Fn(&T) -> bool + Sync + 'static) -> Work {
    let mut cursor = Cursor::new(requests, 0);
    Box::new(move |n| {
        on_a_thread(|| {
            let mut done = 0;
            cursor.each(n, |request| done += u64::from(op(request)));
            assert_eq!(done, n, "something else was measured than what was meant");
        })
    })
}

/// The time where it is given: it stands still, and reading it costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Given;

impl Given {
    /// A day after the start of time.
    pub const NOW: Instant = Instant::from_secs(86_400);
}

impl Clock for Given {
    fn now(&self) -> Instant {
        black_box(Self::NOW)
    }
}

impl Timer for Given {
    type Sleep = std::future::Pending<()>;

    fn sleep_until(&self, _: Instant) -> Self::Sleep {
        std::future::pending()
    }
}

/// A duration that no row reaches.
pub const LONG: Duration = Duration::from_secs(3_600);
