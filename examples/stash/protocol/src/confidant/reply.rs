//! What a confidant sends back.

use core::net::SocketAddr;

use super::{Confidant, Outcome};
use crate::{
    Body, Chunk, ChunkId, ChunkStore, Identity, Message, Name, PeerId, Sealed,
    wire::{self, Verified},
};

/// What is still to be sent in reply to one message: see [`Confidant::next_reply`].
#[derive(Clone, Debug)]
#[must_use = "a reply that is not sent makes the owner wait in vain"]
pub struct Reply {
    to: PeerId,
    source: SocketAddr,
    in_reply_to: u64,
    outcome: Outcome,
    pending: Pending,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pending {
    Nothing,
    One,
    Chunks { version: u64, first: u32, want: u32 },
}

impl Reply {
    pub(super) fn new(message: &Verified<'_>, source: SocketAddr, outcome: Outcome, pending: Pending) -> Self {
        Self { to: message.from, source, in_reply_to: message.id, outcome, pending }
    }

    /// What became of the message.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Where to send it.
    #[must_use]
    pub const fn destination(&self) -> SocketAddr {
        self.source
    }
}

impl<S: ChunkStore, const OWNERS: usize, const IDS: usize> Confidant<S, OWNERS, IDS> {
    /// Writes the next datagram of a reply into `buffer`; nothing once all of it was written.
    ///
    /// Send each to [`Reply::destination`]. `identity` is this confidant's own.
    pub fn next_reply<'b>(
        &mut self,
        reply: &mut Reply,
        identity: &Identity,
        buffer: &'b mut [u8; wire::MAX_DATAGRAM],
    ) -> Option<&'b [u8]> {
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        let cookie = self.cookies.bake(&reply.to, reply.source);
        let mut bytes = [0; Sealed::MAX];
        let body = match reply.pending {
            Pending::Nothing => return None,
            Pending::One => {
                reply.pending = Pending::Nothing;
                self.answer(&reply.to, reply.outcome)?
            }
            Pending::Chunks { .. } => Body::Chunk(self.next_chunk(reply, &mut bytes)?),
        };
        let (from, to, in_reply_to) = (identity.id(), Some(reply.to), Some(reply.in_reply_to));
        wire::seal(&Message { from, to, id, in_reply_to, cookie, body }, identity, buffer).ok()
    }

    fn answer(&self, owner: &PeerId, outcome: Outcome) -> Option<Body<'_>> {
        let held = self.ledger.held(owner);
        Some(match outcome {
            Outcome::Answered { .. } => {
                let elsewhere = self.hints.find(owner);
                Body::Response { manifest: held.cloned(), elsewhere }
            }
            Outcome::Committed { .. } | Outcome::Stored => Body::Ack,
            Outcome::Refused(refusal) => Body::Refused(refusal),
            Outcome::Welcomed => Body::Welcome {
                name: Name::new(&self.name)?,
                held: held.map(|manifest| manifest.version),
                room: self.ledger.has_room(owner),
            },
            Outcome::Duplicate | Outcome::Noted | Outcome::NotAQuestion | Outcome::Sending { .. } => return None,
        })
    }

    fn next_chunk<'b>(&mut self, reply: &mut Reply, bytes: &'b mut [u8; Sealed::MAX]) -> Option<Chunk<'b>> {
        let Pending::Chunks { version, first, want } = &mut reply.pending else { return None };
        let chunks = self.ledger.held(&reply.to).filter(|held| held.version == *version)?.chunks;
        while *want != 0 {
            let index = first.checked_add(want.trailing_zeros())?;
            *want &= want.wrapping_sub(1);
            // One that cannot be read is left out: the owner asks another confidant for it.
            if let Some(length) = self.store.get(&ChunkId { owner: reply.to, version: *version, index }, bytes) {
                return Some(Chunk { version: *version, chunks, index, sealed: Sealed::new(bytes.get(..length)?)? });
            }
        }
        None
    }
}
