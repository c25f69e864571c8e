//! The confidant of a node, its disk, and what is said of both in the log.

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    net::SocketAddr,
};

use stash_protocol::{
    Body, CHUNK_BYTES, Capacity, Confidant, Holding, Identity, Manifest, Name, Outcome, PeerId, Reply, RunSecret,
    Settings, log,
    wire::{MAX_DATAGRAM, Verified, WireError},
};
use steadfast::{Clock, Instant, Lock, Logger, Mutex, ServiceLog, SystemTimer};

use super::NodeStats;
use crate::{MAX_FILE, disk::Disk, seed::random};

/// As many as the highest capacity.
const OWNERS: usize = 50;

/// How many messages are remembered: an upload of three megabytes, of the last two minutes.
const IDS: usize = 4_096;

/// How many names of owners are remembered, for the log alone.
const NAMES: usize = 1_024;

const MAX_CHUNKS: u32 = MAX_FILE.div_ceil(CHUNK_BYTES) as u32;

#[derive(Debug)]
pub(super) struct Keeper {
    confidant: Mutex<Box<Confidant<Disk, OWNERS, IDS>>>,
    names: Mutex<HashMap<PeerId, String>>,
    log: ServiceLog<Logger>,
}

impl Keeper {
    pub(super) fn new(
        name: Name<'_>,
        capacity: Capacity,
        disk: Disk,
        found: &[(PeerId, Manifest)],
        logger: &Logger,
    ) -> io::Result<Self> {
        let settings = Settings { capacity, max_chunks: MAX_CHUNKS };
        let mut confidant = Box::new(Confidant::new(name, settings, disk, &RunSecret::new(random()?)));
        if !found.iter().all(|(owner, manifest)| confidant.adopt(owner, manifest)) {
            let (many, places) = (found.len(), capacity.owners());
            let text = format!("{many} owners' files are kept here, more than the {places} that this capacity allows");
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        for (kind, formatter) in log::FORMATTERS {
            let _ = logger.formatter("stash", kind, formatter); // there is room, and the default would say the same
        }
        let log = logger.service("stash").emoji("📦");
        Ok(Self { confidant: Mutex::new(confidant), names: Mutex::new(HashMap::new()), log })
    }

    /// Takes a question, and tells what is kept now if that has changed.
    pub(super) fn handle(&self, message: &Verified<'_>, source: SocketAddr) -> (Reply, Option<Holding>) {
        let owner = message.from;
        if let Body::Refresh { name } = &message.body {
            self.learn(owner, *name);
        }
        let now = SystemTimer.now();
        let (reply, before, error) = self.confidant.with(|confidant| {
            let before = confidant.held(&owner);
            (confidant.handle(message, source, now), before, confidant.store().take_error())
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

    pub(super) fn next_reply<'b>(
        &self,
        reply: &mut Reply,
        identity: &Identity,
        buffer: &'b mut [u8; MAX_DATAGRAM],
    ) -> Option<&'b [u8]> {
        self.confidant.with(|confidant| confidant.next_reply(reply, identity, buffer))
    }

    /// Counts a datagram that was no message.
    pub(super) fn dropped(&self, source: SocketAddr, error: WireError) {
        log::dropped(&self.log, source.ip(), error);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.confidant.with(|confidant| confidant.next_deadline())
    }

    /// Drops the uploads that have paused too long.
    pub(super) fn on_timeout(&self) {
        let now = SystemTimer.now();
        while let Some(owner) = self.confidant.with(|confidant| confidant.on_timeout(now)) {
            log::give_up(&self.log, &self.name_of(&owner));
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
        let known = self.names.with(|names| names.get(peer).cloned());
        known.unwrap_or_else(|| format!("{peer:.8}"))
    }

    fn learn(&self, peer: PeerId, name: Name<'_>) {
        self.names.with(|names| {
            if names.len() < NAMES || names.contains_key(&peer) {
                names.insert(peer, name.to_string());
            }
        });
    }
}
