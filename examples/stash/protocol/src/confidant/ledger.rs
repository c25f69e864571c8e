//! Who keeps what here, and who may.

use core::{net::SocketAddr, time::Duration};

use heapless::Vec;
use steadfast_core::Instant;

use super::{Settings, reply::bits_below};
use crate::{Holding, Manifest, PeerId, Refusal};

/// How long an upload may pause before it loses its place.
pub(super) const UPLOAD_PAUSE: Duration = Duration::from_secs(60);

/// How long a granted recovery lasts.
const RECOVERY: Duration = Duration::from_secs(60);

/// What the confidant knows of one owner.
#[derive(Clone)]
struct Record {
    owner: PeerId,
    held: Option<Manifest>,
    upload: Option<Upload>,
    recovery: Option<Recovery>,
    /// The store is at work for this owner: until it is done, nothing else of the owner's reaches it.
    busy: bool,
}

#[derive(Clone)]
struct Upload {
    version: u64,
    chunks: u32,
    expires_at: Instant,
}

#[derive(Clone)]
struct Recovery {
    source: SocketAddr,
    /// How many more chunks may be sent.
    left: u32,
    expires_at: Instant,
}

/// What to do with a chunk or a manifest that may be stored.
#[derive(Clone, Copy)]
pub(super) enum Admission {
    /// Nothing: what it says is so already.
    Kept,
    /// Write it, after dropping the older upload that it takes the place of.
    Write { replaces: Option<u64> },
}

/// The owners that are served here, at most `OWNERS` and at most as many as the settings say. Every call is O(`OWNERS`).
#[derive(Clone)]
pub(super) struct Ledger<const OWNERS: usize> {
    records: Vec<Record, OWNERS>,
    max_owners: usize,
    max_chunks: u32,
}

impl<const OWNERS: usize> Ledger<OWNERS> {
    pub(super) const fn new(settings: &Settings) -> Self {
        let Settings { capacity, max_chunks } = *settings;
        Self { records: Vec::new(), max_owners: capacity.owners(), max_chunks }
    }

    pub(super) fn owners(&self) -> usize {
        self.records.len()
    }

    pub(super) fn held(&self, owner: &PeerId) -> Option<&Manifest> {
        self.find(owner)?.held.as_ref()
    }

    pub(super) fn holdings(&self) -> impl Iterator<Item = Holding> {
        self.records.iter().filter_map(|record| {
            let version = record.held.as_ref()?.version;
            Some(Holding { owner: record.owner, version })
        })
    }

    /// Whether this owner has a place.
    pub(super) fn has_place(&self, owner: &PeerId) -> bool {
        self.find(owner).is_some()
    }

    /// Whether a store of this owner's would find a place.
    pub(super) fn has_room(&self, owner: &PeerId) -> bool {
        self.has_place(owner) || self.records.len() < self.max_owners.min(OWNERS)
    }

    /// Enters a stash that is kept already; false if there is no place.
    pub(super) fn adopt(&mut self, owner: &PeerId, manifest: Manifest) -> bool {
        let Some(record) = self.find_or_add(owner) else { return false };
        record.held = Some(manifest);
        true
    }

    /// Whether a chunk of this version may be written.
    pub(super) fn admit_chunk(&self, owner: &PeerId, version: u64, chunks: u32) -> Result<Admission, Refusal> {
        if chunks == 0 {
            return Err(Refusal::OutOfRange);
        }
        if chunks > self.max_chunks {
            return Err(Refusal::TooLarge { max_chunks: self.max_chunks });
        }
        if !self.has_room(owner) {
            return Err(Refusal::StorageLimit);
        }
        let Some(record) = self.find(owner) else { return Ok(Admission::Write { replaces: None }) };
        match &record.held {
            Some(held) if held.version > version => return Err(Refusal::OlderVersion { held: held.version }),
            Some(held) if held.version == version && held.chunks == chunks => return Ok(Admission::Kept),
            Some(held) if held.version == version => return Err(Refusal::VersionTaken),
            Some(_) | None => {}
        }
        match &record.upload {
            Some(upload) if upload.version > version => Err(Refusal::OlderVersion { held: upload.version }),
            Some(upload) if upload.version == version && upload.chunks != chunks => Err(Refusal::VersionTaken),
            Some(upload) if upload.version < version => Ok(Admission::Write { replaces: Some(upload.version) }),
            Some(_) | None => Ok(Admission::Write { replaces: None }),
        }
    }

    /// Whether this manifest may become the owner's stash, if all its chunks are there.
    pub(super) fn admit_commit(&self, owner: &PeerId, manifest: &Manifest) -> Result<Admission, Refusal> {
        match self.held(owner) {
            Some(held) if held == manifest => Ok(Admission::Kept),
            Some(held) if held.version == manifest.version => Err(Refusal::VersionTaken),
            Some(_) | None => self.admit_chunk(owner, manifest.version, manifest.chunks),
        }
    }

    /// Notes that a chunk of an upload was written.
    pub(super) fn uploading(&mut self, owner: &PeerId, version: u64, chunks: u32, now: Instant) {
        let expires_at = now.saturating_add(UPLOAD_PAUSE);
        if let Some(record) = self.find_or_add(owner) {
            record.upload = Some(Upload { version, chunks, expires_at });
        }
    }

    /// Whether the store is at work for this owner.
    pub(super) fn is_busy(&self, owner: &PeerId) -> bool {
        self.find(owner).is_some_and(|record| record.busy)
    }

    /// The store goes to work for this owner, who has a place from now on. An upload that this replaces, or ends, is
    /// forgotten.
    pub(super) fn work(&mut self, owner: &PeerId, forget_upload: bool) {
        if let Some(record) = self.find_or_add(owner) {
            record.busy = true;
            if forget_upload {
                record.upload = None;
            }
        }
    }

    /// The store is done; an owner of whom nothing is kept has no place any more.
    pub(super) fn rest(&mut self, owner: &PeerId) {
        if let Some(record) = self.find_mut(owner) {
            record.busy = false;
        }
        self.records.retain(|record| record.busy || record.held.is_some() || record.upload.is_some());
    }

    /// Notes that an upload became the owner's stash. A recovery of what it replaced is over.
    pub(super) fn committed(&mut self, owner: &PeerId, manifest: Manifest) {
        if let Some(record) = self.find_mut(owner) {
            record.held = Some(manifest);
            record.upload = None;
            record.recovery = None;
        }
    }

    /// Whether an upload of exactly this version and count is under way.
    pub(super) fn is_uploading(&self, owner: &PeerId, version: u64, chunks: u32) -> bool {
        let upload = self.find(owner).and_then(|record| record.upload.as_ref());
        upload.is_some_and(|upload| upload.version == version && upload.chunks == chunks)
    }

    /// Opens a recovery for an owner who is kept here: every chunk twice, and a few more, may be fetched.
    pub(super) fn open_recovery(&mut self, owner: &PeerId, source: SocketAddr, now: Instant) {
        if let Some(record) = self.find_mut(owner)
            && let Some(held) = &record.held
        {
            let left = held.chunks.saturating_mul(2).saturating_add(64);
            record.recovery = Some(Recovery { source, left, expires_at: now.saturating_add(RECOVERY) });
        }
    }

    /// Which of the wanted chunks may be sent, counted against the open recovery.
    pub(super) fn fetch(
        &mut self,
        owner: &PeerId,
        source: SocketAddr,
        (version, first, want): (u64, u32, u32),
        now: Instant,
    ) -> Result<u32, Refusal> {
        let record = self.find_mut(owner).ok_or(Refusal::NoRecovery)?;
        let held = record.held.as_ref().filter(|held| held.version == version).ok_or(Refusal::NoRecovery)?;
        let recovery = record.recovery.as_mut().filter(|open| open.source == source).ok_or(Refusal::NoRecovery)?;
        recovery.expires_at = recovery.expires_at.min(now.saturating_add(RECOVERY));
        if now >= recovery.expires_at {
            return Err(Refusal::NoRecovery);
        }
        let want = want & bits_below(held.chunks.saturating_sub(first));
        if want == 0 {
            return Err(Refusal::OutOfRange);
        }
        recovery.left = recovery.left.checked_sub(want.count_ones()).ok_or(Refusal::NoRecovery)?;
        Ok(want)
    }

    /// When the first upload loses its place. One that the store is at work on loses none.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let idle = self.records.iter().filter(|record| !record.busy);
        idle.filter_map(|record| Some(record.upload.as_ref()?.expires_at)).min()
    }

    /// An upload that has paused too long, if there is one.
    pub(super) fn expired_upload(&self, now: Instant) -> Option<(PeerId, u64)> {
        self.records.iter().filter(|record| !record.busy).find_map(|record| {
            let upload = record.upload.as_ref().filter(|upload| now >= upload.expires_at)?;
            Some((record.owner, upload.version))
        })
    }

    /// After a clock that stepped back: no upload outlives its pause.
    pub(super) fn clamp(&mut self, now: Instant) {
        let latest = now.saturating_add(UPLOAD_PAUSE);
        for upload in self.records.iter_mut().filter_map(|record| record.upload.as_mut()) {
            upload.expires_at = upload.expires_at.min(latest);
        }
    }

    fn find(&self, owner: &PeerId) -> Option<&Record> {
        self.records.iter().find(|record| record.owner == *owner)
    }

    fn find_mut(&mut self, owner: &PeerId) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.owner == *owner)
    }

    fn find_or_add(&mut self, owner: &PeerId) -> Option<&mut Record> {
        if self.find(owner).is_none() {
            if !self.has_room(owner) {
                return None;
            }
            let record = Record { owner: *owner, held: None, upload: None, recovery: None, busy: false };
            self.records.push(record).ok()?;
        }
        self.find_mut(owner)
    }
}
