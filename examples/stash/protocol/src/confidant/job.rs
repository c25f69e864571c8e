//! What becomes of a message, in two halves: the store works between them, and nobody else has to wait for it.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use steadfast_core::{
    Instant,
    dedup_cache::{Claim, ClaimTicket},
    rate_limiter::Decision,
};

use super::{Confidant, Outcome, Reply, ledger::Admission, reply::bits_below};
use crate::{Body, Chunk, ChunkId, ChunkStore, Manifest, Message, PeerId, Refusal, StoreError, wire::Verified};

/// What [`Confidant::begin`] made of a message.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no heap to box it on, and one message lives at a time")]
pub enum Begun {
    /// The store has to do this first.
    Job(Job),
    /// It is decided.
    Replied(Reply),
}

/// What the store has to do for one message, while the confidant serves others: a chunk to be written, or a commit.
#[derive(Debug)]
#[must_use = "until it ends, whatever its owner stores meets `Busy`"]
pub struct Job {
    owner: PeerId,
    message: u64,
    source: SocketAddr,
    claim: ClaimTicket,
    /// The version of an older upload that goes first.
    replaces: Option<u64>,
    done: Result<(), StoreError>,
}

impl Job {
    /// Does it. `message` is the one that it began with; any other fails.
    pub fn run(&mut self, message: &Verified<'_>, store: &mut (impl ChunkStore + ?Sized)) {
        if !self.is_of(message) {
            return;
        }
        let owner = self.owner;
        if let Some(older) = self.replaces.take() {
            store.discard(&owner, older);
        }
        self.done = match &message.body {
            &Body::Store(Chunk { version, index, sealed, .. }) => store.put(&ChunkId { owner, version, index }, sealed),
            Body::Commit(manifest) => store.commit(&owner, manifest),
            _ => Err(StoreError),
        };
    }

    fn is_of(&self, message: &Message<'_>) -> bool {
        self.owner == message.from && self.message == message.id
    }
}

impl<S: ChunkStore, const OWNERS: usize, const IDS: usize> Confidant<S, OWNERS, IDS> {
    /// The first half of [`handle`](Self::handle), which never waits for the store: it asks it for what is
    /// [`missing`](ChunkStore::missing) at most.
    ///
    /// If there is a job, run it where waiting is allowed, then [`end`](Self::end) it; until then whatever the same owner
    /// stores is refused as `Busy`, and all others are served. Idle uploads are not dropped here: see
    /// [`begin_timeout`](Self::begin_timeout). O(`OWNERS`).
    pub fn begin(&mut self, message: &Verified<'_>, source: SocketAddr, now: Instant) -> Begun {
        self.cookies.advance(now);
        self.ledger.clamp(now);
        match self.decide(message, source, now) {
            Ok(Step::Decided(outcome)) => Begun::Replied(self.reply(message, source, outcome)),
            Ok(Step::Work(claim, replaces)) => {
                let (owner, id) = (message.from, message.id);
                self.ledger.work(&owner, replaces.is_some());
                Begun::Job(Job { owner, message: id, source, claim, replaces, done: Err(StoreError) })
            }
            Err(refusal) => Begun::Replied(self.refuse(message, source, refusal)),
        }
    }

    /// The second half: tells what became of `message`, for which the job was run. O(`OWNERS`).
    pub fn end(&mut self, job: Job, message: &Verified<'_>, now: Instant) -> Reply {
        let done = if job.is_of(message) { job.done } else { Err(StoreError) };
        let owner = &job.owner;
        let outcome = match (done, &message.body) {
            (Ok(()), &Body::Store(Chunk { version, chunks, .. })) => {
                self.ledger.uploading(owner, version, chunks, now);
                Outcome::Stored
            }
            (Ok(()), Body::Commit(manifest)) => {
                self.ledger.committed(owner, manifest.clone());
                Outcome::Committed { version: manifest.version }
            }
            _ => Outcome::Refused(Refusal::StorageFailed),
        };
        self.ledger.rest(owner);
        if done.is_ok() {
            // If a flood of ids took this one meanwhile, a repeat is done twice, which does no harm.
            let _lost = self.seen.commit(job.claim, now);
        } else {
            let _id = self.seen.abort(job.claim, now); // so that the same message may come again
        }
        self.reply(message, job.source, outcome)
    }

    /// Answers a message with `Busy` and does nothing else: for whoever keeps messages waiting, and has no room for more.
    pub fn refuse_busy(&mut self, message: &Verified<'_>, source: SocketAddr) -> Reply {
        self.refuse(message, source, Refusal::Busy)
    }

    /// Takes one upload that has paused too long from its owner: whose it was, and its version. Once the store has
    /// discarded it, [`end_timeout`](Self::end_timeout). Call it until there is none. O(`OWNERS`).
    pub fn begin_timeout(&mut self, now: Instant) -> Option<(PeerId, u64)> {
        self.ledger.clamp(now);
        let (owner, version) = self.ledger.expired_upload(now)?;
        self.ledger.work(&owner, true);
        Some((owner, version))
    }

    /// The upload is discarded.
    pub fn end_timeout(&mut self, owner: &PeerId) {
        self.ledger.rest(owner);
    }

    fn refuse(&mut self, message: &Verified<'_>, source: SocketAddr, refusal: Refusal) -> Reply {
        self.reply(message, source, Outcome::Refused(refusal))
    }

    fn decide(&mut self, message: &Verified<'_>, source: SocketAddr, now: Instant) -> Result<Step, Refusal> {
        let owner = &message.from;
        match &message.body {
            Body::Refresh { .. } => return Ok(Step::Decided(Outcome::Welcomed)),
            body if body.is_reply() => return Ok(Step::Decided(Outcome::NotAQuestion)),
            _ => {}
        }
        if !self.cookies.accept(message.cookie, owner, source) {
            return Err(Refusal::Unproven);
        }
        if matches!(message.body, Body::Store(_) | Body::Commit(_)) && self.ledger.is_busy(owner) {
            return Err(Refusal::Busy);
        }
        let claim = match self.seen.claim(&(*owner, message.id), now) {
            Claim::Fresh(claim) => claim,
            Claim::Full => return Err(Refusal::Busy),
            Claim::Duplicate { .. } | Claim::InFlight => return Ok(Step::Decided(Outcome::Duplicate)),
        };
        let decided = match self.act(message, source, now) {
            Ok(Act::Work { replaces }) => return Ok(Step::Work(claim, replaces)),
            Ok(Act::Decided(outcome)) => Ok(Step::Decided(outcome)),
            Err(refusal) => Err(refusal),
        };
        if self.seen.commit(claim, now).is_err() {
            return Err(Refusal::Busy);
        }
        decided
    }

    fn act(&mut self, message: &Message<'_>, source: SocketAddr, now: Instant) -> Result<Act, Refusal> {
        let owner = &message.from;
        match &message.body {
            Body::Store(chunk) => self.keep(owner, chunk),
            Body::Commit(manifest) => self.commit(owner, manifest, source, now),
            Body::Request => self.request(owner, source, now),
            &Body::Fetch { version, first, want } => {
                let want = self.ledger.fetch(owner, source, (version, first, want), now)?;
                Ok(Act::Decided(Outcome::Sending { chunks: want.count_ones() }))
            }
            Body::Holding(holdings) => {
                for holding in holdings {
                    self.hints.note(holding.owner, source);
                }
                Ok(Act::Decided(Outcome::Noted))
            }
            _ => Ok(Act::Decided(Outcome::NotAQuestion)),
        }
    }

    fn keep(&self, owner: &PeerId, chunk: &Chunk<'_>) -> Result<Act, Refusal> {
        let &Chunk { version, chunks, index, .. } = chunk;
        if index >= chunks {
            return Err(Refusal::OutOfRange);
        }
        match self.ledger.admit_chunk(owner, version, chunks)? {
            Admission::Kept => Ok(Act::Decided(Outcome::Stored)),
            Admission::Write { replaces } => Ok(Act::Work { replaces }),
        }
    }

    /// A commit that cannot be complete is refused before it costs anything, and the others are counted before they do.
    fn commit(
        &mut self,
        owner: &PeerId,
        manifest: &Manifest,
        source: SocketAddr,
        now: Instant,
    ) -> Result<Act, Refusal> {
        let &Manifest { version, chunks, .. } = manifest;
        if let Admission::Kept = self.ledger.admit_commit(owner, manifest)? {
            return Ok(Act::Decided(Outcome::Committed { version }));
        }
        let missing = if self.ledger.is_uploading(owner, version, chunks) {
            self.store.missing(owner, version, chunks)
        } else {
            Some((0, bits_below(chunks)))
        };
        if let Some((first, missing)) = missing {
            return Err(Refusal::Incomplete { first, missing });
        }
        within(self.commits_of_owners.allow(&Payer::Owner(*owner), now), now)?;
        within(self.commits_from_networks.allow(&Payer::of(source), now), now)?;
        Ok(Act::Work { replaces: None })
    }

    fn request(&mut self, owner: &PeerId, source: SocketAddr, now: Instant) -> Result<Act, Refusal> {
        let found = self.ledger.held(owner).is_some();
        let limit = if found { &mut self.owners_limit } else { &mut self.strangers_limit };
        within(limit.allow(owner, now), now)?;
        self.ledger.open_recovery(owner, source, now);
        Ok(Act::Decided(Outcome::Answered { found }))
    }
}

enum Step {
    Decided(Outcome),
    Work(ClaimTicket, Option<u64>),
}

enum Act {
    Decided(Outcome),
    Work { replaces: Option<u64> },
}

fn within(decision: Decision, now: Instant) -> Result<(), Refusal> {
    let Decision::Deny { retry_at } = decision else { return Ok(()) };
    let wait = retry_at.saturating_duration_since(now).as_nanos().div_ceil(1_000_000);
    Err(Refusal::RateLimited { retry_after_millis: u32::try_from(wait).unwrap_or(u32::MAX) })
}

/// Whose quota a commit takes from. One type, so that a microcontroller has the code of one limiter.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(super) enum Payer {
    Network(IpAddr),
    Owner(PeerId),
}

impl Payer {
    /// Whoever has one IPv6 address has a whole /64 of them.
    fn of(source: SocketAddr) -> Self {
        Self::Network(match source.ip().to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        })
    }
}
