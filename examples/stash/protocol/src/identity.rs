//! Who a peer is: its public key.

use core::{fmt, str::FromStr};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// A peer's name in the protocol: its ed25519 public key.
///
/// Nobody can sign under another's id, so an owner id needs no further check. `{:.8}` prints its first eight digits.
///
/// ```
/// use stash_protocol::{Identity, PeerId};
///
/// let alice = Identity::from_seed(&[7; 32]).id();
/// let text = format!("{alice}");
/// assert_eq!(text.len(), 64);
/// assert_eq!(text.parse::<PeerId>(), Ok(alice));
/// assert_eq!(format!("{alice:.8}"), text[..8]);
/// ```
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// The id with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The public key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` is this peer's signature of `signed`. Weak keys, for which anybody can sign, never verify.
    pub(crate) fn verifies(&self, signed: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .and_then(|key| key.verify_strict(signed, &Signature::from_bytes(signature)))
            .is_ok()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text: heapless::String<64> = heapless::String::new();
        for byte in self.0 {
            fmt::write(&mut text, format_args!("{byte:02x}"))?;
        }
        f.pad(&text)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self:.8})")
    }
}

/// A text is not a [`PeerId`]: it takes 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParsePeerIdError;

impl fmt::Display for ParsePeerIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a peer's id is 64 hexadecimal digits")
    }
}

impl core::error::Error for ParsePeerIdError {}

impl FromStr for PeerId {
    type Err = ParsePeerIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(ParsePeerIdError);
        }
        let mut bytes = [0; 32];
        for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(high).ok_or(ParsePeerIdError)? << 4 | digit(low).ok_or(ParsePeerIdError)?;
        }
        Ok(Self(bytes))
    }
}

fn digit(ascii: u8) -> Option<u8> {
    char::from(ascii).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A peer's signing key. It is wiped when dropped, and not in `Debug`.
pub struct Identity {
    key: SigningKey,
    id: PeerId,
}

impl Identity {
    /// The identity of a 32-byte seed: the ed25519 key of that seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let id = PeerId(key.verifying_key().to_bytes());
        Self { key, id }
    }

    /// The public half.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).to_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}
