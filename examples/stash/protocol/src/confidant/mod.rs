//! The rules of a peer that keeps others' sealed data.

mod cookie;
mod hints;
mod job;
mod ledger;
mod reply;
mod stats;

use core::{fmt, net::SocketAddr};

use heapless::String;
use steadfast_core::{
    DedupCache, Gcra, HashSeed, Instant, RateLimiter, SlidingLog,
    dedup_cache::{DedupStats, OnFull},
    rate_limiter::RateLimiterStats,
};

use self::{cookie::Cookies, hints::Hints, job::Payer, ledger::Ledger};
pub use self::{
    job::{Begun, Job},
    reply::Reply,
    stats::ConfidantStats,
};
use crate::{ChunkStore, Holding, Manifest, Name, PeerId, Refusal, wire::Verified};

/// How many commits of one owner's may reach the medium within a minute: each waits for it several times.
const COMMITS_OF_AN_OWNER: u32 = 20;

/// How many from one address, or one /64 of IPv6, whoever owns what is committed.
const COMMITS_FROM_A_NETWORK: u32 = 120;

/// How many owners a confidant takes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Capacity {
    /// 5 owners.
    #[default]
    Low,
    /// 20 owners.
    Medium,
    /// 50 owners.
    High,
}

impl Capacity {
    /// The number of owners.
    #[must_use]
    pub const fn owners(self) -> usize {
        match self {
            Self::Low => 5,
            Self::Medium => 20,
            Self::High => 50,
        }
    }
}

/// What a confidant takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// From how many owners; never more than its table holds.
    pub capacity: Capacity,
    /// How many chunks of one owner.
    pub max_chunks: u32,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// A `Request` was answered.
    Answered {
        /// Whether anything is kept for the asker.
        found: bool,
    },
    /// A `Commit` is durable.
    Committed {
        /// The version that is kept now.
        version: u64,
    },
    /// It came before; no reply.
    Duplicate,
    /// It is a reply, so not for a confidant; no reply.
    NotAQuestion,
    /// A `Holding` was noted; no reply.
    Noted,
    /// The answer was no.
    Refused(Refusal),
    /// Chunks are on their way.
    Sending {
        /// How many.
        chunks: u32,
    },
    /// A `Store` was written.
    Stored,
    /// A `Refresh` was answered.
    Welcomed,
}

/// What makes one run of a confidant unlike every other: 40 random bytes, new at each start.
///
/// Whatever was recorded on the wire before a restart is worth nothing after it.
pub struct RunSecret([u8; 40]);

impl RunSecret {
    /// The secret of these random bytes.
    #[must_use]
    pub const fn new(random: [u8; 40]) -> Self {
        Self(random)
    }

    fn word(&self, at: usize) -> u64 {
        self.0.as_chunks().0.get(at).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

impl fmt::Debug for RunSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunSecret(..)")
    }
}

/// A peer that keeps sealed data for at most `OWNERS` others, as a machine without input and output.
///
/// It remembers the last `IDS` messages, for as long as their cookies live. If more than that come, the oldest are
/// forgotten: a repeat of one is then work done twice, but no harm, since a store is idempotent and a fetch is counted.
///
/// Hand it each verified message with the address that it came from, then send what [`next_reply`](Self::next_reply)
/// gives. Whatever is stored belongs to the message's verified sender.
pub struct Confidant<S, const OWNERS: usize, const IDS: usize> {
    name: String<{ Name::MAX }>,
    store: S,
    ledger: Ledger<OWNERS>,
    hints: Hints<OWNERS>,
    cookies: Cookies,
    seen: DedupCache<(PeerId, u64), IDS>,
    /// Recoveries of those who have a place here. Apart from the others', so that no flood of strangers uses it up.
    owners_limit: RateLimiter<PeerId, SlidingLog<5>, OWNERS>,
    strangers_limit: RateLimiter<PeerId, SlidingLog<5>, OWNERS>,
    /// Commits that reach the medium; only who has a place here gets that far.
    commits_of_owners: RateLimiter<Payer, Gcra, OWNERS>,
    commits_from_networks: RateLimiter<Payer, Gcra, OWNERS>,
    next_id: u64,
    stats: ConfidantStats,
}

impl<S: ChunkStore, const OWNERS: usize, const IDS: usize> Confidant<S, OWNERS, IDS> {
    /// A confidant that keeps nothing yet.
    #[must_use]
    pub fn new(name: Name<'_>, settings: Settings, store: S, secret: &RunSecret) -> Self {
        let hasher = HashSeed::new(secret.word(2), secret.word(3));
        Self {
            name: String::try_from(name.as_str()).unwrap_or_default(),
            store,
            ledger: Ledger::new(&settings),
            hints: Hints::new(),
            cookies: Cookies::new(secret.word(0), secret.word(1)),
            seen: DedupCache::with_hasher(cookie::LIFE, OnFull::ForgetOldest, hasher.clone()),
            owners_limit: RateLimiter::with_hasher(SlidingLog::per_minute(), hasher.clone()),
            strangers_limit: RateLimiter::with_hasher(SlidingLog::per_minute(), hasher.clone()),
            commits_of_owners: RateLimiter::with_hasher(Gcra::per_minute(COMMITS_OF_AN_OWNER), hasher.clone()),
            commits_from_networks: RateLimiter::with_hasher(Gcra::per_minute(COMMITS_FROM_A_NETWORK), hasher),
            next_id: secret.word(4),
            stats: ConfidantStats::default(),
        }
    }

    /// Enters a stash that the store kept over a restart. False if there is no place for another owner, or if the
    /// manifest breaks the settings; nothing is dropped.
    pub fn adopt(&mut self, owner: &PeerId, manifest: &Manifest) -> bool {
        self.ledger.admit_chunk(owner, manifest.version, manifest.chunks).is_ok()
            && self.ledger.adopt(owner, manifest.clone())
    }

    /// Takes a verified message that came from `source`, and tells what became of it. O(`OWNERS`), beside what the store
    /// takes.
    ///
    /// It waits for the store. Where others must not wait meanwhile, use [`begin`](Self::begin).
    pub fn handle(&mut self, message: &Verified<'_>, source: SocketAddr, now: Instant) -> Reply {
        while self.on_timeout(now).is_some() {}
        match self.begin(message, source, now) {
            Begun::Replied(reply) => reply,
            Begun::Job(mut job) => {
                job.run(message, &mut self.store);
                self.end(job, message, now)
            }
        }
    }

    /// When the first idle upload loses its place. Any `handle` may change it.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.ledger.next_deadline()
    }

    /// Drops one upload that has paused too long, and tells whose it was. Call it until there is none. O(`OWNERS`), beside
    /// what the store takes.
    pub fn on_timeout(&mut self, now: Instant) -> Option<PeerId> {
        let (owner, version) = self.begin_timeout(now)?;
        self.store.discard(&owner, version);
        self.end_timeout(&owner);
        Some(owner)
    }

    /// What became of the messages' ids.
    pub const fn dedup_stats(&self) -> DedupStats {
        self.seen.stats()
    }

    /// What the limits on recoveries decided, for those who have a stash here and for all others.
    pub fn limiter_stats(&self) -> [RateLimiterStats; 2] {
        [self.owners_limit.stats(), self.strangers_limit.stats()]
    }

    /// Counts since the start.
    #[must_use]
    pub const fn stats(&self) -> ConfidantStats {
        self.stats
    }

    /// How many owners have a place here.
    #[must_use]
    pub fn owners(&self) -> usize {
        self.ledger.owners()
    }

    /// Whether `owner` has a place here.
    #[must_use]
    pub fn has_place(&self, owner: &PeerId) -> bool {
        self.ledger.has_place(owner)
    }

    /// The version that is kept for `owner`.
    #[must_use]
    pub fn held(&self, owner: &PeerId) -> Option<u64> {
        Some(self.ledger.held(owner)?.version)
    }

    /// All that is kept.
    pub fn holdings(&self) -> impl Iterator<Item = Holding> {
        self.ledger.holdings()
    }

    /// Where the bytes are.
    pub const fn store(&mut self) -> &mut S {
        &mut self.store
    }
}

impl<S, const OWNERS: usize, const IDS: usize> fmt::Debug for Confidant<S, OWNERS, IDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confidant").field("name", &self.name).field("stats", &self.stats).finish_non_exhaustive()
    }
}
