//! What is held of one key.

use super::{Lease, LeaseAsk};
use crate::foundation::time::{Instant, Span};

/// For how long a denial is kept at most: after that a larger quota, or what others gave back, is seen.
const LONGEST_DENIAL: Span = Span::from_nanos(1_000_000_000);

/// What was granted, and until when it may be spent.
#[derive(Clone, Copy, Debug)]
struct Batch {
    tokens: u32,
    until: Instant,
}

impl Batch {
    const NONE: Self = Self { tokens: 0, until: Instant::ZERO };

    fn left(&self, now: Instant) -> u32 {
        if now < self.until { self.tokens } else { 0 }
    }

    /// Takes up to `cost`, and tells what is missing.
    fn spend(&mut self, cost: u32, now: Instant) -> u32 {
        let spent = self.left(now).min(cost);
        self.tokens = self.tokens.saturating_sub(spent);
        cost.saturating_sub(spent)
    }

    fn expire(&mut self, now: Instant) -> u32 {
        if now < self.until { 0 } else { core::mem::take(&mut self.tokens) }
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    /// What was granted last, and what was left of all before, which is spent first.
    newer: Batch,
    older: Batch,
    /// Somebody has asked for more than he needs, and is waited for until then.
    asked_until: Instant,
    /// For this cost, or a larger one, the answer is no until then.
    denied_cost: u32,
    denied_until: Instant,
    /// What was spent since then, and in as long a time before.
    spent: u32,
    spent_before: u32,
    since: Instant,
}

impl Entry {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            newer: Batch::NONE,
            older: Batch::NONE,
            asked_until: Instant::ZERO,
            denied_cost: 0,
            denied_until: Instant::ZERO,
            spent: 0,
            spent_before: 0,
            since: now,
        }
    }

    /// Goes on to `now`: times that lie further ahead than they can are those of a clock that has stepped back.
    pub(super) fn observe(&mut self, lease: &Lease, now: Instant) {
        let latest = now.after(lease.hold);
        for batch in [&mut self.newer, &mut self.older] {
            batch.until = batch.until.earlier(latest);
        }
        self.denied_until = self.denied_until.earlier(now.after(LONGEST_DENIAL));
        self.asked_until = self.asked_until.earlier(latest);
        if now < self.since {
            self.since = now;
        }
        if now >= self.since.after(lease.hold) {
            let is_next = now < self.since.after(lease.hold).after(lease.hold);
            self.spent_before = if is_next { self.spent } else { 0 };
            (self.spent, self.since) = (0, now);
        }
    }

    /// What may be spent.
    pub(super) fn held(&self, now: Instant) -> u32 {
        self.older.left(now).saturating_add(self.newer.left(now))
    }

    /// Spends what is held; false, and nothing changed, if that is too little.
    pub(super) fn spend(&mut self, cost: u32, now: Instant) -> bool {
        let is_enough = cost <= self.held(now);
        if is_enough {
            let missing = self.older.spend(cost, now);
            self.newer.spend(missing, now);
            self.count(cost);
        }
        is_enough
    }

    /// A request was allowed.
    pub(super) const fn count(&mut self, cost: u32) {
        self.spent = self.spent.saturating_add(cost);
    }

    /// When to come back with this cost, if that was denied.
    pub(super) fn denied(&self, cost: u32, now: Instant) -> Option<Instant> {
        (cost >= self.denied_cost && now < self.denied_until).then_some(self.denied_until)
    }

    /// What is used in the time of a lease, as far as is known.
    fn used(&self, lease: &Lease) -> u32 {
        self.spent.max(self.spent_before).clamp(1, lease.most().max(1))
    }

    /// What is wanted beyond `cost`; nothing while another has asked for more than he needs.
    fn surplus(&self, cost: u32, lease: &Lease, now: Instant) -> u32 {
        let room = lease.most().saturating_sub(self.held(now));
        if now < self.asked_until { 0 } else { self.used(lease).saturating_sub(cost).min(room) }
    }

    /// What to ask for when a request of this cost waits.
    pub(super) fn ask(&mut self, cost: u32, lease: &Lease, now: Instant) -> LeaseAsk {
        let surplus = self.surplus(cost, lease, now);
        if surplus > 0 {
            self.asked_until = now.after(lease.hold);
        }
        LeaseAsk { cost, wanted: cost.saturating_add(surplus), at: now }
    }

    /// What to ask for beside, when no more than a quarter is left of what is used in the time of a lease.
    pub(super) fn refill(&mut self, lease: &Lease, now: Instant) -> Option<LeaseAsk> {
        let used = self.used(lease);
        let is_low = used > 1 && self.held(now) <= used / 4;
        if !is_low || now < self.denied_until || self.surplus(0, lease, now) == 0 {
            return None;
        }
        Some(self.ask(0, lease, now))
    }

    /// An answer has come, or will not come.
    pub(super) const fn answered(&mut self, ask: &LeaseAsk) {
        if ask.wanted > ask.cost {
            self.asked_until = Instant::ZERO;
        }
    }

    /// Keeps what was granted beyond the cost, for as long as it may be held since it was asked for.
    pub(super) fn keep(&mut self, surplus: u32, asked_at: Instant, lease: &Lease, now: Instant) {
        let room = lease.most().saturating_sub(self.held(now));
        // What is left of two batches ends with the older one.
        let left = self.newer.left(now);
        self.older = match self.older.left(now) {
            0 => Batch { tokens: left, until: self.newer.until },
            older => Batch { tokens: older.saturating_add(left), until: self.older.until },
        };
        self.newer = Batch { tokens: surplus.min(room), until: asked_at.earlier(now).after(lease.hold) };
    }

    /// Cuts what is held to what may be held by another lease, and forgets a denial by another quota.
    pub(super) fn cut(&mut self, lease: &Lease) {
        self.older.tokens = self.older.tokens.min(lease.most());
        self.newer.tokens = self.newer.tokens.min(lease.most().saturating_sub(self.older.tokens));
        self.allow_again();
    }

    /// Forgets a denial.
    pub(super) const fn allow_again(&mut self) {
        self.denied_until = Instant::ZERO;
    }

    /// Notes a denial, and tells when to come back.
    pub(super) fn deny(
        &mut self,
        cost: u32,
        retry_at: Instant,
        interval: Span,
        lease: &Lease,
        now: Instant,
    ) -> Instant {
        let more = if lease.is_eager { 0 } else { (self.used(lease) / 2).saturating_sub(cost.max(1)) };
        let half_at = retry_at.after(interval.times(u64::from(more))).earlier(now.after(lease.hold));
        let retry_at = retry_at.later(half_at);
        self.denied_cost = cost.max(1);
        self.denied_until = retry_at.earlier(now.after(LONGEST_DENIAL));
        retry_at
    }

    /// What was held for too long and is held no more.
    pub(super) fn expire(&mut self, now: Instant) -> u32 {
        self.older.expire(now).saturating_add(self.newer.expire(now))
    }

    /// True if another key may have the entry: all that is lost is a denial.
    pub(super) fn holds_nothing(&self, now: Instant) -> bool {
        self.held(now) == 0 && now >= self.asked_until
    }

    /// True if it is as good as new.
    pub(super) fn is_idle(&self, lease: &Lease, now: Instant) -> bool {
        let is_used = now < self.since.after(lease.hold).after(lease.hold) && self.spent.max(self.spent_before) > 0;
        self.holds_nothing(now) && !is_used && now >= self.denied_until
    }
}
