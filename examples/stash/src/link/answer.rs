//! Who is asked, what is answered, and why there may be no answer.

use std::{fmt, net::SocketAddr, str::FromStr};

use stash_protocol::{Manifest, PeerId, Refusal};

/// Where a peer is, and whose key is expected there if that is known: `ADDRESS` or `KEY@ADDRESS`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PeerAddress {
    /// Where.
    pub address: SocketAddr,
    /// Who; any peer if there is none.
    pub id: Option<PeerId>,
}

impl FromStr for PeerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, address) = match text.split_once('@') {
            Some((id, address)) => (Some(id.parse().map_err(|error| format!("{id}: {error}"))?), address),
            None => (None, text),
        };
        let address = address
            .parse()
            .map_err(|error| format!("{error}: {address:?} is not like 127.0.0.1:7001 or [::1]:7001"))?;
        Ok(Self { address, id })
    }
}

/// A peer that has answered.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Contact {
    /// Where it is.
    pub address: SocketAddr,
    /// Its key, which signs all its answers.
    pub id: PeerId,
}

/// What a confidant said of itself when it was greeted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Greeting {
    /// Who and where it is.
    pub contact: Contact,
    /// What it calls itself.
    pub name: String,
    /// The version that it says it keeps for us.
    pub held: Option<u64>,
    /// Whether it would take a store of ours.
    pub room: bool,
}

/// An answer, free of the datagram that it came in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Done.
    Ack,
    /// All chunks of a fetch have come.
    Fetched,
    /// No, and why.
    Refused(Refusal),
    /// What is kept here, and where else to ask.
    Response(Option<Manifest>, Vec<SocketAddr>),
    /// The answer to a greeting.
    Welcome {
        /// What the peer calls itself.
        name: String,
        /// The version that it says it keeps for us.
        held: Option<u64>,
        /// Whether it would take a store of ours.
        room: bool,
    },
}

/// Why a question has no useful answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AskError {
    /// This peer has failed so often that it is left alone for now.
    Dead,
    /// Another key than the expected one answers at this address.
    ForeignKey(PeerId),
    /// It is the same peer as another one that was named.
    NamedTwice,
    /// The system could not send.
    Network(String),
    /// The peer said no.
    Refused(Refusal),
    /// No answer came in time.
    Silent,
    /// It answered another question than the one that was asked.
    Unexpected,
}

impl AskError {
    /// Whether to ask the same peer again soon.
    pub(super) const fn is_transient(&self) -> bool {
        match self {
            Self::Silent | Self::Network(_) => true,
            Self::Refused(refusal) => matches!(refusal, Refusal::Busy | Refusal::StorageFailed | Refusal::Unproven),
            Self::Dead | Self::ForeignKey(_) | Self::NamedTwice | Self::Unexpected => false,
        }
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dead => f.write_str("does not answer, left alone for now"),
            Self::ForeignKey(id) => write!(f, "answers with another key: {id}"),
            Self::NamedTwice => f.write_str("is a peer that was named already"),
            Self::Network(error) => write!(f, "cannot be sent to: {error}"),
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
            Self::Silent => f.write_str("does not answer"),
            Self::Unexpected => f.write_str("gave an answer to another question"),
        }
    }
}

impl std::error::Error for AskError {}
