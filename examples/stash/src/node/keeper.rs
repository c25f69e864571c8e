//! The confidant of a node, its disk, and what is said of both in the log.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use stash_protocol::{
    Begun, Body, Capacity, ChunkStore, Confidant, Holding, Job, Manifest, Name, Names, Outcome, PeerId, Reply,
    RunSecret, Settings, log,
    wire::{Verified, WireError},
};
use steadfast::{
    Instant, Logger,
    logger::ServiceLog,
    runtime::{Clock, Lock, Mutex, SystemTimer},
};

use super::NodeStats;
use crate::{MAX_CHUNKS, disk::Disk, seed::random};

/// As many as the highest capacity.
const OWNERS: usize = 50;

/// How many messages are remembered: an upload of three megabytes, of the last two minutes.
const IDS: usize = 4_096;

/// How many names are remembered, for the log alone: those of all owners, and of the last who greeted.
const NAMES: usize = 256;

/// A store whose clones are the same store, so that it can work while nobody waits for it.
pub(super) trait Medium: ChunkStore + Clone + Send + Sync + 'static {
    /// What went wrong last; once.
    fn take_error(&mut self) -> Option<io::Error>;
}

impl Medium for Disk {
    fn take_error(&mut self) -> Option<io::Error> {
        Self::take_error(self)
    }
}

#[derive(Debug)]
pub(super) struct Keeper<S> {
    /// Never held while the store works, or a signature is made: whoever does that may take long.
    confidant: Mutex<Box<Confidant<S, OWNERS, IDS>>>,
    store: S,
    names: Mutex<Names<NAMES>>,
    log: ServiceLog<Logger>,
}

impl<S: Medium> Keeper<S> {
    pub(super) fn new(
        name: Name<'_>,
        capacity: Capacity,
        store: S,
        found: &[(PeerId, Manifest)],
        logger: &Logger,
    ) -> io::Result<Self> {
        let settings = Settings { capacity, max_chunks: MAX_CHUNKS };
        let secret = RunSecret::new(random()?);
        let mut confidant = Box::new(Confidant::new(name, settings, store.clone(), &secret));
        if !found.iter().all(|(owner, manifest)| confidant.adopt(owner, manifest)) {
            let (many, places) = (found.len(), capacity.owners());
            let text = format!("{many} owners' files are kept here, more than the {places} that this capacity allows");
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        for (kind, formatter) in log::FORMATTERS {
            let _ = logger.formatter("stash", kind, formatter); // there is room, and the default would say the same
        }
        let log = logger.service("stash").prefix("📦");
        Ok(Self { confidant: Mutex::new(confidant), store, names: Mutex::new(Names::new()), log })
    }

    /// The store, to work with.
    pub(super) fn store(&self) -> S {
        self.store.clone()
    }

    /// Takes a question. It waits for nothing.
    pub(super) fn begin(&self, message: &Verified<'_>, source: SocketAddr) -> Begun {
        let owner = message.from;
        if let Body::Refresh { name } = &message.body {
            let is_kept = |peer: &PeerId| self.confidant.with(|confidant| confidant.has_place(peer));
            self.names.with(|names| names.learn(owner, *name, is_kept));
        }
        let (begun, before) = self.confidant.with(|confidant| {
            let before = confidant.held(&owner);
            (confidant.begin(message, source, SystemTimer.now()), before)
        });
        if let Begun::Replied(reply) = &begun {
            log::report(&self.log, reply.outcome(), before, || self.name_of(&owner));
        }
        begun
    }

    /// Ends what began, and tells what is kept now if that has changed.
    pub(super) fn end(&self, job: Job, message: &Verified<'_>, error: Option<io::Error>) -> (Reply, Option<Holding>) {
        let owner = message.from;
        let (reply, before) = self.confidant.with(|confidant| {
            let before = confidant.held(&owner);
            (confidant.end(job, message, SystemTimer.now()), before)
        });
        if let Some(error) = error {
            self.log.error(format_args!("the disk failed: {error}"));
        }
        log::report(&self.log, reply.outcome(), before, || self.name_of(&owner));
        let committed = match reply.outcome() {
            Outcome::Committed { version } if before != Some(version) => Some(Holding { owner, version }),
            _ => None,
        };
        (reply, committed)
    }

    /// Refuses a message because too many of its owner's wait already.
    pub(super) fn refuse_busy(&self, message: &Verified<'_>, source: SocketAddr) -> Reply {
        self.confidant.with(|confidant| confidant.refuse_busy(message, source))
    }

    /// Counts a datagram that was no message.
    pub(super) fn dropped(&self, source: SocketAddr, error: WireError) {
        log::dropped(&self.log, source.ip(), error);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.confidant.with(|confidant| confidant.next_deadline())
    }

    /// Takes one upload that has paused too long; the store has to discard it.
    pub(super) fn begin_timeout(&self) -> Option<(PeerId, u64)> {
        let (owner, version) = self.confidant.with(|confidant| confidant.begin_timeout(SystemTimer.now()))?;
        log::give_up(&self.log, &self.name_of(&owner));
        Some((owner, version))
    }

    /// It is discarded.
    pub(super) fn end_timeout(&self, owner: &PeerId, error: Option<io::Error>) {
        self.confidant.with(|confidant| confidant.end_timeout(owner));
        if let Some(error) = error {
            self.log.error(format_args!("the disk failed: {error}"));
        }
    }

    pub(super) fn held(&self, owner: &PeerId) -> Option<u64> {
        self.confidant.with(|confidant| confidant.held(owner))
    }

    pub(super) fn holdings(&self) -> Vec<Holding> {
        self.confidant.with(|confidant| confidant.holdings().collect())
    }

    pub(super) fn stats(&self) -> NodeStats {
        self.confidant.with(|confidant| NodeStats {
            confidant: confidant.stats(),
            dedup: confidant.dedup_stats(),
            limits: confidant.limiter_stats(),
            owners: confidant.owners(),
            ..NodeStats::default()
        })
    }

    /// What a peer called itself, or the first digits of its key.
    fn name_of(&self, peer: &PeerId) -> String {
        let known = self.names.with(|names| names.get(peer).map(str::to_owned));
        known.unwrap_or_else(|| format!("{peer:.8}"))
    }
}
