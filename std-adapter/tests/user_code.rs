//! Code of the user's that comes back for the type that called it, and code that panics: under a real lock the first would
//! hang for ever, and the second must leave every count right.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use core::{
    borrow::Borrow,
    cell::Cell,
    fmt,
    future::{Future, pending, ready},
    hash::{Hash, Hasher},
    pin::pin,
    sync::atomic::{AtomicU32, Ordering},
    task::Context,
    time::Duration,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock, mpsc},
    task::{Wake, Waker},
    thread,
};

use steadfast::{
    Correlator, DedupCache, KeyedCorrelator, Quorum,
    aggregate::majority,
    block_on,
    dedup_cache::{Claim, OnFull, Seen},
    quorum::Vote,
};

const TTL: Duration = Duration::from_secs(600);

/// Fails, rather than hangs, if `f` does not end.
fn ends(f: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        f();
        done.send(()).unwrap();
    });
    wait.recv_timeout(Duration::from_secs(60)).expect("it waits for ever, or it panicked");
}

/// What the code of a [`Nosy`] does.
type Back = Arc<dyn Fn() + Send + Sync>;

thread_local! {
    /// Not while it is called back.
    static IS_BACK: Cell<bool> = const { Cell::new(false) };
}

/// A value whose `Clone`, `Drop` and `PartialEq` call back; a key whose `Eq` does not.
struct Nosy(u64, Back);

impl Nosy {
    fn call_back(&self) {
        if !IS_BACK.replace(true) {
            (self.1)();
            IS_BACK.set(false);
        }
    }
}

impl Clone for Nosy {
    fn clone(&self) -> Self {
        self.call_back();
        Self(self.0, self.1.clone())
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.call_back();
    }
}

impl PartialEq for Nosy {
    fn eq(&self, other: &Self) -> bool {
        self.call_back();
        self.0 == other.0
    }
}

/// A key, whose `Eq` and `Hash` run inside the lock, and look at nothing but the number.
#[derive(Clone)]
struct NosyKey(Nosy);

impl PartialEq for NosyKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.0 == other.0.0
    }
}

impl Eq for NosyKey {}

impl Hash for NosyKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.0.hash(state);
    }
}

fn back_into<T: Clone + Send + Sync + 'static>(call: impl Fn(&T) + Send + Sync + 'static) -> (Arc<OnceLock<T>>, Back) {
    let cell = Arc::new(OnceLock::<T>::new());
    let inner = cell.clone();
    let back: Back = Arc::new(move || {
        if let Some(it) = inner.get() {
            call(it);
        }
    });
    (cell, back)
}

#[test]
fn found_a10_ids_may_come_back_for_the_cache() {
    ends(|| {
        let (cell, back) = back_into::<DedupCache<NosyKey>>(|cache| _ = (cache.len(), cache.stats(), cache.horizon()));
        let key = |number| NosyKey(Nosy(number, back.clone()));
        let cache = DedupCache::<NosyKey>::builder(TTL, OnFull::ForgetOldest).lease(Duration::ZERO).capacity(3).build();
        assert!(cell.set(cache.clone()).is_ok());
        for number in 0..20 {
            // New ones, known ones, forgotten ones; claimed ones, of which the lease ends at once.
            assert_eq!(cache.check(&key(number)), Seen::Fresh);
            assert!(matches!(cache.check(&key(number)), Seen::Duplicate { .. }));
            assert!(matches!(cache.mark(&key(number)), Seen::Duplicate { .. }));
            let _ = cache.claim(&key(100 + number));
            assert!(matches!(cache.claim(&key(number)), Claim::Duplicate { .. }));
        }
        let held = DedupCache::<NosyKey>::builder(TTL, OnFull::Refuse).capacity(1).build();
        for is_done in [false, true] {
            let Claim::Fresh(claim) = held.claim(&key(1)) else { panic!("it is new") };
            assert!(matches!(held.claim(&key(2)), Claim::Full));
            if is_done { claim.commit().unwrap() } else { drop(claim) }
        }
        cache.cleanup();
        let brief = DedupCache::<NosyKey>::builder(Duration::ZERO, OnFull::Refuse).capacity(300).build();
        (0..300).for_each(|number| assert_eq!(brief.check(&key(number)), Seen::Fresh));
        assert_eq!(brief.cleanup(), 300);
    });
}

#[test]
fn answers_may_come_back_for_the_cache_that_kept_them() {
    type Answers = DedupCache<u64, Option<Arc<Nosy>>>;
    ends(|| {
        let (cell, back) = back_into::<Answers>(|cache| _ = (cache.len(), cache.stats(), cache.seen(&0)));
        let dropped = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let builder = DedupCache::<u64>::builder(TTL, OnFull::ForgetOldest).capacity(2);
        let cache: Answers = builder.keeping().build();
        assert!(cell.set(cache.clone()).is_ok());
        let counting: Back = {
            let (back, dropped) = (back.clone(), dropped.clone());
            Arc::new(move || {
                dropped.fetch_add(1, Ordering::Relaxed);
                back();
            })
        };
        for number in 10..20 {
            let Claim::Fresh(claim) = cache.claim(&number) else { panic!("it is new") };
            claim.commit_with(Some(Arc::new(Nosy(number, counting.clone())))).unwrap();
            assert!(matches!(cache.claim(&number), Claim::Duplicate { value: Some(_), .. }));
        }
        assert!(cache.forget(&19));
        let Claim::Fresh(late) = cache.claim(&30) else { panic!("it is new") };
        assert!(cache.forget(&30));
        assert!(late.commit_with(Some(Arc::new(Nosy(30, counting.clone())))).is_err(), "and its answer is dropped");
        assert_eq!(dropped.load(Ordering::Relaxed), 10);
    });
}

#[test]
fn found_a10_votes_and_voters_may_come_back_for_the_quorum() {
    ends(|| {
        type Votes = Quorum<NosyVoter, Nosy>;
        let (cell, back) = back_into::<Votes>(|votes| _ = (votes.len(), votes.stats(), votes.next_deadline()));
        let voter = |number| NosyVoter(number, Nosy(number, back.clone()));
        let value = |number| Nosy(number, back.clone());
        let votes = Votes::builder(2).max_voters(3).build().unwrap();
        assert!(cell.set(votes.clone()).is_ok());
        let first = votes.ballot();
        assert_eq!(votes.vote(first, &voter(1), value(7)), Vote::Counted);
        assert_eq!(votes.vote(first, &voter(1), value(7)), Vote::Repeated);
        assert_eq!(votes.vote(first, &voter(1), value(8)), Vote::Conflicting);
        assert_eq!(votes.vote(first, &voter(2), value(7)), Vote::Counted);
        assert_eq!(votes.votes().len(), 2);
        assert_eq!(votes.dissenters(|value| value.0 == 7).len(), 0);
        let most = |values: &mut [Nosy]| values.iter().map(|value| value.0).max();
        assert_eq!(votes.result(first, most).decided(), Some(7));
        assert_eq!(votes.vote(first, &voter(3), value(7)), Vote::Late);
        let second = votes.reset(TTL);
        assert_eq!(votes.vote(first, &voter(3), value(7)), Vote::OtherBallot);
        (1..4).for_each(|number| assert_eq!(votes.vote(second, &voter(number), value(9)), Vote::Counted));
        assert_eq!(votes.vote(second, &voter(4), value(9)), Vote::Full);
        assert_eq!(block_on(votes.decided(second, most)), Some(9));
        assert!(votes.absentees().is_empty());
        assert_eq!(votes.stats().seen(), 10);
    });
}

/// A voter, whose `PartialEq` runs inside the lock.
#[derive(Clone)]
struct NosyVoter(u64, #[expect(dead_code, reason = "its code is what counts")] Nosy);

impl PartialEq for NosyVoter {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// A waker of one's own, whose every function calls back.
struct NosyWaker(Back);

impl Wake for NosyWaker {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

impl Drop for NosyWaker {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn found_a10_replies_ids_and_wakers_may_come_back_for_the_correlators() {
    ends(|| block_on(replies_and_wakers()));
    ends(|| block_on(ids()));
}

async fn replies_and_wakers() {
    type Calls = Correlator<u8, Nosy>;
    let (cell, back) = back_into::<Calls>(|calls| _ = (calls.len(), calls.stats(), calls.next_deadline()));
    let calls = Calls::new(2);
    assert!(cell.set(calls.clone()).is_ok());
    let answer = || Nosy(7, back.clone());
    for end in 0..4 {
        let sent = Cell::new(None);
        let mut call = Box::pin(calls.call(1, TTL, |id| {
            sent.set(Some(id));
            ready(Ok::<(), ()>(()))
        }));
        // Another waker each time.
        let mut poll = || call.as_mut().poll(&mut Context::from_waker(&waker(&back)));
        (0..3).for_each(|_| assert!(poll().is_pending()));
        let id = sent.get().unwrap();
        match end {
            0 => {}
            1 => calls.close(),
            2 => assert!(calls.cancel(id)),
            _ => assert!(calls.resolve(id, 1, answer()).is_matched()),
        }
        drop(calls.resolve(id, 1, answer()));
        assert!(poll().is_ready());
        drop(call);
        calls.reopen();
    }
    // A reply that nobody takes.
    let mut call = Box::pin(calls.call(1, TTL, |id| {
        assert!(calls.resolve(id, 1, answer()).is_matched());
        pending::<Result<(), ()>>()
    }));
    assert!(calls.is_empty() && call.as_mut().poll(&mut Context::from_waker(&waker(&back))).is_ready());
    drop(call);
    let (one, other) = (calls.call(1, Duration::ZERO, |_| pending::<Result<(), ()>>()), calls.begin(2, Duration::ZERO));
    let mut one = Box::pin(one);
    let _ = (other.unwrap(), one.as_mut().poll(&mut Context::from_waker(&waker(&back))));
    let _ = (calls.begin(3, TTL).unwrap(), calls.begin(4, TTL).unwrap());
    assert_eq!(calls.stats().timed_out, 2);
}

fn waker(back: &Back) -> Waker {
    Waker::from(Arc::new(NosyWaker(back.clone())))
}

async fn ids() {
    type Calls = KeyedCorrelator<NosyKey, Nosy>;
    let (cell, back) = back_into::<Calls>(|calls| _ = (calls.len(), calls.stats(), calls.next_deadline()));
    let calls = Calls::new(1);
    assert!(cell.set(calls.clone()).is_ok());
    let key = |number| NosyKey(Nosy(number, back.clone()));
    let answer = || Nosy(7, back.clone());
    calls.begin(key(1), TTL).unwrap();
    assert!(calls.begin(key(1), TTL).is_err() && calls.begin(key(2), TTL).is_err());
    assert!(calls.resolve(&key(1), answer()).is_matched());
    drop(calls.resolve(&key(1), answer()));
    drop(calls.take(&key(1)));
    calls.begin(key(1), TTL).unwrap();
    assert!(calls.cancel(&key(1)));
    calls.begin(key(1), Duration::ZERO).unwrap();
    drop(calls.on_timeout());
    calls.begin(key(1), Duration::ZERO).unwrap();
    calls.begin(key(2), TTL).unwrap();
    calls.close();
    assert!(calls.begin(key(3), TTL).is_err() && calls.is_empty());
    calls.reopen();
    let call = calls.call(key(4), TTL, || {
        drop(calls.resolve(&key(4), answer()));
        ready(Ok::<(), ()>(()))
    });
    assert!(call.await.is_ok());
    let mut call = pin!(calls.call(key(5), TTL, || ready(Ok::<(), ()>(()))));
    for _ in 0..2 {
        assert!(call.as_mut().poll(&mut Context::from_waker(&waker(&back))).is_pending());
    }
    assert!(calls.cancel(&key(5)));
}

/// A key and a value whose `Clone` panics when it is told to.
#[derive(Eq, Hash, PartialEq)]
struct Fragile(u64);

thread_local! {
    static BREAKS: Cell<bool> = const { Cell::new(false) };
}

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(!BREAKS.get(), "as it was told");
        Self(self.0)
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(!BREAKS.get() || thread::panicking(), "as it was told");
    }
}

impl Borrow<u64> for Fragile {
    fn borrow(&self) -> &u64 {
        &self.0
    }
}

/// Runs `f` while everything fragile breaks; true if it panicked.
fn breaks<R>(f: impl FnOnce() -> R) -> bool {
    BREAKS.set(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    BREAKS.set(false);
    result.is_err()
}

#[test]
fn found_a10_a_panic_in_the_users_code_leaves_every_count_right() {
    let key = Fragile;
    let cache = DedupCache::<Fragile>::builder(TTL, OnFull::ForgetOldest).capacity(1).build();
    assert!(breaks(|| cache.check(&core::mem::ManuallyDrop::new(key(1)) as &Fragile)));
    assert!(cache.is_empty());
    assert!(cache.check(&key(1)).is_fresh() && cache.check(&key(2)).is_fresh());
    let Claim::Full = cache.claim(&key(2)).map(drop) else {
        let stats = cache.stats();
        assert_eq!(stats.fresh, stats.held + stats.expired + stats.forgotten + stats.aborted + stats.given_up);
        assert_eq!((stats.held, cache.len()), (1, 1));
        return;
    };
}

#[test]
fn found_a10_a_panic_in_an_aggregate_or_a_comparison_leaves_the_ballot_as_it_was() {
    #[derive(Clone)]
    struct Incomparable;
    impl PartialEq for Incomparable {
        fn eq(&self, _: &Self) -> bool {
            panic!("as it was told")
        }
    }
    let votes = Quorum::<u8, Incomparable>::builder(1).max_voters(2).build().unwrap();
    let ballot = votes.ballot();
    assert_eq!(votes.vote(ballot, &1, Incomparable), Vote::Counted);
    assert!(catch_unwind(AssertUnwindSafe(|| votes.vote(ballot, &1, Incomparable))).is_err());
    let panics = |_: &mut [Incomparable]| -> Option<u8> { panic!("as it was told") };
    assert!(catch_unwind(AssertUnwindSafe(|| votes.result(ballot, panics))).is_err());
    assert_eq!(votes.vote(ballot, &2, Incomparable), Vote::Counted);
    assert_eq!((votes.len(), votes.stats().counted, votes.stats().seen()), (2, 2, 2));
    assert_eq!(votes.result(ballot, |votes| Some(votes.len())).decided(), Some(2));

    let numbers = Quorum::<u8, u8>::builder(1).build().unwrap();
    assert_eq!(numbers.vote(numbers.ballot(), &1, 7), Vote::Counted);
    assert_eq!(numbers.result(numbers.ballot(), majority).decided(), Some(7));
}

/// A waker that panics, and one that counts.
fn wakers() -> (Waker, Waker, Arc<AtomicU32>) {
    struct Breaks;
    impl Wake for Breaks {
        fn wake(self: Arc<Self>) {
            panic!("as it was told")
        }
    }
    struct Counts(Arc<AtomicU32>);
    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::new(AtomicU32::new(0));
    (Arc::new(Breaks).into(), Arc::new(Counts(count.clone())).into(), count)
}

#[test]
fn found_a10_a_waker_that_panics_keeps_nobody_else_waiting() {
    let pending = || pending::<Result<(), ()>>();
    let hour = Duration::from_secs(3_600);
    let (breaks, counts, count) = wakers();
    let (breaks, counts) = (&mut Context::from_waker(&breaks), &mut Context::from_waker(&counts));

    let votes = Quorum::<u8, u8>::builder(1).build().unwrap();
    let ballot = votes.ballot();
    let (mut first, mut second) = (pin!(votes.decided(ballot, majority)), pin!(votes.decided(ballot, majority)));
    assert!(first.as_mut().poll(breaks).is_pending() && second.as_mut().poll(counts).is_pending());
    assert_eq!(votes.vote(ballot, &1, 7), Vote::Counted);
    assert_eq!(count.swap(0, Ordering::Relaxed), 1);

    let calls = Correlator::<u8, u8>::new(8);
    let (mut first, mut second) = (pin!(calls.call(1, hour, |_| pending())), pin!(calls.call(2, hour, |_| pending())));
    assert!(first.as_mut().poll(breaks).is_pending() && second.as_mut().poll(counts).is_pending());
    calls.close();
    assert_eq!((count.swap(0, Ordering::Relaxed), calls.stats().closed), (1, 2));

    let calls = KeyedCorrelator::<u8, u8>::new(8);
    let (mut first, mut second) = (pin!(calls.call(1, hour, pending)), pin!(calls.call(2, hour, pending)));
    assert!(first.as_mut().poll(breaks).is_pending() && second.as_mut().poll(counts).is_pending());
    assert!(calls.resolve(&1, 1).is_matched());
    assert!(calls.cancel(&2));
    assert_eq!(count.swap(0, Ordering::Relaxed), 1);
}

/// What a `Debug` writes to may come back for what it shows.
#[test]
fn found_a10_what_a_quorum_is_shown_to_may_ask_it() {
    struct Asks(Quorum<u8, u8>, usize);
    impl fmt::Write for Asks {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.1 += text.len() + self.0.len();
            Ok(())
        }
    }
    ends(|| {
        let votes = Quorum::<u8, u8>::builder(1).build().unwrap();
        let mut asks = Asks(votes.clone(), 0);
        fmt::write(&mut asks, format_args!("{votes:?} {votes:#?}")).unwrap();
        assert!(asks.1 > 100);
    });
}
