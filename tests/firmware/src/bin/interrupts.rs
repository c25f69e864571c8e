//! Machines in a `static` that an interrupt handler and the code that it interrupts share.
#![no_std]
#![no_main]

use core::time::Duration;

use cortex_m_rt::entry;
use firmware_tests::{board, board::interrupted_by, harness};
use heapless::Deque;
use steadfast_embassy::{
    Correlator, DedupCache, Gcra, Instant, Lock, Mutex, RateLimiter, Shared,
    correlator::{CallId, Resolution},
    dedup_cache::{Claim, OnFull},
    shared,
};

/// For how many ticks a test runs.
const TICKS: u32 = 100;

/// What the handler counts, for the test to compare.
struct Tally {
    ticks: u32,
    asked: u64,
    granted: u64,
}

static TALLY: Mutex<Tally> = Mutex::new(Tally { ticks: 0, asked: 0, granted: 0 });

#[entry]
fn main() -> ! {
    board::start();
    let tests: [(&str, fn()); 4] = [
        ("a_quota_is_exact", a_quota_is_exact),
        ("an_id_is_fresh_once", an_id_is_fresh_once),
        ("a_claim_is_had_by_one", a_claim_is_had_by_one),
        ("every_call_gets_its_own_reply", every_call_gets_its_own_reply),
    ];
    for (name, test) in tests {
        TALLY.with(|tally| *tally = Tally { ticks: 0, asked: 0, granted: 0 });
        harness::test("interrupts", name, test);
    }
    harness::finish()
}

fn ticks() -> u32 {
    TALLY.with(|tally| tally.ticks)
}

/// Counts a tick in which the handler asked for something once.
fn tally(granted: bool) {
    TALLY.with(|tally| {
        tally.ticks += 1;
        tally.asked += 1;
        tally.granted += u64::from(granted);
    });
}

/// What the handler asked for, and what it was granted.
fn handlers() -> (u64, u64) {
    TALLY.with(|tally| (tally.asked, tally.granted))
}

fn a_quota_is_exact() {
    const QUOTA: u32 = 100_000;
    static LIMITER: Shared<RateLimiter<u32, Gcra, 4>> = shared(RateLimiter::new(Gcra::per_hour(QUOTA).burst(QUOTA)));

    let (mut asked, mut granted) = (0, 0);
    interrupted_by(
        || tally(LIMITER.allow(&7).is_allowed()),
        || {
            while ticks() < TICKS {
                asked += 1;
                granted += u64::from(LIMITER.allow(&7).is_allowed());
            }
        },
    );
    let (asked, granted) = (asked + handlers().0, granted + handlers().1);
    assert_eq!(granted, asked, "the quota is larger than what the test can ask for");
    let stats = LIMITER.stats();
    assert_eq!((stats.allowed, stats.denied), (granted, 0), "one of the two undid what the other had counted");
    let left = LIMITER.with_lock(|limiter| limiter.remaining(&7, Instant::ZERO));
    assert_eq!(u64::from(left), u64::from(QUOTA) - granted);
}

/// An id that no two calls get from it.
fn next_id() -> u32 {
    static NEXT: Mutex<u32> = Mutex::new(0);
    NEXT.with(|next| {
        *next += 1;
        *next
    })
}

fn an_id_is_fresh_once() {
    static HEARD: Shared<DedupCache<u32, 32>> = shared(DedupCache::new(Duration::from_secs(60), OnFull::ForgetOldest));

    let (mut asked, mut fresh) = (0, 0);
    interrupted_by(
        || {
            let id = next_id();
            let is_fresh = HEARD.check(&id).is_fresh();
            assert!(!HEARD.check(&id).is_fresh());
            tally(is_fresh);
        },
        || {
            while ticks() < TICKS {
                asked += 1;
                fresh += u64::from(HEARD.check(&next_id()).is_fresh());
            }
        },
    );
    assert_eq!(fresh, asked);
    assert_eq!(handlers(), (u64::from(TICKS), u64::from(TICKS)));
    let stats = HEARD.stats();
    assert_eq!((stats.fresh, stats.duplicates), (asked + u64::from(TICKS), u64::from(TICKS)));
    assert_eq!((stats.held, stats.forgotten), (32, stats.fresh - 32));
}

fn a_claim_is_had_by_one() {
    static JOBS: Shared<DedupCache<u32, 4>> = shared(DedupCache::new(Duration::from_secs(60), OnFull::ForgetOldest));
    /// Who has the job at present.
    static WORKERS: Mutex<u32> = Mutex::new(0);

    fn work() -> bool {
        let Claim::Fresh(claim) = JOBS.claim(&1) else { return false };
        let workers = WORKERS.with(|workers| {
            *workers += 1;
            *workers
        });
        assert_eq!(workers, 1, "two have claimed one job");
        WORKERS.with(|workers| *workers -= 1);
        drop(claim);
        true
    }

    let mut done = 0;
    interrupted_by(
        || tally(work()),
        || {
            while ticks() < TICKS {
                done += u64::from(work());
            }
        },
    );
    let stats = JOBS.stats();
    assert_eq!(stats.aborted, done + handlers().1);
    assert_eq!(stats.in_flight, handlers().0 - handlers().1, "only the handler can find it claimed");
    assert_eq!(stats.pending, 0);
}

fn every_call_gets_its_own_reply() {
    static CALLS: Shared<Correlator<u8, u64, 4>> = shared(Correlator::new(0x5eed));
    /// The requests on their way.
    static WIRE: Mutex<Deque<CallId, 4>> = Mutex::new(Deque::new());

    fn answer() {
        while let Some(id) = WIRE.with(Deque::pop_front) {
            assert_eq!(CALLS.resolve(id, 1, !id.as_u64()), Resolution::Matched);
            assert_eq!(CALLS.resolve(id, 1, 0), Resolution::Duplicate(0));
        }
        tally(true);
    }

    let mut begun = 0;
    let mut pending: Deque<CallId, 4> = Deque::new();
    let take = |pending: &mut Deque<CallId, 4>| {
        if let Some(id) = pending.pop_front() {
            while !WIRE.with(|wire| wire.is_empty()) {}
            assert_eq!(CALLS.take(id), Some(!id.as_u64()), "the reply of another call");
        }
    };
    interrupted_by(answer, || {
        while ticks() < TICKS {
            match CALLS.begin(1, Duration::from_secs(60)) {
                Ok(call) => {
                    begun += 1;
                    pending.push_back(call.id()).expect("as many as there are calls");
                    WIRE.with(|wire| wire.push_back(call.id()).expect("as many as there are calls"));
                }
                Err(_full) => take(&mut pending),
            }
        }
        while !pending.is_empty() {
            take(&mut pending);
        }
    });
    let stats = CALLS.stats();
    assert!(begun > u64::from(TICKS));
    assert_eq!((stats.begun, stats.resolved, stats.duplicates, stats.pending), (begun, begun, begun, 0));
}
