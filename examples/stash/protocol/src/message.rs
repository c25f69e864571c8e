//! What peers say to each other.

use core::{fmt, net::SocketAddr};

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::{Name, PeerId, Sealed};

/// The most chunks that one [`Body::Fetch`] can ask for: one for each bit of its `want`.
pub const FETCH_CHUNKS: u32 = u32::BITS;

/// One message, as a datagram carries it.
///
/// The signature covers every field: who speaks, to whom, which message it is and which one it replies to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Message<'a> {
    /// The sender, whose key signs it.
    pub from: PeerId,
    /// The receiver; nobody in particular only for [`Body::Refresh`], which greets an unknown peer.
    pub to: Option<PeerId>,
    /// Never used twice by one sender. A repeat is a duplicate.
    #[serde(with = "postcard::fixint::le")]
    pub id: u64,
    /// The `id` of the message that this one replies to.
    pub in_reply_to: Option<u64>,
    /// In a question: the cookie that the receiver gave to this address, 0 if none yet. In a confidant's reply: the
    /// cookie to use from now on.
    #[serde(with = "postcard::fixint::le")]
    pub cookie: u64,
    /// What is said.
    #[serde(borrow)]
    pub body: Body<'a>,
}

/// What a [`Message`] says.
#[expect(clippy::large_enum_variant, reason = "there is no heap to box it on, and one message lives at a time")]
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Body<'a> {
    /// "I am here. Who are you, and do you keep my stash?" Answered with `Welcome`.
    Refresh {
        /// What the sender calls itself.
        #[serde(borrow)]
        name: Name<'a>,
    },
    /// The answer to `Refresh`, and with it a cookie.
    Welcome {
        /// What the confidant calls itself.
        #[serde(borrow)]
        name: Name<'a>,
        /// The version that it keeps for the asker.
        held: Option<u64>,
        /// Whether it would take a store of the asker's.
        room: bool,
    },
    /// One chunk of an upload. Answered with `Ack` or `Refused`.
    Store(#[serde(borrow)] Chunk<'a>),
    /// The end of an upload: from here on this is the owner's stash. Answered with `Ack`, once it is durable, or `Refused`.
    Commit(Manifest),
    /// The answer to `Store` and `Commit`: done.
    Ack,
    /// "What do you keep for me?" Answered with `Response` or `Refused`; opens a recovery.
    Request,
    /// The answer to `Request`.
    Response {
        /// What is kept; nothing if the owner is unknown here.
        manifest: Option<Manifest>,
        /// Other peers that said they keep something for this owner. Hearsay: any of them may be wrong.
        elsewhere: Vec<SocketAddr, 4>,
    },
    /// "Send me these chunks." Answered with a `Chunk` for each that is there, or `Refused`.
    Fetch {
        /// Of which version.
        version: u64,
        /// The index that bit 0 of `want` stands for.
        first: u32,
        /// Bit `i` asks for chunk `first + i`.
        want: u32,
    },
    /// A part of the answer to `Fetch`.
    Chunk(#[serde(borrow)] Chunk<'a>),
    /// The answer "no" to any question.
    Refused(Refusal),
    /// "I keep these stashes." Not answered.
    Holding(Vec<Holding, 16>),
}

impl Body<'_> {
    /// Whether this kind only makes sense as a reply.
    #[must_use]
    pub const fn is_reply(&self) -> bool {
        match self {
            Self::Welcome { .. } | Self::Ack | Self::Response { .. } | Self::Chunk(_) | Self::Refused(_) => true,
            Self::Refresh { .. }
            | Self::Store(_)
            | Self::Commit(_)
            | Self::Request
            | Self::Fetch { .. }
            | Self::Holding(_) => false,
        }
    }

    /// Whether this kind may be sent to a peer whose id is not known.
    #[must_use]
    pub const fn may_greet(&self) -> bool {
        matches!(self, Self::Refresh { .. })
    }
}

/// One sealed piece of a file.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Chunk<'a> {
    /// The version of the file that it belongs to.
    pub version: u64,
    /// How many chunks that version has.
    pub chunks: u32,
    /// Which of them this is, from 0.
    pub index: u32,
    /// Nonce, ciphertext and tag.
    #[serde(borrow)]
    pub sealed: Sealed<'a>,
}

/// What is known of a stash as a whole: enough in clear for a confidant to count, the rest for the owner alone.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Manifest {
    /// Grows with each store of the owner's.
    pub version: u64,
    /// How many chunks there are, at least 1.
    pub chunks: u32,
    /// Length and hash of the file, sealed by the owner.
    pub sealed: Vec<u8, SEALED_MANIFEST>,
}

/// Length of [`Manifest::sealed`]: 8 bytes of length, 32 of hash, 24 of nonce, 16 of tag.
pub const SEALED_MANIFEST: usize = 80;

/// One stash that a peer says it keeps.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Holding {
    /// Whose it is.
    pub owner: PeerId,
    /// Which version.
    pub version: u64,
}

/// Why a confidant said no. Nothing that it keeps has changed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Refusal {
    /// Too much is going on to remember this message. Later it may pass.
    Busy,
    /// A commit came before all of its chunks. Send these, then commit again.
    Incomplete {
        /// The index that bit 0 of `missing` stands for.
        first: u32,
        /// Bit `i` stands for chunk `first + i`. Chunks behind these 32 may be missing too.
        missing: u32,
    },
    /// A `Fetch` outside a recovery, or beyond what one recovery may fetch. Send a `Request` first.
    NoRecovery,
    /// A newer version is kept, or on its way.
    OlderVersion {
        /// That version.
        held: u64,
    },
    /// The chunk's index is not below its count, or a count is 0.
    OutOfRange,
    /// Too many requests within the last minute.
    RateLimited {
        /// How long to wait.
        retry_after_millis: u32,
    },
    /// As many owners as this confidant takes.
    StorageLimit,
    /// The medium failed, or is full.
    StorageFailed,
    /// More chunks than this confidant takes from one owner.
    TooLarge {
        /// The most it takes.
        max_chunks: u32,
    },
    /// The cookie is missing or too old. Send the message again with the one that comes with this reply.
    Unproven,
    /// The same version with other content is kept, or on its way.
    VersionTaken,
}

impl Refusal {
    /// Whether the same message may pass later, or after what the reason asks for.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Busy
            | Self::Incomplete { .. }
            | Self::NoRecovery
            | Self::RateLimited { .. }
            | Self::StorageFailed
            | Self::Unproven => true,
            Self::OlderVersion { .. }
            | Self::OutOfRange
            | Self::StorageLimit
            | Self::TooLarge { .. }
            | Self::VersionTaken => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too busy"),
            Self::Incomplete { missing, .. } => write!(f, "{} chunks or more are missing", missing.count_ones()),
            Self::NoRecovery => f.write_str("no recovery is open"),
            Self::OlderVersion { held } => write!(f, "version {held} is newer"),
            Self::OutOfRange => f.write_str("the chunk's index is out of range"),
            Self::RateLimited { retry_after_millis } => {
                write!(f, "too many requests, try again in {retry_after_millis} ms")
            }
            Self::StorageLimit => f.write_str("storage limit reached"),
            Self::StorageFailed => f.write_str("storage failed"),
            Self::TooLarge { max_chunks } => write!(f, "stash too large: {max_chunks} chunks at most"),
            Self::Unproven => f.write_str("the address is not proven yet"),
            Self::VersionTaken => f.write_str("this version is taken"),
        }
    }
}
