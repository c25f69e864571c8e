//! Sealing a file and handing it to several confidants.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use stash_protocol::{Body, CHUNK_BYTES, Chunk, Manifest, Refusal, Sealed, Summary};
use steadfast::SystemRng;
use tokio::task::JoinSet;

use super::{AskError, Contact, Greeting, Link, Owner, PeerAddress};

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
    /// Too few confidants keep it: less than a majority of the copies that were wanted.
    TooFew {
        /// How many do.
        kept: usize,
        /// How many were wanted.
        wanted: usize,
        /// Who does not, and why.
        failed: Vec<(PeerAddress, AskError)>,
    },
    /// The file is longer than the protocol can tell.
    TooLong,
    /// The system has no randomness to give.
    NoEntropy,
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { kept, wanted, failed } => {
                write!(f, "{kept} of {wanted} confidants keep the file, which is too few")?;
                failed.iter().try_for_each(|(peer, error)| write!(f, "\n  {} {error}", peer.address))
            }
            Self::TooLong => f.write_str("the file is too long"),
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
    /// `progress` hears of each chunk that a confidant has, and how many there will be.
    ///
    /// # Errors
    ///
    /// [`PutError`]. An error does not mean that nobody keeps the new version, only that too few do.
    pub async fn put(
        &self,
        file: &[u8],
        peers: &[PeerAddress],
        copies: usize,
        progress: impl Fn(u64) + Clone + Send + Sync + 'static,
    ) -> Result<Stored, PutError> {
        let (mut greeted, mut failed) = self.greet(peers).await;
        let wanted = copies.min(peers.len()).max(1);
        let parcel = Arc::new(self.pack(file, next_version(&greeted))?);
        greeted.sort_by_key(|greeting| !greeting.room);
        let mut candidates = greeted.into_iter();
        let (mut uploads, mut kept_by) = (JoinSet::new(), Vec::new());
        loop {
            while uploads.len().saturating_add(kept_by.len()) < wanted {
                let Some(greeting) = candidates.next() else { break };
                let (link, parcel, progress) = (self.link.clone(), parcel.clone(), progress.clone());
                uploads.spawn(async move {
                    let result = upload(&link, greeting.contact, &parcel, &progress).await;
                    (greeting, result)
                });
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
        if kept.saturating_mul(2) <= wanted {
            return Err(PutError::TooFew { kept, wanted, failed });
        }
        Ok(Stored { version: parcel.manifest.version, kept_by, failed })
    }

    fn pack(&self, file: &[u8], version: u64) -> Result<Parcel, PutError> {
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

/// Hands a whole parcel to one confidant: all chunks, then the manifest, then what it says is missing.
async fn upload(
    link: &Arc<Link>,
    contact: Contact,
    parcel: &Arc<Parcel>,
    progress: &(impl Fn(u64) + Clone + Send + Sync + 'static),
) -> Result<(), AskError> {
    let mut missing: Vec<u32> = (0..parcel.manifest.chunks).collect();
    let commit = Body::Commit(parcel.manifest.clone());
    let mut last = AskError::Silent;
    for _ in 0..ROUNDS {
        send_chunks(link, contact, parcel, missing.into(), progress).await?;
        match link.ask(contact, &commit).await {
            Err(AskError::Refused(refusal @ Refusal::Incomplete { first, missing: bits })) => {
                missing =
                    (0..u32::BITS).filter(|bit| bits >> bit & 1 == 1).map(|bit| first.saturating_add(bit)).collect();
                last = AskError::Refused(refusal);
            }
            other => return other.map(|_| ()),
        }
    }
    Err(last)
}

/// Sends chunks, some at a time; each is acknowledged, or the confidant is given up.
async fn send_chunks(
    link: &Arc<Link>,
    contact: Contact,
    parcel: &Arc<Parcel>,
    indexes: Arc<[u32]>,
    progress: &(impl Fn(u64) + Clone + Send + Sync + 'static),
) -> Result<(), AskError> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..WINDOW.min(indexes.len()) {
        let (link, parcel, indexes) = (link.clone(), parcel.clone(), indexes.clone());
        let (next, progress) = (next.clone(), progress.clone());
        workers.spawn(async move {
            while let Some(&index) = indexes.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some(sealed) = parcel.chunks.get(index as usize).and_then(|sealed| Sealed::new(sealed)) else {
                    break;
                };
                let Manifest { version, chunks, .. } = parcel.manifest;
                link.ask(contact, &Body::Store(Chunk { version, chunks, index, sealed })).await?;
                progress(1);
            }
            Ok(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap_or(Err(AskError::Unexpected))?;
    }
    Ok(())
}
