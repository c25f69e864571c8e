//! What a confidant sends back.

use core::{mem, net::SocketAddr};

use heapless::{String, Vec};

use super::{Confidant, Outcome};
use crate::{
    Body, Chunk, ChunkId, ChunkStore, FETCH_CHUNKS, Identity, Manifest, Message, Name, PeerId, Refusal, Sealed, wire,
};

/// What is still to be sent in reply to one message: see [`Confidant::next_reply`].
#[derive(Clone, Debug)]
#[must_use = "a reply that is not sent makes the owner wait in vain"]
pub struct Reply {
    to: PeerId,
    source: SocketAddr,
    in_reply_to: u64,
    /// Of the next datagram.
    id: u64,
    cookie: u64,
    outcome: Outcome,
    pending: Pending,
}

#[derive(Clone, Debug)]
enum Pending {
    Ack,
    Chunks { version: u64, chunks: u32, first: u32, want: u32 },
    Nothing,
    Refused(Refusal),
    Response { manifest: Option<Manifest>, elsewhere: Vec<SocketAddr, 4> },
    Welcome { name: String<{ Name::MAX }>, held: Option<u64>, room: bool },
}

impl Reply {
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

    /// Whether [`next`](Self::next) reads chunks from the store, which may take its time.
    #[must_use]
    pub const fn reads_store(&self) -> bool {
        matches!(self.pending, Pending::Chunks { .. })
    }

    /// Writes the next datagram into `buffer`; nothing once all of it was written. It needs the store for chunks alone,
    /// and the confidant not at all, so that nobody has to wait for a signature or a disk.
    ///
    /// Send each to [`destination`](Self::destination). `identity` is the confidant's own.
    pub fn next<'b>(
        &mut self,
        store: &mut (impl ChunkStore + ?Sized),
        identity: &Identity,
        buffer: &'b mut [u8; wire::MAX_DATAGRAM],
    ) -> Option<&'b [u8]> {
        let mut bytes = [0; Sealed::MAX];
        if self.reads_store() {
            let body = Body::Chunk(self.next_chunk(store, &mut bytes)?);
            return self.seal(body, identity, buffer);
        }
        match mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing | Pending::Chunks { .. } => None,
            Pending::Ack => self.seal(Body::Ack, identity, buffer),
            Pending::Refused(refusal) => self.seal(Body::Refused(refusal), identity, buffer),
            Pending::Response { manifest, elsewhere } => {
                self.seal(Body::Response { manifest, elsewhere }, identity, buffer)
            }
            Pending::Welcome { name, held, room } => {
                self.seal(Body::Welcome { name: Name::new(&name)?, held, room }, identity, buffer)
            }
        }
    }

    fn seal<'b>(
        &mut self,
        body: Body<'_>,
        identity: &Identity,
        buffer: &'b mut [u8; wire::MAX_DATAGRAM],
    ) -> Option<&'b [u8]> {
        let Self { to, in_reply_to, id, cookie, .. } = *self;
        self.id = id.wrapping_add(1);
        let (from, to, in_reply_to) = (identity.id(), Some(to), Some(in_reply_to));
        wire::seal(&Message { from, to, id, in_reply_to, cookie, body }, identity, buffer).ok()
    }

    fn next_chunk<'b>(
        &mut self,
        store: &mut (impl ChunkStore + ?Sized),
        bytes: &'b mut [u8; Sealed::MAX],
    ) -> Option<Chunk<'b>> {
        let Pending::Chunks { version, chunks, first, want } = &mut self.pending else { return None };
        while *want != 0 {
            let index = first.checked_add(want.trailing_zeros())?;
            *want &= want.wrapping_sub(1);
            // One that cannot be read is left out: the owner asks another confidant for it.
            if let Some(length) = store.get(&ChunkId { owner: self.to, version: *version, index }, bytes) {
                return Some(Chunk {
                    version: *version,
                    chunks: *chunks,
                    index,
                    sealed: Sealed::new(bytes.get(..length)?)?,
                });
            }
        }
        None
    }
}

impl<S: ChunkStore, const OWNERS: usize, const IDS: usize> Confidant<S, OWNERS, IDS> {
    /// Writes the next datagram of a reply into `buffer`; nothing once all of it was written: [`Reply::next`] from this
    /// confidant's own store.
    pub fn next_reply<'b>(
        &mut self,
        reply: &mut Reply,
        identity: &Identity,
        buffer: &'b mut [u8; wire::MAX_DATAGRAM],
    ) -> Option<&'b [u8]> {
        reply.next(&mut self.store, identity, buffer)
    }

    /// Decides what to send back, and counts the message.
    pub(super) fn reply(&mut self, message: &Message<'_>, source: SocketAddr, outcome: Outcome) -> Reply {
        self.stats.count(outcome);
        let id = self.next_id;
        self.next_id = id.wrapping_add(FETCH_CHUNKS.into()); // no reply has more datagrams
        let cookie = self.cookies.bake(&message.from, source);
        let pending = self.pending(message, outcome);
        Reply { to: message.from, source, in_reply_to: message.id, id, cookie, outcome, pending }
    }

    fn pending(&self, message: &Message<'_>, outcome: Outcome) -> Pending {
        let held = self.ledger.held(&message.from);
        match (outcome, &message.body) {
            (Outcome::Answered { .. }, _) => {
                Pending::Response { manifest: held.cloned(), elsewhere: self.hints.find(&message.from) }
            }
            (Outcome::Committed { .. } | Outcome::Stored, _) => Pending::Ack,
            (Outcome::Refused(refusal), _) => Pending::Refused(refusal),
            (Outcome::Sending { .. }, &Body::Fetch { version, first, want }) => {
                let chunks = held.map_or(0, |held| held.chunks);
                Pending::Chunks { version, chunks, first, want: want & bits_below(chunks.saturating_sub(first)) }
            }
            (Outcome::Welcomed, _) => Pending::Welcome {
                name: self.name.clone(),
                held: held.map(|manifest| manifest.version),
                room: self.ledger.has_room(&message.from),
            },
            (Outcome::Duplicate | Outcome::Noted | Outcome::NotAQuestion | Outcome::Sending { .. }, _) => {
                Pending::Nothing
            }
        }
    }
}

/// A bit for each of the next `many` chunks, if they are so many.
pub(super) fn bits_below(many: u32) -> u32 {
    match many {
        0 => 0,
        many => u32::MAX.checked_shr(u32::BITS.saturating_sub(many)).unwrap_or(0),
    }
}
