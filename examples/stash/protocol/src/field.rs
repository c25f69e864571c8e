//! Fields that cannot hold what the protocol does not allow.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// What a peer calls itself: 1 to 32 bytes, no control characters. Not unique, and not a proof of anything.
///
/// ```
/// use stash_protocol::Name;
///
/// assert_eq!(Name::new("bob").map(|name| name.as_str()), Some("bob"));
/// assert_eq!(Name::new(""), None);
/// assert_eq!(Name::new("bob\nroot logged in"), None);
/// assert_eq!(Name::new("a name that is quite a bit too long"), None);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// The longest name, in bytes.
    pub const MAX: usize = 32;

    /// `text` as a name, if it is one.
    #[must_use]
    pub fn new(text: &'a str) -> Option<Self> {
        let fits = (1..=Self::MAX).contains(&text.len());
        (fits && !text.chars().any(char::is_control)).then_some(Self(text))
    }

    /// The text.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl Serialize for Name<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&'de str>::deserialize(deserializer)?;
        Self::new(text).ok_or_else(|| D::Error::custom("not a name"))
    }
}

/// A sealed chunk: nonce, ciphertext and tag, at most [`Sealed::MAX`] bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sealed<'a>(&'a [u8]);

impl<'a> Sealed<'a> {
    /// What sealing adds: 24 bytes of nonce and 16 of tag.
    pub const OVERHEAD: usize = 40;
    /// The most bytes in one chunk.
    pub const MAX: usize = 1_000;

    /// `bytes` as a sealed chunk, if their number is possible.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() >= Self::OVERHEAD && bytes.len() <= Self::MAX { Some(Self(bytes)) } else { None }
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl Serialize for Sealed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Sealed<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&'de [u8]>::deserialize(deserializer)?;
        Self::new(bytes).ok_or_else(|| D::Error::custom("not a sealed chunk"))
    }
}
