//! A single-threaded executor whose every choice comes from a seed.

use alloc::{boxed::Box, sync::Arc, task::Wake, vec::Vec};
use core::{
    fmt,
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Waker},
};

use super::VirtualTimer;
use crate::foundation::split_mix;

/// Runs tasks in an order chosen by a seed, on virtual time that moves only when no task can.
///
/// A task is polled if it was woken, by the waker of its last poll: a lost wake-up shows as a deadlock. While any task
/// is woken, an odd seed polls others too, now and then, as executors may; time moves only when none is woken.
/// [`abort`](Self::abort) drops a task at whatever await it stands. The same seed gives the same run.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Clock, Instant, Timer, test_util::Simulator};
///
/// let mut simulator = Simulator::new(1);
/// let timer = simulator.timer();
/// simulator.spawn(async move { timer.sleep_until(Instant::from_secs(3_600)).await });
/// simulator.run();
/// assert_eq!(simulator.timer().now(), Instant::from_secs(3_600));
/// ```
pub struct Simulator<'a> {
    timer: VirtualTimer,
    random: u64,
    polls_unasked: bool,
    tasks: Vec<Option<Task<'a>>>,
}

/// Names a task of a [`Simulator`].
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TaskId(usize);

struct Task<'a> {
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'a> Simulator<'a> {
    /// A simulator without tasks, at [`Instant::ZERO`](crate::foundation::time::Instant::ZERO).
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_timer(seed, VirtualTimer::default())
    }

    /// A simulator without tasks over a timer made before, for tasks that borrow what holds the timer.
    #[must_use]
    pub const fn with_timer(seed: u64, timer: VirtualTimer) -> Self {
        Self { timer, random: seed, polls_unasked: seed & 1 == 1, tasks: Vec::new() }
    }

    /// The timer of this simulation.
    #[must_use]
    pub fn timer(&self) -> VirtualTimer {
        self.timer.clone()
    }

    /// Adds a task, which is first polled by a later [`step`](Self::step).
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'a) -> TaskId {
        let id = TaskId(self.tasks.len());
        self.tasks.push(Some(Task { future: Box::pin(future), woken: Arc::new(Woken(AtomicBool::new(true))) }));
        id
    }

    /// Drops a task where it stands; false if it was over.
    pub fn abort(&mut self, task: TaskId) -> bool {
        self.tasks.get_mut(task.0).and_then(Option::take).is_some()
    }

    /// True once the task has ended or was aborted.
    #[must_use]
    pub fn is_over(&self, task: TaskId) -> bool {
        self.tasks.get(task.0).is_none_or(Option::is_none)
    }

    /// Polls one task chosen by the seed, or else moves time to the next sleeper; false if neither was possible.
    pub fn step(&mut self) -> bool {
        let woken = self.which(|task| task.woken.0.load(Ordering::Relaxed));
        if woken.is_empty() {
            return self.timer.advance_to_next();
        }
        let is_unasked = self.polls_unasked && self.next_random().is_multiple_of(8);
        let among = if is_unasked { self.which(|_| true) } else { woken };
        let choice = self.next_random().checked_rem(among.len() as u64).unwrap_or(0) as usize;
        let renews_waker = self.next_random().is_multiple_of(2);
        let Some(&index) = among.get(choice) else { return false };
        let Some(Some(task)) = self.tasks.get_mut(index) else { return false };
        if renews_waker {
            task.woken = Arc::new(Woken(AtomicBool::new(false)));
        }
        task.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(task.woken.clone());
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.abort(TaskId(index));
        }
        true
    }

    fn which(&self, is_meant: impl Fn(&Task<'a>) -> bool) -> Vec<usize> {
        let alive = self.tasks.iter().enumerate().filter_map(|(index, task)| task.as_ref().map(|task| (index, task)));
        alive.filter(|(_, task)| is_meant(task)).map(|(index, _)| index).collect()
    }

    /// Steps until every task is over.
    ///
    /// # Panics
    ///
    /// If the tasks that are left wait for each other or for a wake-up that was lost.
    #[expect(clippy::panic, reason = "a deadlock fails the test")]
    pub fn run(&mut self) {
        while self.tasks.iter().any(Option::is_some) {
            if !self.step() {
                panic!("deadlock: no task is woken and none sleeps: {self:?}");
            }
        }
    }

    /// As [`run`](Self::run), but first drops some of these tasks, each wherever it then stands: which and when is up
    /// to the seed.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn run_dropping(&mut self, tasks: &[TaskId]) {
        for task in tasks {
            // Few steps as often as many.
            let most = [0, 1, 3, 7, 15, 31].into_iter().nth((self.next_random() % 6) as usize);
            for _ in 0..self.next_random() & most.unwrap_or(0) {
                self.step();
            }
            if self.next_random().is_multiple_of(2) {
                self.abort(*task);
            }
        }
        self.run();
    }

    /// A number from the seed (`SplitMix64`), for tests that vary what they do.
    #[must_use]
    pub const fn next_random(&mut self) -> u64 {
        split_mix::next(&mut self.random)
    }
}

impl fmt::Debug for Simulator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alive = self.tasks.iter().flatten().count();
        f.debug_struct("Simulator").field("timer", &self.timer).field("alive", &alive).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::{
        shared::{Clock, Timer},
        time::Instant,
    };
    use core::{
        cell::{Cell, RefCell},
        future::poll_fn,
        task::Poll,
    };

    fn order(seed: u64) -> Vec<u64> {
        let log = RefCell::new(Vec::new());
        let mut simulator = Simulator::new(seed);
        for task in 0..5 {
            let (timer, log) = (simulator.timer(), &log);
            simulator.spawn(async move {
                timer.sleep_until(Instant::from_secs(1)).await;
                log.borrow_mut().push(task);
            });
        }
        simulator.run();
        assert_eq!(simulator.timer().now(), Instant::from_secs(1));
        drop(simulator);
        log.into_inner()
    }

    #[test]
    fn a_seed_fixes_the_order_and_seeds_differ() {
        assert_eq!(order(7), order(7));
        assert!((0..20).any(|seed| order(seed) != order(7)));
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn a_lost_wake_up_is_a_deadlock() {
        let mut simulator = Simulator::new(0);
        simulator.spawn(core::future::pending());
        simulator.run();
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn a_waker_of_an_earlier_poll_counts_no_more() {
        let first = RefCell::new(None);
        let mut simulator = Simulator::new(0);
        simulator.spawn(poll_fn(|cx| {
            // Asks to be polled a few times, and then for nothing but the waker of the very first poll.
            let mut first = first.borrow_mut();
            let (waker, polls) = first.get_or_insert_with(|| (cx.waker().clone(), 0));
            *polls += 1;
            let counts = *polls < 20;
            if counts { cx.waker() } else { &*waker }.wake_by_ref();
            Poll::Pending
        }));
        simulator.run();
    }

    #[test]
    fn some_are_dropped_and_the_rest_run_to_their_end() {
        let (mut fewest, mut most) = (u32::MAX, 0);
        for seed in 0..50 {
            let done = Cell::new(0);
            let mut simulator = Simulator::new(seed);
            let mut tasks = Vec::new();
            for _ in 0..4 {
                let (timer, done) = (simulator.timer(), &done);
                tasks.push(simulator.spawn(async move {
                    timer.sleep_until(Instant::from_secs(1)).await;
                    done.set(done.get() + 1);
                }));
            }
            simulator.run_dropping(&tasks);
            drop(simulator);
            (fewest, most) = (fewest.min(done.get()), most.max(done.get()));
        }
        assert!(fewest <= 2 && most == 4, "{fewest} to {most}");
    }

    #[test]
    fn an_aborted_sleeper_leaves_nothing_behind() {
        let mut simulator = Simulator::new(0);
        let timer = simulator.timer();
        let task = simulator.spawn(async move { timer.sleep_until(Instant::MAX).await });
        assert!(simulator.step());
        assert!(!simulator.is_over(task));
        assert!(simulator.abort(task));
        assert!(!simulator.step());
        assert_eq!(simulator.timer().now(), Instant::ZERO);
    }
}
