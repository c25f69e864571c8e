//! Slices of work, timed.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use cpu_time::ThreadTime;

/// Does so many operations, and tells how long they took.
pub type Work = Box<dyn FnMut(u64) -> Duration>;

/// Times `f` by the processor time of this thread, which other programs on the machine do not stretch.
pub fn timed(f: impl FnOnce()) -> Duration {
    let start = ThreadTime::now();
    f();
    start.elapsed()
}

/// `op`, so many times.
pub fn repeat(mut op: impl FnMut() + 'static) -> Work {
    Box::new(move |n| timed(|| (0..n).for_each(|_| op())))
}

/// `op`, so many times, on a runtime of its own.
pub fn repeat_async(op: impl AsyncFn() + 'static) -> Work {
    on_runtime(async move |n| {
        for _ in 0..n {
            op().await;
        }
    })
}

/// So many operations on a runtime of its own, with one thread.
pub fn on_runtime(mut work: impl AsyncFnMut(u64) + 'static) -> Work {
    let runtime = runtime();
    Box::new(move |n| {
        runtime.block_on(async {
            let start = ThreadTime::now();
            work(n).await;
            start.elapsed()
        })
    })
}

/// A runtime of one thread.
///
/// # Panics
///
/// If the system has none to give.
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// `each(thread, n / 2)` on two threads at once, timed by the clock on the wall: how long one of them took on average.
pub fn on_two_threads(n: u64, each: impl Fn(usize, u64) + Sync) -> Duration {
    let (ready, each) = (&AtomicUsize::new(0), &each);
    let work = |thread| {
        move || {
            ready.fetch_add(1, Ordering::SeqCst);
            while ready.load(Ordering::SeqCst) < 2 {
                thread::yield_now();
            }
            let start = Instant::now();
            each(thread, n / 2);
            start.elapsed()
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(work(1));
        let time = work(0)();
        (time + other.join().expect("work does not panic")) / 2
    })
}

/// `f` on a thread of its own, timed as [`on_two_threads`] is: a thread that was just woken is left alone for longer.
pub fn on_a_thread(f: impl FnOnce() + Send) -> Duration {
    let timed = || {
        let start = Instant::now();
        f();
        start.elapsed()
    };
    thread::scope(|scope| scope.spawn(timed).join().expect("work does not panic"))
}
