//! Who is where, and for how long: whatever hangs is named.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Where one worker is.
#[derive(Debug)]
pub(crate) struct Post {
    worker: String,
    place: Mutex<Option<(&'static str, Instant)>>,
}

impl Post {
    pub(crate) fn new(worker: String) -> Self {
        Self { worker, place: Mutex::new(None) }
    }

    /// From here on the worker is at `place`.
    pub(crate) fn at(&self, place: &'static str) {
        self.set(Some((place, Instant::now())));
    }

    /// The worker is nowhere: it has ended, or waits for work.
    pub(crate) fn leave(&self) {
        self.set(None);
    }

    /// Who, where and for how long, if the worker has been in one place for longer than `patience`.
    pub(crate) fn stuck(&self, patience: Duration) -> Option<String> {
        let place = *self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let (place, since) = place?;
        let waited = since.elapsed();
        let what = || format!("{} hangs in `{place}` for {} s", self.worker, waited.as_secs());
        (waited > patience).then(what)
    }

    fn set(&self, place: Option<(&'static str, Instant)>) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_stays_too_long_is_named_and_whoever_left_is_not() {
        let post = Post::new("worker 3".into());
        assert!(post.stuck(Duration::ZERO).is_none());
        post.at("limiter: until_allowed");
        assert!(post.stuck(Duration::from_secs(3_600)).is_none());
        while Instant::now().elapsed() == Duration::ZERO {}
        let stuck = post.stuck(Duration::ZERO).unwrap();
        assert!(stuck.starts_with("worker 3 hangs in `limiter: until_allowed` for "), "{}", stuck);
        post.leave();
        assert!(post.stuck(Duration::ZERO).is_none());
    }
}
