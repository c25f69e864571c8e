//! Which call times out next.
//!
//! Most calls are answered, so `begin` and `resolve` keep no order; they only note the earliest deadline. When that has
//! come, all pending calls are put into a heap at once. Those that are over by the time they come up are passed over. A
//! call that began later lies outside, and its deadline is later by its time-out than the filling; so the heap is
//! filled at most once in the shortest time-out, however many calls time out in it. Among a few slots it is cheaper to
//! look at all of them each time.

use super::phase::Phase;
use crate::foundation::{
    storage::{Allocate, Inline, Link, Storage},
    time::Instant,
};

/// Where the calls are.
pub(super) trait Slots {
    type Reply;
    type Number: Copy;
    type Peer: Copy;

    /// The call in a slot, if there is one.
    fn phase(&mut self, slot: usize) -> Option<&mut Phase<Self::Reply, Self::Number, Self::Peer>>;
}

/// The most slots that are looked at each time: with more, a heap takes fewer instructions.
const FEW: usize = 32;

/// The pending calls by deadline, the lower slot first of equals.
pub(super) struct Due<S: Storage> {
    /// The first `len` are a binary heap: no slot comes before its parent.
    heap: S::Of<S::Link>,
    len: usize,
    /// No pending call outside the heap times out before this, but for those that were set aside.
    others_at: Instant,
    /// Calls that nobody waits for were due when only the others were asked for.
    set_aside: bool,
}

impl<const N: usize> Due<Inline<N>> {
    pub(super) const fn new() -> Self {
        Self { heap: [<u16 as Link>::NONE; N], len: 0, others_at: Instant::MAX, set_aside: false }
    }
}

impl<S: Allocate> Due<S> {
    pub(super) fn allocate(capacity: usize) -> Self {
        Self { heap: S::allocate(capacity, || S::Link::NONE), len: 0, others_at: Instant::MAX, set_aside: false }
    }
}

impl<S: Storage> Due<S> {
    /// A call has begun.
    pub(super) const fn add(&mut self, expires_at: Instant) {
        self.others_at = self.others_at.earlier(expires_at);
    }

    /// Deadlines have changed.
    pub(super) const fn reorder(&mut self) {
        self.others_at = Instant::ZERO;
    }

    /// The slot of the call that times out first, if it is due; only the first `used` slots were ever used. Of those that
    /// are `held` by a future, or of all.
    pub(super) fn pop(
        &mut self,
        slots: &mut (impl Slots + ?Sized),
        used: usize,
        held: bool,
        now: Instant,
    ) -> Option<usize> {
        if self.set_aside && !held {
            self.set_aside = false;
            self.reorder();
        }
        if self.heap.as_ref().len() <= FEW {
            return self.look_at_all(slots, used, held, now);
        }
        if now >= self.others_at {
            self.fill(slots, used);
        }
        while let Some(first) = self.link(0) {
            let phase = slots.phase(first.index());
            let (deadline, is_held) = phase.map_or((None, false), |phase| (phase.listed_until(), phase.is_held()));
            if deadline.is_some_and(|deadline| now < deadline) {
                break;
            }
            let is_aside = deadline.is_some() && held && !is_held;
            if is_aside && let Some(phase) = slots.phase(first.index()) {
                phase.list(false);
                self.set_aside = true;
            }
            self.len = self.len.wrapping_sub(1);
            if let Some(last) = self.heap.as_ref().get(self.len).copied() {
                self.sift_down(slots, 0, last);
            }
            if deadline.is_some() && !is_aside {
                return Some(first.index());
            }
        }
        None
    }

    /// No call is due before this, of those that were not set aside; `None` if none is pending.
    pub(super) fn next_at(&self, slots: &mut (impl Slots + ?Sized)) -> Option<Instant> {
        let listed = self.link(0).and_then(|first| slots.phase(first.index())?.listed_until());
        let first_at = listed.map_or(self.others_at, |at| self.others_at.earlier(at));
        (first_at < Instant::MAX).then_some(first_at)
    }

    fn look_at_all(
        &mut self,
        slots: &mut (impl Slots + ?Sized),
        used: usize,
        held: bool,
        now: Instant,
    ) -> Option<usize> {
        if now < self.others_at {
            return None;
        }
        let (mut first, mut first_at) = (None, Instant::MAX);
        for slot in 0..used {
            let Some(phase) = slots.phase(slot) else { continue };
            let Some(at) = phase.expires_at() else { continue };
            if held && !phase.is_held() && now >= at {
                self.set_aside = true;
            } else if at < first_at || first.is_none() {
                (first, first_at) = (Some(slot), at);
            }
        }
        self.others_at = first_at;
        first.filter(|_| now >= first_at)
    }

    #[cold]
    fn fill(&mut self, slots: &mut (impl Slots + ?Sized), used: usize) {
        self.len = 0;
        self.others_at = Instant::MAX;
        for slot in 0..used {
            if slots.phase(slot).is_some_and(|phase| phase.list(true))
                && let Some(place) = self.heap.as_mut().get_mut(self.len)
            {
                *place = S::Link::to(slot);
                self.len = self.len.wrapping_add(1);
            }
        }
        for place in (0..self.len >> 1).rev() {
            if let Some(link) = self.link(place) {
                self.sift_down(slots, place, link);
            }
        }
    }

    /// Puts `link` where it belongs, at `place` or below.
    fn sift_down(&mut self, slots: &mut (impl Slots + ?Sized), mut place: usize, link: S::Link) {
        loop {
            let mut child = place.wrapping_mul(2).wrapping_add(1);
            let Some(mut first) = self.link(child) else { break };
            if let Some(right) = self.link(child.wrapping_add(1))
                && comes_before(slots, right, first)
            {
                first = right;
                child = child.wrapping_add(1);
            }
            if !comes_before(slots, first, link) {
                break;
            }
            self.set(place, first);
            place = child;
        }
        self.set(place, link);
    }

    fn link(&self, place: usize) -> Option<S::Link> {
        self.heap.as_ref().get(..self.len)?.get(place).copied()
    }

    fn set(&mut self, place: usize, link: S::Link) {
        if let Some(to) = self.heap.as_mut().get_mut(place) {
            *to = link;
        }
    }
}

/// By deadline, then by slot. A call that is over, or whose slot another has taken, comes first: passing it over leaves
/// all others in order.
fn comes_before<L: Link>(slots: &mut (impl Slots + ?Sized), one: L, other: L) -> bool {
    let mut rank = |link: L| slots.phase(link.index()).and_then(|phase| phase.listed_until()).unwrap_or(Instant::ZERO);
    let (at, other_at) = (rank(one), rank(other));
    at < other_at || at == other_at && one.index() < other.index()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const N: usize = 256;

    /// The slots of a correlator, and how often one was looked at.
    struct Calls {
        slots: Vec<Option<Phase<(), (), ()>>>,
        looks: usize,
    }

    impl Slots for Calls {
        type Reply = ();
        type Number = ();
        type Peer = ();

        fn phase(&mut self, slot: usize) -> Option<&mut Phase<(), (), ()>> {
            self.looks += 1;
            self.slots.get_mut(slot)?.as_mut()
        }
    }

    impl Calls {
        fn new(count: usize) -> Self {
            Self { slots: (0..count).map(|_| None).collect(), looks: 0 }
        }

        fn begin<const N: usize>(&mut self, due: &mut Due<Inline<N>>, slot: usize, expires_at: Instant) {
            self.begin_for(due, slot, expires_at, false);
        }

        fn begin_for<const N: usize>(
            &mut self,
            due: &mut Due<Inline<N>>,
            slot: usize,
            expires_at: Instant,
            held: bool,
        ) {
            self.slots[slot] = Some(Phase::begun((), (), Instant::ZERO, expires_at, held));
            due.add(expires_at);
        }
    }

    #[test]
    fn whoever_times_out_at_one_instant_costs_a_logarithm_each() {
        let (mut due, mut calls) = (Due::<Inline<N>>::new(), Calls::new(N));
        let at = Instant::from_secs(1);
        (0..N).for_each(|slot| calls.begin(&mut due, slot, at));
        for slot in 0..N {
            assert_eq!(due.pop(&mut calls, N, false, at), Some(slot));
            calls.slots[slot] = None;
        }
        assert_eq!(due.pop(&mut calls, N, false, at), None);
        // Filling looks at each slot a few times; each of 8 levels compares twice, at two slots.
        assert!(calls.looks < N * (8 + 8 * 4), "{} looks", calls.looks);
    }

    #[test]
    fn whoever_times_out_one_after_the_other_costs_no_more() {
        let (mut due, mut calls) = (Due::<Inline<N>>::new(), Calls::new(N));
        let timeout = N as u64;
        // Each begins a nanosecond after the one before, and begins anew as soon as it has timed out.
        (0..N).for_each(|slot| calls.begin(&mut due, slot, Instant::from_nanos(slot as u64 + timeout)));
        for now in timeout..timeout * 21 {
            let slot = due.pop(&mut calls, N, false, Instant::from_nanos(now)).expect("one is due");
            assert_eq!(slot, now as usize % N);
            assert_eq!(due.pop(&mut calls, N, false, Instant::from_nanos(now)), None);
            calls.begin(&mut due, slot, Instant::from_nanos(now + timeout));
        }
        assert!(calls.looks < 20 * N * (10 + 8 * 4), "{} looks", calls.looks);
    }

    #[test]
    fn the_first_is_the_first_whatever_became_of_the_others() {
        the_first_is_the_first::<N>();
        the_first_is_the_first::<{ FEW + 1 }>();
        the_first_is_the_first::<FEW>();
    }

    fn the_first_is_the_first<const N: usize>() {
        let (mut due, mut calls) = (Due::<Inline<N>>::new(), Calls::new(N));
        let (mut now, mut state) = (0_u64, 0x9e37_79b9_u64);
        let mut below = |limit: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % limit
        };
        for _ in 0..20_000 {
            let slot = below(N as u64) as usize;
            match below(8) {
                0..4 => {
                    let (at, held) = (Instant::from_nanos(now + below(40)), below(2) == 0);
                    calls.begin_for(&mut due, slot, at, held);
                }
                4 => calls.slots[slot] = None,
                5 => {
                    if let Some(phase) = &mut calls.slots[slot] {
                        assert!(phase.answer(()).is_none());
                    }
                }
                _ => now += below(8),
            }
            // Those that wait for it may ask twice before their owner times out the others.
            let held = below(3) > 0;
            let pending = calls.slots.iter().enumerate().filter_map(|(slot, call)| Some((slot, call.as_ref()?)));
            let pending = pending.filter(|(_, call)| !held || call.is_held());
            let pending = pending.filter_map(|(slot, call)| Some((call.expires_at()?, slot)));
            let earliest = pending.clone().min();
            let first = earliest.filter(|(at, _)| Instant::from_nanos(now) >= *at);
            assert_eq!(due.pop(&mut calls, N, held, Instant::from_nanos(now)), first.map(|(_, slot)| slot));
            if first.is_none()
                && let Some((earliest, _)) = earliest
            {
                let next_at = due.next_at(&mut calls).expect("one is pending");
                assert!(next_at <= earliest, "{next_at:?} is too late for {earliest:?}");
                assert!(next_at > Instant::from_nanos(now), "there is nothing to do before that");
            }
            if let Some((_, slot)) = first {
                calls.slots[slot] = None;
            }
        }
    }
}
