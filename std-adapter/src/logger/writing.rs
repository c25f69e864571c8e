//! Who writes, how far that is, and who waits for it.

use core::{
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::pin,
    task::{Poll, Waker},
    time::Duration,
};
use std::{
    panic::catch_unwind,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
    time::Instant,
};

use steadfast_core::{Clock, Timer, logger::Sink};

use super::{GROUPS, Inner};
use crate::runtime::block_on;

pub(super) type BoxedSink = Box<dyn Sink + Send>;

/// A sink that is at one line for so long is taken to hang.
const HANGS_AFTER: Duration = Duration::from_secs(1);
/// The most that a flush, a shutdown and the end of a logger wait for a sink that does not hang.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that an error waits for its own line.
const ERROR_PATIENCE: Duration = Duration::from_millis(50);
/// As many lines as can be due at a time: whatever comes meanwhile has its turn later.
pub(super) const ALL: usize = GROUPS + 1;
/// So many lines are written before other tasks have their turn.
const TURN: usize = 32;
/// How often the worker of a runtime looks whether another thread has brought back the sink.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// The lock is held for a look only: no sink, formatter or other code of the user runs inside it.
pub(super) struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    place: Place,
    /// Who is in a turn, and since when at the line that is being written.
    writer: Option<ThreadId>,
    line_since: Option<Instant>,
    /// How often somebody wanted all that was due then to be written, and how far that is done.
    asked: u64,
    done: u64,
    /// An error has waited in vain since all was done.
    is_slow: bool,
    /// The thread's waker, while it sleeps.
    waker: Option<Waker>,
}

/// Where the sink is.
enum Place {
    /// A thread of the logger's own has it.
    Thread,
    /// It waits for whoever writes next.
    Here(BoxedSink),
    /// Somebody writes.
    Lent,
    /// The logger has ended, and its sink is dropped.
    Gone,
}

/// How long somebody waits.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// `None` for ever.
    until: Option<Instant>,
    /// How long a sink may be at one line.
    line: Option<Duration>,
}

impl Patience {
    pub(super) fn within(time: Duration) -> Self {
        Self { until: Instant::now().checked_add(time), line: None }
    }

    /// Until the sink hangs.
    pub(super) fn usual() -> Self {
        Self { line: Some(HANGS_AFTER), ..Self::within(PATIENCE) }
    }

    fn for_an_error() -> Self {
        Self { line: Some(ERROR_PATIENCE), ..Self::within(ERROR_PATIENCE) }
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// How long to wait for the next change; `None` if it is over.
    fn left(&self, line_since: Option<Instant>) -> Option<Duration> {
        let now = Instant::now();
        let line_ends = line_since.zip(self.line).map(|(since, line)| since.checked_add(line).unwrap_or(now));
        // The next line may take as long again: look once more after that time.
        let next = self.line.and_then(|line| now.checked_add(line));
        let until = [self.until, line_ends, next].into_iter().flatten().min();
        until.map_or(Some(PATIENCE), |until| until.checked_duration_since(now).filter(|left| !left.is_zero()))
    }
}

impl Desk {
    pub(super) fn new(sink: Option<BoxedSink>) -> Self {
        let place = sink.map_or(Place::Thread, Place::Here);
        let state = State { place, writer: None, line_since: None, asked: 0, done: 0, is_slow: false, waker: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_mine(state: &State) -> bool {
        state.writer == Some(thread::current().id())
    }

    /// Waits until `is_so`; false if that was not in time, or if this thread is the one that writes.
    fn wait_until(&self, patience: Patience, mut is_so: impl FnMut(&mut State) -> bool) -> bool {
        let mut state = self.lock();
        loop {
            if is_so(&mut state) {
                return true;
            }
            let left = if Self::is_mine(&state) { None } else { patience.left(state.line_since) };
            let Some(left) = left else { return false };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Has the thread write all that is due now: a number to wait for. `None` without a thread.
    fn ask(&self) -> Option<u64> {
        let mut state = self.lock();
        if !matches!(state.place, Place::Thread) {
            return None;
        }
        state.asked = state.asked.saturating_add(1);
        let (asked, waker) = (state.asked, state.waker.take());
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(asked)
    }

    /// Has the thread write all that is due now, and waits for it.
    pub(super) fn wait_for_thread(&self, patience: Patience) -> bool {
        let Some(asked) = self.ask() else { return self.is_gone() };
        self.wait_until(patience, |state| state.done >= asked || matches!(state.place, Place::Gone))
    }

    pub(super) fn wait_for_end(&self, patience: Patience) -> bool {
        self.wait_until(patience, |state| matches!(state.place, Place::Gone))
    }

    /// An error that was recorded now waits for its own line, but for no sink that is slow already.
    pub(super) fn wait_for_error(&self) {
        {
            let state = self.lock();
            if state.is_slow || Self::is_mine(&state) {
                return;
            }
        }
        if let Some(asked) = self.ask() {
            let is_written = self.wait_until(Patience::for_an_error(), |state| {
                state.done >= asked || matches!(state.place, Place::Gone)
            });
            if !is_written {
                self.lock().is_slow = true;
            }
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.lock().place, Place::Gone)
    }

    pub(super) fn has_thread(&self) -> bool {
        matches!(self.lock().place, Place::Thread)
    }

    /// The sink, if it can be had in time; whoever takes it brings it back.
    pub(super) fn take(&self, patience: Patience) -> Option<BoxedSink> {
        let mut taken = None;
        self.wait_until(patience, |state| match core::mem::replace(&mut state.place, Place::Lent) {
            Place::Here(sink) => {
                state.writer = Some(thread::current().id());
                taken = Some(sink);
                true
            }
            other => {
                state.place = other;
                matches!(state.place, Place::Gone | Place::Thread)
            }
        });
        taken
    }

    fn put(&self, place: Place) {
        let mut state = self.lock();
        state.place = place;
        (state.writer, state.line_since) = (None, None);
        state.done = state.asked;
        drop(state);
        self.changed.notify_all();
    }

    fn at_line(&self, since: Option<Instant>) {
        self.lock().line_since = since;
    }

    /// The thread begins to write all that is due: up to what it was asked for.
    fn begin(&self) -> u64 {
        self.lock().asked
    }

    fn end(&self, asked: u64) {
        let mut state = self.lock();
        state.done = asked;
        state.is_slow &= state.done < state.asked;
        drop(state);
        self.changed.notify_all();
    }

    /// Whether the thread was asked for something since; else its waker is kept.
    fn is_asked(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        if state.done < state.asked {
            return true;
        }
        state.waker = Some(waker.clone());
        false
    }
}

impl Inner {
    /// The logger's own thread: writes what is due until the logger is shut down, and drops the sink.
    pub(super) fn work(&self, mut sink: BoxedSink) {
        self.desk.lock().writer = Some(thread::current().id());
        let ends = OnDrop(|| self.desk.put(Place::Gone));
        while block_on(self.next_turn()) {
            let asked = self.desk.begin();
            self.write_due(&mut *sink, ALL, None);
            self.desk.end(asked);
        }
        self.drop_sink(sink);
        drop(ends);
    }

    /// Its drop may hang and panic as its lines do.
    fn drop_sink(&self, sink: BoxedSink) {
        self.desk.at_line(Some(Instant::now()));
        guarded(|| drop(sink));
    }

    /// Waits until something is due, or asked for; false if the logger has ended.
    async fn next_turn(&self) -> bool {
        let mut due = pin!(self.shared.due());
        poll_fn(|cx| match due.as_mut().poll(cx) {
            Poll::Ready(is_due) => Poll::Ready(is_due),
            // Asked after the waker was left: whoever asks later wakes.
            Poll::Pending if self.desk.is_asked(cx.waker()) => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// The worker as a future.
    pub(super) async fn run(&self) {
        while !self.desk.has_thread() && self.shared.due().await {
            if let Some(mut sink) = self.desk.take(Patience::within(Duration::ZERO)) {
                self.write_due(&mut *sink, TURN, None);
                self.bring_back(sink);
            } else {
                // Another thread writes.
                self.shared.timer().sleep_until(self.shared.timer().now().saturating_add(TRY_AGAIN)).await;
            }
        }
    }

    /// Writes at most so many lines that are due, safe from formatters and sinks that panic, and returns how many were.
    pub(super) fn write_due(&self, sink: &mut dyn Sink, most: usize, patience: Option<Patience>) -> usize {
        let mut written: usize = 0;
        for _ in 0..most {
            if patience.is_some_and(|patience| patience.is_over()) {
                break;
            }
            let Some(entry) = self.shared.on_timeout() else { break };
            self.desk.at_line(Some(Instant::now()));
            let line = guarded(|| self.sentence.map_or_else(|| entry.line(), |sentence| entry.line_or(sentence)));
            let line = line.unwrap_or_else(|| entry.default_line());
            if guarded(|| sink.write_group(&line, &entry.group())).is_some_and(|result| result.is_ok()) {
                written = written.saturating_add(1);
            } else {
                self.shared.not_written(&entry);
            }
            self.desk.at_line(None);
        }
        written
    }

    /// Writes all that is due with a sink that was taken, on this thread; whether that was all.
    pub(super) fn write_all(&self, sink: Option<BoxedSink>, patience: Patience) -> bool {
        let Some(mut sink) = sink else { return self.desk.is_gone() };
        self.write_due(&mut *sink, ALL, Some(patience));
        let is_written = self.shared.with(|machine, now| machine.next_deadline().is_none_or(|at| at > now));
        self.bring_back(sink);
        is_written
    }

    /// Brings the sink back, or drops it if the logger has ended.
    pub(super) fn bring_back(&self, sink: BoxedSink) {
        let is_over = self.shared.with_lock(|machine| machine.is_stopped() && machine.next_deadline().is_none());
        if is_over {
            self.drop_sink(sink);
            self.desk.put(Place::Gone);
        } else {
            self.desk.put(Place::Here(sink));
        }
    }
}

/// What `f` returns, or `None` if it panics, with nothing of that left behind. What it was at is not looked at again
/// but to be dropped or asked once more, so that it may be left half done.
fn guarded<R>(f: impl FnOnce() -> R) -> Option<R> {
    let payload = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => return Some(result),
        Err(payload) => payload,
    };
    // What a panic carries may panic when it is dropped.
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        core::mem::forget(another);
    }
    None
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
