//! Wake-ups by a thread of our own, for sleeps that no runtime sees to.

use core::{mem, task::Waker, time::Duration};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

static ALARMS: Mutex<Alarms> = Mutex::new(Alarms { set: BTreeMap::new(), next: 0, has_thread: false });
/// An alarm was set that comes before all others.
static EARLIER: Condvar = Condvar::new();

/// How long the thread waits for another alarm before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// No code of the user's runs while it is locked: wakers are cloned, woken and dropped outside.
struct Alarms {
    set: BTreeMap<Key, Waker>,
    next: u64,
    has_thread: bool,
}

type Key = (Instant, u64);

/// A wake-up that is to come; dropping it calls it off.
#[derive(Debug)]
pub(super) struct Alarm(Key);

impl Alarm {
    /// Has `waker` woken at `at`; `None` if the system has no thread to give.
    pub(super) fn set(at: Instant, waker: Waker) -> Option<Self> {
        let mut alarms = alarms();
        if !alarms.has_thread {
            thread::Builder::new().name("steadfast timer".to_owned()).spawn(ring).ok()?;
            alarms.has_thread = true;
        }
        let key = (at, alarms.next);
        alarms.next = alarms.next.wrapping_add(1);
        alarms.set.insert(key, waker);
        if alarms.set.first_key_value().is_some_and(|(first, _)| *first == key) {
            EARLIER.notify_one();
        }
        Some(Self(key))
    }

    /// Has `waker` woken instead of the one before; false if that was woken already.
    pub(super) fn renew(&self, mut waker: Waker) -> bool {
        // What is replaced is dropped after the lock: that may run anything, the drop of another alarm too.
        let mut alarms = alarms();
        let known = alarms.set.get_mut(&self.0).map(|known| mem::swap(known, &mut waker));
        drop(alarms);
        known.is_some()
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let waker = alarms().set.remove(&self.0);
        drop(waker);
    }
}

fn alarms() -> MutexGuard<'static, Alarms> {
    ALARMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread: wakes whoever is due.
fn ring() {
    let mut alarms = alarms();
    loop {
        let now = Instant::now();
        let later = alarms.set.split_off(&(now, u64::MAX));
        let due = mem::replace(&mut alarms.set, later);
        if !due.is_empty() {
            drop(alarms);
            due.into_values().for_each(wake);
            alarms = self::alarms();
            continue;
        }
        let first = alarms.set.first_key_value().map(|((at, _), _)| *at);
        let wait = first.map_or(IDLE, |at| at.saturating_duration_since(now));
        let (guard, waited) = EARLIER.wait_timeout(alarms, wait).unwrap_or_else(PoisonError::into_inner);
        alarms = guard;
        if first.is_none() && waited.timed_out() && alarms.set.is_empty() {
            alarms.has_thread = false;
            return;
        }
    }
}

/// A waker that panics is its task's affair, and keeps nobody else asleep.
fn wake(waker: Waker) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        mem::forget(panic); // its drop may panic too
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, task::Wake};

    use super::*;

    struct Call(mpsc::Sender<u8>, u8);

    impl Wake for Call {
        fn wake(self: std::sync::Arc<Self>) {
            assert_ne!(self.1, 0, "a waker that panics");
            self.0.send(self.1).unwrap();
        }
    }

    #[test]
    fn whoever_is_due_is_woken_whatever_another_waker_does() {
        let (sender, woken) = mpsc::channel();
        let waker = |number| Waker::from(std::sync::Arc::new(Call(sender.clone(), number)));
        let now = Instant::now();
        let off = Alarm::set(now + Duration::from_millis(5), waker(9)).unwrap();
        let _first = Alarm::set(now, waker(0)).unwrap();
        let second = Alarm::set(now + Duration::from_millis(20), waker(8)).unwrap();
        assert!(second.renew(waker(2)));
        drop(off);
        assert_eq!(woken.recv_timeout(Duration::from_secs(60)), Ok(2));
        assert!(!second.renew(waker(3)));
        assert!(woken.try_recv().is_err());
    }
}
