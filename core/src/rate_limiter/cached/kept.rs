//! What is kept for a key beside its quota: the last value, and the attempt that is running.

use core::{marker::PhantomData, num::NonZeroU32};

use super::super::{CostExceedsBurst, Decision, Quota};
use crate::foundation::time::{Instant, Span};

/// A quota whose entries also keep a value and an attempt; an entry with an attempt in flight is not idle.
pub(super) struct Keeping<A, V> {
    pub(super) quota: A,
    pub(super) lease: Span,
    value: PhantomData<fn() -> V>,
}

pub(super) struct Kept<Q, V> {
    pub(super) quota: Q,
    /// The value of the last attempt that was completed, and when.
    pub(super) value: Option<(V, Instant)>,
    /// The last attempt, if it was neither completed nor released.
    pub(super) attempt: Option<Attempt>,
}

#[derive(Clone, Copy)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) ends_at: Instant,
}

impl<A, V> Keeping<A, V> {
    pub(super) const fn new(quota: A, lease: Span) -> Self {
        Self { quota, lease, value: PhantomData }
    }
}

impl<Q, V> Kept<Q, V> {
    /// What lies further ahead of `now` than it can is moved to where it can: the clock has stepped back.
    pub(super) const fn clamp(&mut self, lease: Span, now: Instant) {
        if let Some(attempt) = &mut self.attempt {
            attempt.ends_at = attempt.ends_at.earlier(now.after(lease));
        }
        if let Some((_, completed_at)) = &mut self.value {
            *completed_at = completed_at.earlier(now);
        }
    }

    /// True if this attempt has not ended, and no other has begun.
    pub(super) fn is_last(&self, number: u32) -> bool {
        self.attempt.is_some_and(|attempt| attempt.number == number)
    }

    pub(super) fn is_in_flight(&self, now: Instant) -> bool {
        self.attempt.is_some_and(|attempt| now < attempt.ends_at)
    }
}

impl<A: Quota, V> Quota for Keeping<A, V> {
    type State = Kept<A::State, V>;

    const IDLE: Self::State = Kept { quota: A::IDLE, value: None, attempt: None };

    fn limit(&self) -> u32 {
        self.quota.limit()
    }

    fn allow(&self, state: &mut Self::State, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst> {
        self.quota.allow(&mut state.quota, cost, now)
    }

    fn check(&self, state: &Self::State, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst> {
        self.quota.check(&state.quota, cost, now)
    }

    /// An attempt that can be given back is always the last.
    fn refund(&self, state: &mut Self::State, cost: NonZeroU32, now: Instant) {
        self.quota.refund_last(&mut state.quota, cost, now);
    }

    fn mend(&self, state: &mut Self::State, now: Instant) {
        self.quota.mend(&mut state.quota, now);
        state.clamp(self.lease, now);
    }

    /// The value stays, and an attempt in flight ends when it would have, or after the new lease from now.
    fn carry_over(&self, former: &Self, state: &mut Self::State, now: Instant) {
        self.quota.carry_over(&former.quota, &mut state.quota, now);
        state.clamp(self.lease, now);
    }

    fn remaining(&self, state: &Self::State, now: Instant) -> u32 {
        self.quota.remaining(&state.quota, now)
    }

    fn reset_at(&self, state: &Self::State, now: Instant) -> Instant {
        let quota = self.quota.reset_at(&state.quota, now);
        // Further ahead than a lease it was begun before the clock stepped back; the key's next call moves it.
        let attempt = state.attempt.filter(|attempt| now < attempt.ends_at && attempt.ends_at <= now.after(self.lease));
        attempt.map_or(quota, |attempt| quota.max(attempt.ends_at))
    }
}
