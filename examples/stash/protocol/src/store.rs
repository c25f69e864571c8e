//! Where a confidant keeps the bytes.

use core::fmt;

use crate::{FETCH_CHUNKS, Manifest, PeerId, Sealed};

/// Names one chunk in a [`ChunkStore`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChunkId {
    /// Whose it is.
    pub owner: PeerId,
    /// Of which version.
    pub version: u64,
    /// Which one, from 0.
    pub index: u32,
}

/// A medium that keeps sealed chunks and manifests: files, flash, an array.
///
/// The confidant decides what may be stored; the store only stores. Chunks of an upload need not be durable, a commit
/// must be. After a restart the owner of both tells the confidant what was committed
/// ([`Confidant::adopt`](crate::Confidant::adopt)) and drops the rest.
pub trait ChunkStore {
    /// Keeps a chunk of an upload; one with the same id is replaced.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the chunk is not there, all others are as before.
    fn put(&mut self, id: &ChunkId, sealed: Sealed<'_>) -> Result<(), StoreError>;

    /// Reads a chunk into `buffer` and tells its length; nothing if it is not there or cannot be read.
    fn get(&mut self, id: &ChunkId, buffer: &mut [u8; Sealed::MAX]) -> Option<usize>;

    /// Whether a chunk is there.
    fn holds(&mut self, id: &ChunkId) -> bool;

    /// Which of the `chunks` of an upload are not there: the index of the first, and bit `i` for chunk `first + i`. Nothing
    /// if all are there.
    ///
    /// Each commit asks this first, whoever sends it and however often. So it must cost little for any number of chunks,
    /// and must not wait for the medium; what is given here is O(`chunks`) calls of [`holds`](Self::holds), for stores
    /// of a few.
    fn missing(&mut self, owner: &PeerId, version: u64, chunks: u32) -> Option<(u32, u32)> {
        let mut is_missing = |index: &u32| !self.holds(&ChunkId { owner: *owner, version, index: *index });
        let first = (0..chunks).find(&mut is_missing)?;
        let window = first..chunks.min(first.saturating_add(FETCH_CHUNKS));
        let bits = window.zip(0..).fold(0, |bits, (index, bit)| bits | u32::from(is_missing(&index)) << bit);
        Some((first, bits))
    }

    /// Makes an upload the owner's stash and drops the owner's other versions. Durable when it returns: after a loss of
    /// power either this version is there as a whole or the one before it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the version before is as it was, and the upload is still one, to be committed later or discarded.
    fn commit(&mut self, owner: &PeerId, manifest: &Manifest) -> Result<(), StoreError>;

    /// Drops the chunks of an upload that will not be committed.
    fn discard(&mut self, owner: &PeerId, version: u64);
}

/// A store that lives elsewhere, such as a large array in a `static`.
impl<S: ChunkStore + ?Sized> ChunkStore for &mut S {
    fn put(&mut self, id: &ChunkId, sealed: Sealed<'_>) -> Result<(), StoreError> {
        (**self).put(id, sealed)
    }

    fn get(&mut self, id: &ChunkId, buffer: &mut [u8; Sealed::MAX]) -> Option<usize> {
        (**self).get(id, buffer)
    }

    fn holds(&mut self, id: &ChunkId) -> bool {
        (**self).holds(id)
    }

    fn missing(&mut self, owner: &PeerId, version: u64, chunks: u32) -> Option<(u32, u32)> {
        (**self).missing(owner, version, chunks)
    }

    fn commit(&mut self, owner: &PeerId, manifest: &Manifest) -> Result<(), StoreError> {
        (**self).commit(owner, manifest)
    }

    fn discard(&mut self, owner: &PeerId, version: u64) {
        (**self).discard(owner, version);
    }
}

/// The medium failed, or is full.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StoreError;

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("storage failed")
    }
}

impl core::error::Error for StoreError {}

/// A [`ChunkStore`] in an array: `CHUNKS` places shared by all owners. Nothing survives a restart.
///
/// An update needs places for both versions until it is committed. Each call is O(`CHUNKS`).
#[derive(Debug)]
pub struct MemoryStore<const CHUNKS: usize> {
    places: [Option<Place>; CHUNKS],
}

#[derive(Debug)]
struct Place {
    id: ChunkId,
    sealed: heapless::Vec<u8, { Sealed::MAX }>,
}

impl<const CHUNKS: usize> MemoryStore<CHUNKS> {
    /// An empty store.
    #[must_use]
    pub const fn new() -> Self {
        Self { places: [const { None }; CHUNKS] }
    }

    fn find(&self, id: &ChunkId) -> Option<&Place> {
        self.places.iter().flatten().find(|place| place.id == *id)
    }

    fn drop_where(&mut self, unwanted: impl Fn(&ChunkId) -> bool) {
        for place in &mut self.places {
            if place.as_ref().is_some_and(|place| unwanted(&place.id)) {
                *place = None;
            }
        }
    }
}

impl<const CHUNKS: usize> Default for MemoryStore<CHUNKS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const CHUNKS: usize> ChunkStore for MemoryStore<CHUNKS> {
    fn put(&mut self, id: &ChunkId, sealed: Sealed<'_>) -> Result<(), StoreError> {
        let same = |place: &Option<Place>| place.as_ref().is_some_and(|place| place.id == *id);
        let found = self.places.iter().position(same).or_else(|| self.places.iter().position(Option::is_none));
        let place = found.and_then(|at| self.places.get_mut(at)).ok_or(StoreError)?;
        let mut copy = heapless::Vec::new();
        let Ok(()) = copy.extend_from_slice(sealed.as_bytes()) else { return Err(StoreError) };
        *place = Some(Place { id: *id, sealed: copy });
        Ok(())
    }

    fn get(&mut self, id: &ChunkId, buffer: &mut [u8; Sealed::MAX]) -> Option<usize> {
        let place = self.find(id)?;
        buffer.get_mut(..place.sealed.len())?.copy_from_slice(&place.sealed);
        Some(place.sealed.len())
    }

    fn holds(&mut self, id: &ChunkId) -> bool {
        self.find(id).is_some()
    }

    fn commit(&mut self, owner: &PeerId, manifest: &Manifest) -> Result<(), StoreError> {
        self.drop_where(|id| id.owner == *owner && id.version != manifest.version);
        Ok(())
    }

    fn discard(&mut self, owner: &PeerId, version: u64) {
        self.drop_where(|id| id.owner == *owner && id.version == version);
    }
}
