//! What the owner alone can do: seal a file's chunks and open them again.

use heapless::Vec;
use rand_core::TryCryptoRng;
use sha2::{Digest, Sha256};
use steadfast_core::{
    Encryptor,
    encryptor::{Domain, EncryptorError},
};

use crate::{Chunk, Identity, Manifest, PeerId, Sealed};

/// The most plaintext in one chunk.
pub const CHUNK_BYTES: usize = 960;

/// What the manifest tells the owner of the file, and nobody else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Summary {
    /// How many bytes it has.
    pub length: u64,
    /// Its SHA-256.
    pub hash: [u8; 32],
}

impl Summary {
    /// The summary of a file.
    #[must_use]
    pub fn of(file: &[u8]) -> Self {
        Self { length: file.len() as u64, hash: Sha256::digest(file).into() }
    }

    /// How many chunks a file of this length makes: one at least. Nothing if it is too long for this protocol.
    #[must_use]
    pub fn chunks(&self) -> Option<u32> {
        u32::try_from(self.length.div_ceil(CHUNK_BYTES as u64).max(1)).ok()
    }
}

/// Seals what is given away, with a key that is derived from the owner's seed.
///
/// Owner, version, count and index of a chunk are bound to it as associated data: it opens in its own place only, so
/// that a confidant can neither offer an older version's chunk nor swap two.
///
/// ```
/// use stash_protocol::{Chunk, Sealed, Vault};
/// # struct Counter(u8); // stands for the system's randomness
/// # impl rand_core::TryRng for Counter {
/// #     type Error = core::convert::Infallible;
/// #     fn try_next_u32(&mut self) -> Result<u32, Self::Error> { Ok(rand_core::Rng::next_u64(self) as u32) }
/// #     fn try_next_u64(&mut self) -> Result<u64, Self::Error> { self.0 += 1; Ok(self.0.into()) }
/// #     fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Self::Error> { to.fill(self.0); Ok(()) }
/// # }
/// # impl rand_core::TryCryptoRng for Counter {}
/// # let mut rng = Counter(0);
///
/// let vault = Vault::from_seed(&[7; 32]);
/// let sealed = vault.seal_chunk((3, 1, 0), b"secret", &mut rng)?;
/// let chunk = Chunk { version: 3, chunks: 1, index: 0, sealed: Sealed::new(&sealed).unwrap() };
/// assert_eq!(vault.open_chunk(&chunk).as_deref(), Some(b"secret".as_slice()));
///
/// assert_eq!(vault.open_chunk(&Chunk { version: 4, ..chunk }), None);
/// assert_eq!(Vault::from_seed(&[8; 32]).open_chunk(&chunk), None);
/// # Ok::<(), steadfast_core::encryptor::EncryptorError>(())
/// ```
#[derive(Debug)]
pub struct Vault {
    owner: PeerId,
    encryptor: Encryptor,
}

impl Vault {
    /// The vault of a 32-byte seed, the same one that makes the owner's [`Identity`].
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { owner: Identity::from_seed(seed).id(), encryptor: Encryptor::from_seed(seed, Domain::STASH) }
    }

    /// Seals the chunk with this version, count and index.
    ///
    /// # Errors
    ///
    /// `Capacity` for more than [`CHUNK_BYTES`]; `Rng`.
    pub fn seal_chunk<R: TryCryptoRng + ?Sized>(
        &self,
        (version, chunks, index): (u64, u32, u32),
        plain: &[u8],
        rng: &mut R,
    ) -> Result<Vec<u8, { Sealed::MAX }>, EncryptorError> {
        self.encryptor.seal(plain, &self.bound(*b"chunk\0\0\0", version, chunks, index), rng)
    }

    /// Opens a chunk; nothing if it is not what was sealed in this place.
    #[must_use]
    pub fn open_chunk(&self, chunk: &Chunk<'_>) -> Option<Vec<u8, CHUNK_BYTES>> {
        let &Chunk { version, chunks, index, sealed } = chunk;
        self.encryptor.open(sealed.as_bytes(), &self.bound(*b"chunk\0\0\0", version, chunks, index)).ok()
    }

    /// The manifest of a file.
    ///
    /// # Errors
    ///
    /// `Capacity` if the file is too long; `Rng`.
    pub fn seal_manifest<R: TryCryptoRng + ?Sized>(
        &self,
        version: u64,
        summary: &Summary,
        rng: &mut R,
    ) -> Result<Manifest, EncryptorError> {
        let chunks = summary.chunks().ok_or(EncryptorError::Capacity)?;
        let plain: [u8; 40] = join(summary.length.to_le_bytes().into_iter().chain(summary.hash));
        let sealed = self.encryptor.seal(&plain, &self.bound(*b"manifest", version, chunks, 0), rng)?;
        Ok(Manifest { version, chunks, sealed })
    }

    /// Opens a manifest; nothing if this owner did not seal it for this version and count.
    #[must_use]
    pub fn open_manifest(&self, manifest: &Manifest) -> Option<Summary> {
        let bound = self.bound(*b"manifest", manifest.version, manifest.chunks, 0);
        let plain = self.encryptor.open::<40>(&manifest.sealed, &bound).ok()?;
        let (length, hash) = plain.split_first_chunk()?;
        let summary = Summary { length: u64::from_le_bytes(*length), hash: hash.try_into().ok()? };
        (summary.chunks() == Some(manifest.chunks)).then_some(summary)
    }

    /// The associated data. Each field has its fixed place, so that no two kinds or places have the same.
    fn bound(&self, kind: [u8; 8], version: u64, chunks: u32, index: u32) -> [u8; 56] {
        let numbers = version.to_le_bytes().into_iter().chain(chunks.to_le_bytes()).chain(index.to_le_bytes());
        join(kind.into_iter().chain(*self.owner.as_bytes()).chain(numbers))
    }
}

fn join<const N: usize>(bytes: impl Iterator<Item = u8>) -> [u8; N] {
    let mut joined = [0; N];
    joined.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    joined
}
