//! A confidant, its medium and its peers.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use stash_protocol::{
    Body, Capacity, Chunk, ChunkId, ChunkStore, Confidant, Identity, Manifest, Message, Name, Outcome, PeerId, Refusal,
    RunSecret, Sealed, Settings, StoreError,
    wire::{self, MAX_DATAGRAM},
};
use steadfast_core::Instant;

pub(crate) const SEALED: [u8; 50] = [9; 50];

/// A store that can be told to fail.
#[derive(Default)]
pub(crate) struct Medium {
    pub(crate) chunks: HashMap<(PeerId, u64, u32), Vec<u8>>,
    pub(crate) fails: bool,
}

impl ChunkStore for Medium {
    fn put(&mut self, id: &ChunkId, sealed: Sealed<'_>) -> Result<(), StoreError> {
        if self.fails {
            return Err(StoreError);
        }
        self.chunks.insert((id.owner, id.version, id.index), sealed.as_bytes().to_vec());
        Ok(())
    }

    fn get(&mut self, id: &ChunkId, buffer: &mut [u8; Sealed::MAX]) -> Option<usize> {
        let bytes = self.chunks.get(&(id.owner, id.version, id.index))?;
        buffer[..bytes.len()].copy_from_slice(bytes);
        Some(bytes.len())
    }

    fn holds(&mut self, id: &ChunkId) -> bool {
        self.chunks.contains_key(&(id.owner, id.version, id.index))
    }

    fn commit(&mut self, owner: &PeerId, manifest: &Manifest) -> Result<(), StoreError> {
        if self.fails {
            return Err(StoreError);
        }
        self.chunks.retain(|(of, version, _), _| of != owner || *version == manifest.version);
        Ok(())
    }

    fn discard(&mut self, owner: &PeerId, version: u64) {
        self.chunks.retain(|(of, this, _), _| of != owner || *this != version);
    }
}

/// Bob, who keeps; and the others, each at an address of its own.
pub(crate) struct World {
    pub(crate) bob: Identity,
    pub(crate) confidant: Confidant<Medium, 50, 256>,
    pub(crate) now: Instant,
    pub(crate) next_id: u64,
    pub(crate) cookies: HashMap<PeerId, u64>,
}

/// One reply, without its borrow.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Ack,
    Chunk(u32),
    Refused(Refusal),
    Response(Option<u64>, Vec<SocketAddr>),
    Welcome(Option<u64>, bool),
}

pub(crate) fn address(peer: &Identity) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1_000 + u16::from(peer.id().as_bytes()[0])))
}

pub(crate) fn peer(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32])
}

pub(crate) fn manifest(version: u64, chunks: u32) -> Manifest {
    Manifest { version, chunks, sealed: [1; 80].into_iter().collect() }
}

pub(crate) fn chunk(version: u64, chunks: u32, index: u32) -> Chunk<'static> {
    Chunk { version, chunks, index, sealed: Sealed::new(&SEALED).unwrap() }
}

impl World {
    pub(crate) fn new(capacity: Capacity) -> Self {
        let settings = Settings { capacity, max_chunks: 100 };
        let store = Medium::default();
        let secret = RunSecret::new([5; 40]);
        Self {
            bob: peer(200),
            confidant: Confidant::new(Name::new("bob").unwrap(), settings, store, &secret),
            now: Instant::from_secs(1_000),
            next_id: 0,
            cookies: HashMap::new(),
        }
    }

    pub(crate) fn seal(&mut self, from: &Identity, body: Body<'_>) -> Vec<u8> {
        self.next_id += 1;
        let (id, cookie) = (self.next_id, self.cookies.get(&from.id()).copied().unwrap_or(0));
        let message = Message { from: from.id(), to: Some(self.bob.id()), id, in_reply_to: None, cookie, body };
        wire::seal(&message, from, &mut [0; MAX_DATAGRAM]).unwrap().to_vec()
    }

    pub(crate) fn deliver(&mut self, datagram: &[u8], to: &Identity, source: SocketAddr) -> (Outcome, Vec<Answer>) {
        let verified = wire::open(datagram, &self.bob.id()).unwrap();
        let mut reply = self.confidant.handle(&verified, source, self.now);
        let mut answers = Vec::new();
        let mut buffer = [0; MAX_DATAGRAM];
        while let Some(datagram) = self.confidant.next_reply(&mut reply, &self.bob, &mut buffer) {
            let message = wire::open(datagram, &to.id()).unwrap();
            assert_eq!(message.in_reply_to, Some(verified.id));
            self.cookies.insert(to.id(), message.cookie);
            answers.push(match &message.body {
                Body::Ack => Answer::Ack,
                Body::Chunk(chunk) => {
                    assert_eq!(chunk.sealed.as_bytes(), SEALED);
                    Answer::Chunk(chunk.index)
                }
                Body::Refused(refusal) => Answer::Refused(*refusal),
                Body::Response { manifest, elsewhere } => {
                    Answer::Response(manifest.as_ref().map(|manifest| manifest.version), elsewhere.to_vec())
                }
                Body::Welcome { held, room, .. } => Answer::Welcome(*held, *room),
                other => panic!("not a reply: {other:?}"),
            });
        }
        (reply.outcome(), answers)
    }

    /// Sends `body` from a peer that has a cookie, and gives all answers.
    pub(crate) fn ask(&mut self, from: &Identity, body: Body<'_>) -> Vec<Answer> {
        if !self.cookies.contains_key(&from.id()) {
            self.greet(from);
        }
        let datagram = self.seal(from, body);
        self.deliver(&datagram, from, address(from)).1
    }

    pub(crate) fn greet(&mut self, from: &Identity) -> Answer {
        let datagram = self.seal(from, Body::Refresh { name: Name::new("peer").unwrap() });
        self.deliver(&datagram, from, address(from)).1.remove(0)
    }

    pub(crate) fn put(&mut self, owner: &Identity, version: u64, chunks: u32) -> Answer {
        for index in 0..chunks {
            let answers = self.ask(owner, Body::Store(chunk(version, chunks, index)));
            if answers != [Answer::Ack] {
                return answers.into_iter().next().unwrap();
            }
        }
        self.ask(owner, Body::Commit(manifest(version, chunks))).remove(0)
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = self.now.saturating_add(Duration::from_secs(seconds));
    }
}
