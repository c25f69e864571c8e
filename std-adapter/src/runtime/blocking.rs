//! Waiting without an async runtime.

use core::{
    future::{Future, IntoFuture},
    mem,
    pin::pin,
    task::{Context, Poll, Waker},
};
use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    task::Wake,
};

#[cfg(feature = "tokio")]
use super::held::{Held, Level};

/// Wakes one `block_on`. Not by parking the thread: its token may be taken by whatever else parks in it, and the thread's
/// handle cannot be had in the destructor of a thread-local.
#[derive(Default)]
struct Signal {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Signal {
    fn wait(&self) {
        let is_woken = self.is_woken.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = self.woken.wait_while(is_woken, |is_woken| !mem::take(is_woken));
        drop(woken.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.is_woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.woken.notify_one();
    }
}

/// Waits on this thread until `future` is ready: every async call of this crate, for programs without a runtime.
///
/// The thread sleeps in between. [`SystemTimer`](crate::runtime::SystemTimer) needs no runtime, here or in any other
/// executor. Do not use it inside async code: it would block the runtime's thread. If its clock is paused, inside
/// `block_on` time moves on as the system's does: nothing else could move it.
///
/// ```
/// use steadfast::block_on;
///
/// assert_eq!(block_on(async { 6 * 7 }), 42);
/// ```
///
/// [`SystemTimer`]: crate::runtime::SystemTimer
#[doc(alias = "BlockingRetryable")]
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let signal = Arc::new(Signal::default());
    let waker = Waker::from(signal.clone());
    let mut cx = Context::from_waker(&waker);
    #[cfg(feature = "tokio")]
    let held = Held::here();
    loop {
        #[cfg(feature = "tokio")]
        let level = Level::enter(held);
        let poll = future.as_mut().poll(&mut cx);
        #[cfg(feature = "tokio")]
        drop(level);
        if let Poll::Ready(output) = poll {
            return output;
        }
        signal.wait();
    }
}

#[cfg(test)]
mod tests {
    use core::{future::poll_fn, pin::Pin, time::Duration};
    use std::{
        sync::{
            atomic::{AtomicBool, Ordering},
            mpsc,
        },
        thread,
    };

    use steadfast_core::{Clock, Timer};

    use super::*;
    #[cfg(feature = "tokio")]
    use crate::rate_limiter::{Gcra, RateLimiter};
    use crate::runtime::{SystemSleep, SystemTimer};

    fn sleep(duration: Duration) -> SystemSleep {
        SystemTimer.sleep_until(SystemTimer.now().saturating_add(duration))
    }

    /// Fails, rather than hangs, if `f` does not end.
    fn ends(f: impl FnOnce() + Send + 'static) {
        let (done, wait) = mpsc::channel();
        thread::spawn(move || {
            f();
            done.send(()).unwrap();
        });
        wait.recv_timeout(Duration::from_secs(60)).expect("it waits for ever");
    }

    /// Polls its part only when that has asked for it, as every set of futures does.
    struct Set<F>(Pin<Box<F>>, Arc<Part>);

    struct Part {
        is_woken: AtomicBool,
        whole: Mutex<Option<Waker>>,
    }

    impl Wake for Part {
        fn wake(self: Arc<Self>) {
            self.is_woken.store(true, Ordering::SeqCst);
            self.whole.lock().unwrap().take().unwrap().wake();
        }
    }

    impl<F: Future> Future for Set<F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            *self.1.whole.lock().unwrap() = Some(cx.waker().clone());
            if !self.1.is_woken.swap(false, Ordering::SeqCst) {
                return Poll::Pending;
            }
            let waker = Waker::from(self.1.clone());
            self.0.as_mut().poll(&mut Context::from_waker(&waker))
        }
    }

    #[test]
    fn a_sleep_wakes_the_future_that_polled_it() {
        ends(|| {
            let part = Part { is_woken: AtomicBool::new(true), whole: Mutex::default() };
            block_on(Set(Box::pin(sleep(Duration::from_millis(2))), Arc::new(part)));
        });
    }

    #[test]
    fn a_block_on_inside_another_takes_no_wake_up_from_it() {
        ends(|| {
            let mut polls = 0;
            block_on(poll_fn(|outer| {
                polls += 1;
                if polls == 2 {
                    return Poll::Ready(());
                }
                block_on(async {
                    outer.waker().wake_by_ref();
                    sleep(Duration::from_millis(2)).await;
                });
                Poll::Pending
            }));
        });
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn a_runtime_inside_it_has_its_own_timer() {
        ends(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            block_on(async { runtime.block_on(sleep(Duration::from_millis(2))) });
        });
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn inside_a_runtime_it_waits_for_no_timer_of_that() {
        ends(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async { block_on(sleep(Duration::from_millis(2))) });
        });
    }

    /// Another executor, as small as can be.
    fn foreign_block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(thread::Thread);

        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }

        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            thread::park();
        }
    }

    #[test]
    fn found_e3_another_executor_may_poll_a_sleep_outside_and_inside_of_it() {
        ends(|| {
            foreign_block_on(sleep(Duration::from_millis(2)));
            block_on(async { foreign_block_on(sleep(Duration::from_millis(2))) });
            foreign_block_on(async { block_on(async { foreign_block_on(sleep(Duration::from_millis(2))) }) });
            // Begun in one, and ended in another.
            let mut begun = Box::pin(sleep(Duration::from_millis(20)));
            block_on(poll_fn(|cx| Poll::Ready(begun.as_mut().poll(cx).is_pending())));
            foreign_block_on(begun);
        });
    }

    #[test]
    fn found_e3_it_works_in_the_destructor_of_a_thread_local() {
        struct Last(mpsc::Sender<()>);

        impl Drop for Last {
            fn drop(&mut self) {
                block_on(sleep(Duration::from_millis(2)));
                let _ = self.0.send(());
            }
        }

        thread_local! {
            static LAST: core::cell::RefCell<Option<Last>> = const { core::cell::RefCell::new(None) };
        }

        for uses_it_before in [false, true] {
            let (done, wait) = mpsc::channel();
            let thread = thread::spawn(move || {
                if uses_it_before {
                    block_on(sleep(Duration::from_millis(1)));
                }
                LAST.set(Some(Last(done)));
            });
            wait.recv_timeout(Duration::from_secs(60)).expect("it waits for ever");
            thread.join().unwrap();
        }
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn found_e3_in_a_paused_runtime_it_waits_without_spinning_and_ends() {
        ends(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                tokio::time::advance(Duration::from_secs(3_600)).await;
                let mut polls = 0;
                let mut sleeping = pin!(sleep(Duration::from_millis(30)));
                block_on(poll_fn(|cx| {
                    polls += 1;
                    sleeping.as_mut().poll(cx)
                }));
                assert!(polls < 10, "{polls} polls");
                let limiter = RateLimiter::<u8, _>::builder(Gcra::every(Duration::from_millis(5))).build();
                for _ in 0..3 {
                    block_on(limiter.until_allowed(&1));
                }
            });
        });
    }
}
