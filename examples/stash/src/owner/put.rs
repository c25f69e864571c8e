//! Sealing a file and handing it to several confidants.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use stash_protocol::{Body, CHUNK_BYTES, Chunk, Manifest, Refusal, Sealed, Summary};
use steadfast::runtime::SystemRng;
use tokio::task::JoinSet;

use super::{AskError, Contact, Greeting, Link, Owner, PeerAddress, Reasons};
use crate::MAX_FILE;

/// How many chunks are on their way to one confidant at a time.
const WINDOW: usize = 24;

/// How often a commit may find chunks missing before the confidant is given up.
const ROUNDS: usize = 8;

/// What became of a store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// The version that the confidants keep now.
    pub version: u64,
    /// Who keeps it, durably.
    pub kept_by: Vec<Greeting>,
    /// Who does not, and why.
    pub failed: Vec<(PeerAddress, AskError)>,
}

/// Why a store failed. Whatever was stored before is still there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PutError {
    /// Too few confidants keep it.
    TooFew {
        /// How many do.
        kept: usize,
        /// How many were wanted.
        wanted: usize,
        /// How many it takes.
        needed: usize,
        /// Who does not, and why.
        failed: Vec<(PeerAddress, AskError)>,
    },
    /// The file is longer than [`MAX_FILE`].
    TooLong,
    /// The system has no randomness to give.
    NoEntropy,
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { kept, wanted, needed, failed } => {
                write!(f, "{kept} of {wanted} confidants keep the file, where it takes {needed}{}", Reasons(failed))
            }
            Self::TooLong => write!(f, "too long: a file has at most {MAX_FILE} bytes"),
            Self::NoEntropy => f.write_str("the system has no randomness to give"),
        }
    }
}

impl std::error::Error for PutError {}

/// A sealed file, ready to be handed out.
#[derive(Debug)]
struct Parcel {
    manifest: Manifest,
    chunks: Vec<Vec<u8>>,
}

impl Owner {
    /// Seals `file` and has `copies` of the `peers` keep it. When one fails, the next takes its place.
    ///
    /// It is stored once so many keep it that any majority of the `peers` has one of them, and any majority of the
    /// copies; so there may be more copies than asked for. `progress` hears how many chunks have arrived, and how many
    /// there will be.
    ///
    /// # Errors
    ///
    /// [`PutError`]. An error does not mean that nobody keeps the new version, only that too few do.
    pub async fn put(
        &self,
        file: &[u8],
        peers: &[PeerAddress],
        copies: usize,
        progress: impl Fn(u64, u64) + Send + Sync + 'static,
    ) -> Result<Stored, PutError> {
        let (mut greeted, mut failed) = self.greet(peers).await;
        let in_any_majority = peers.len().div_ceil(2);
        let wanted = copies.min(peers.len()).max(in_any_majority).max(1);
        let needed = (wanted / 2).saturating_add(1).max(in_any_majority);

        let parcel = Arc::new(self.pack(file, next_version(&greeted))?);
        let progress = Arc::new(Progress { arrived: AtomicU64::new(0), all: AtomicU64::new(0), tell: progress });
        greeted.sort_by_key(|greeting| !greeting.room);
        let mut candidates = greeted.into_iter();
        let (mut uploads, mut kept_by) = (JoinSet::new(), Vec::new());
        loop {
            while uploads.len().saturating_add(kept_by.len()) < wanted {
                let Some(greeting) = candidates.next() else { break };
                let upload = Upload {
                    link: self.link.clone(),
                    contact: greeting.contact,
                    parcel: parcel.clone(),
                    progress: progress.clone(),
                };
                uploads.spawn(async move { (greeting, upload.run().await) });
            }
            match uploads.join_next().await {
                None => break,
                Some(Ok((greeting, Ok(())))) => kept_by.push(greeting),
                Some(Ok((greeting, Err(error)))) => {
                    let Contact { address, id } = greeting.contact;
                    failed.push((PeerAddress { address, id: Some(id) }, error));
                }
                Some(Err(_panicked)) => {}
            }
        }
        let kept = kept_by.len();
        if kept < needed {
            return Err(PutError::TooFew { kept, wanted, needed, failed });
        }
        Ok(Stored { version: parcel.manifest.version, kept_by, failed })
    }

    fn pack(&self, file: &[u8], version: u64) -> Result<Parcel, PutError> {
        if file.len() > MAX_FILE {
            return Err(PutError::TooLong);
        }
        let summary = Summary::of(file);
        let count = summary.chunks().ok_or(PutError::TooLong)?;
        let mut pieces = file.chunks(CHUNK_BYTES);
        let mut chunks = Vec::with_capacity(count as usize);
        for index in 0..count {
            let plain = pieces.next().unwrap_or_default();
            let sealed = self.vault.seal_chunk((version, count, index), plain, &mut SystemRng);
            chunks.push(sealed.map_err(|_no_entropy| PutError::NoEntropy)?.to_vec());
        }
        let manifest = self.vault.seal_manifest(version, &summary, &mut SystemRng);
        Ok(Parcel { manifest: manifest.map_err(|_no_entropy| PutError::NoEntropy)?, chunks })
    }
}

/// The time in milliseconds, but above what most of the confidants say they keep.
///
/// The median of their claims: no liar among them can push it to the end of its range, or hold it back, unless it has
/// the majority.
fn next_version(greeted: &[Greeting]) -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let time = u64::try_from(time.as_millis()).unwrap_or(0);
    let mut held: Vec<u64> = greeted.iter().filter_map(|greeting| greeting.held).collect();
    held.sort_unstable();
    let middle = held.get(held.len() / 2).copied().unwrap_or(0);
    time.max(middle.saturating_add(1))
}

/// How many chunks have arrived, at all confidants together.
struct Progress<F> {
    arrived: AtomicU64,
    all: AtomicU64,
    tell: F,
}

impl<F: Fn(u64, u64)> Progress<F> {
    fn add(&self, arrived: u64, all: u64) {
        let arrived = self.arrived.fetch_add(arrived, Ordering::Relaxed).saturating_add(arrived);
        let all = self.all.fetch_add(all, Ordering::Relaxed).saturating_add(all);
        (self.tell)(arrived, all);
    }
}

/// One confidant's copy on its way.
struct Upload<F> {
    link: Arc<Link>,
    contact: Contact,
    parcel: Arc<Parcel>,
    progress: Arc<Progress<F>>,
}

impl<F> Clone for Upload<F> {
    fn clone(&self) -> Self {
        Self {
            link: self.link.clone(),
            contact: self.contact,
            parcel: self.parcel.clone(),
            progress: self.progress.clone(),
        }
    }
}

impl<F: Fn(u64, u64) + Send + Sync + 'static> Upload<F> {
    /// All chunks, then the manifest, then what the confidant says is missing.
    async fn run(self) -> Result<(), AskError> {
        let mut missing: Vec<u32> = (0..self.parcel.manifest.chunks).collect();
        let commit = Body::Commit(self.parcel.manifest.clone());
        let mut last = AskError::Silent;
        for _ in 0..ROUNDS {
            self.progress.add(0, missing.len() as u64);
            self.send_chunks(missing.into()).await?;
            match self.link.ask(self.contact, &commit).await {
                Err(AskError::Refused(refusal @ Refusal::Incomplete { first, missing: bits })) => {
                    let bits = (0..u32::BITS).filter(|bit| bits >> bit & 1 == 1);
                    missing = bits.map(|bit| first.saturating_add(bit)).collect();
                    last = AskError::Refused(refusal);
                }
                other => return other.map(|_| ()),
            }
        }
        Err(last)
    }

    /// Sends chunks, some at a time; each is acknowledged, or the confidant is given up.
    async fn send_chunks(&self, indexes: Arc<[u32]>) -> Result<(), AskError> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..WINDOW.min(indexes.len()) {
            let (upload, indexes, next) = (self.clone(), indexes.clone(), next.clone());
            workers.spawn(async move {
                while let Some(&index) = indexes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    upload.send_chunk(index).await?;
                }
                Ok(())
            });
        }
        while let Some(worker) = workers.join_next().await {
            worker.unwrap_or(Err(AskError::Unexpected))?;
        }
        Ok(())
    }

    async fn send_chunk(&self, index: u32) -> Result<(), AskError> {
        let Manifest { version, chunks, .. } = self.parcel.manifest;
        // An index that a confidant made up is nothing to send.
        if let Some(sealed) = self.parcel.chunks.get(index as usize).and_then(|sealed| Sealed::new(sealed)) {
            self.link.ask(self.contact, &Body::Store(Chunk { version, chunks, index, sealed })).await?;
        }
        self.progress.add(1, 0);
        Ok(())
    }
}
