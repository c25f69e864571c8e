//! A confidant among peers that lie, repeat themselves, write from strange addresses, and a clock that leaps.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::LazyLock,
    time::Duration,
};

use stash_protocol::{
    Body, Capacity, Chunk, ChunkId, ChunkStore, Confidant, Holding, Identity, Manifest, Message, Name, Outcome, PeerId,
    Refusal, RunSecret, Sealed, Settings, StoreError,
    wire::{self, MAX_DATAGRAM},
};
use steadfast_core::Instant;

use crate::Script;

const OWNERS: usize = 5;
const PEERS: usize = 8;

static KEYS: LazyLock<[Identity; PEERS]> =
    LazyLock::new(|| std::array::from_fn(|peer| Identity::from_seed(&[peer as u8 + 1; 32])));
static BOB: LazyLock<Identity> = LazyLock::new(|| Identity::from_seed(&[200; 32]));

/// A small medium that can be told to fail.
#[derive(Default)]
struct Medium {
    chunks: HashMap<(PeerId, u64, u32), Vec<u8>>,
    fails: bool,
}

impl ChunkStore for Medium {
    fn put(&mut self, id: &ChunkId, sealed: Sealed<'_>) -> Result<(), StoreError> {
        if self.fails || self.chunks.len() == 20 {
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

struct World {
    confidant: Confidant<Medium, OWNERS, 16>,
    now: Instant,
    next_id: u64,
    /// The last cookie that a peer was given, and all that were ever given, with their addresses.
    last: HashMap<PeerId, u64>,
    given: HashSet<(PeerId, SocketAddr, u64)>,
}

pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    let settings = Settings { capacity: Capacity::Low, max_chunks: 6 };
    let name = Name::new("bob").expect("a name");
    let mut world = World {
        confidant: Confidant::new(name, settings, Medium::default(), &RunSecret::new([5; 40])),
        now: Instant::from_secs(1_000),
        next_id: 0,
        last: HashMap::new(),
        given: HashSet::new(),
    };
    script.list(24, |script| world.step(script));
}

impl World {
    fn step(&mut self, script: &mut Script<'_>) {
        match script.weighted(&[(12, 0), (4, 1), (2, 2), (1, 3), (1, 4)]) {
            0 => {}
            1 => self.now = self.now.saturating_add(Duration::from_secs(script.below(70))),
            2 => self.now = self.now.saturating_sub(Duration::from_secs(script.below(70))),
            3 => self.now = Instant::from_nanos(script.nanos()),
            _ => {
                let medium = self.confidant.store();
                medium.fails = !medium.fails;
            }
        }
        let sealed = [script.below(256) as u8; 60];
        let body = Self::body(script, &sealed);
        self.say(script, body);
        self.check();
    }

    fn body<'a>(script: &mut Script<'_>, sealed: &'a [u8]) -> Body<'a> {
        let (version, chunks) = (script.below(4), script.below(8) as u32);
        match script.weighted(&[(6, 0), (10, 1), (5, 2), (3, 3), (3, 4), (1, 5), (1, 6)]) {
            0 => Body::Refresh { name: Name::new("peer").expect("a name") },
            1 => {
                let sealed = Sealed::new(sealed).expect("a chunk");
                Body::Store(Chunk { version, chunks, index: script.below(8) as u32, sealed })
            }
            2 => Body::Commit(Manifest { version, chunks, sealed: sealed.iter().copied().collect() }),
            3 => Body::Request,
            4 => Body::Fetch { version, first: script.nanos() as u32, want: script.nanos() as u32 },
            5 => {
                let owner = KEYS[script.below(PEERS as u64) as usize].id();
                Body::Holding([Holding { owner, version }].into_iter().collect())
            }
            _ => Body::Ack,
        }
    }

    fn say(&mut self, script: &mut Script<'_>, body: Body<'_>) {
        let speaker = script.below(PEERS as u64) as usize;
        let from = KEYS[speaker].id();
        let port = if script.below(10) == 9 { 7_000 + script.below(3) as u16 } else { 1_000 + speaker as u16 };
        let source = SocketAddr::from(([127, 0, 0, 1], port));
        let cookie = match script.below(10) {
            8 => 0,
            9 => script.any(),
            _ => self.last.get(&from).copied().unwrap_or(0),
        };
        let id = if script.below(10) == 9 { script.below(20) } else { self.next_id };
        self.next_id += 1;
        let in_reply_to = body.is_reply().then_some(id);
        let message = Message { from, to: Some(BOB.id()), id, in_reply_to, cookie, body };
        let mut buffer = [0; MAX_DATAGRAM];
        let datagram = wire::seal(&message, &KEYS[speaker], &mut buffer).expect("it fits");

        let held = self.held();
        let verified = wire::open(datagram, &BOB.id()).expect("it was sealed for bob");
        let mut reply = self.confidant.handle(&verified, source, self.now);
        assert_eq!(reply.destination(), source);
        let outcome = reply.outcome();
        let is_proven = self.given.contains(&(from, source, cookie));
        let needs_no_proof =
            matches!(outcome, Outcome::Welcomed | Outcome::NotAQuestion | Outcome::Refused(Refusal::Unproven));
        assert!(is_proven || needs_no_proof, "{outcome:?} for an address that is not proven");
        if let (Outcome::Committed { version }, Body::Commit(manifest)) = (outcome, &verified.body) {
            let all = 0..manifest.chunks;
            let medium = self.confidant.store();
            assert!(all.clone().count() > 0 && version == manifest.version);
            assert!(all.into_iter().all(|index| medium.holds(&ChunkId { owner: from, version, index })));
        }
        for ((peer, before), after) in KEYS.iter().zip(held).zip(self.held()) {
            assert!(before <= after, "a version went back");
            assert!(before == after || peer.id() == from, "another's stash changed");
        }
        let sent = self.receive(&mut reply, speaker, source, id);
        match outcome {
            Outcome::Duplicate | Outcome::NotAQuestion | Outcome::Noted => assert_eq!(sent, 0),
            Outcome::Sending { chunks } => assert!(sent <= chunks && chunks <= 6),
            _ => assert_eq!(sent, 1),
        }
    }

    /// Reads all that is sent in reply, and tells how many datagrams that is.
    fn receive(&mut self, reply: &mut stash_protocol::Reply, to: usize, source: SocketAddr, id: u64) -> u32 {
        let mut sent = 0;
        let mut buffer = [0; MAX_DATAGRAM];
        let to = KEYS[to].id();
        while let Some(datagram) = self.confidant.next_reply(reply, &BOB, &mut buffer) {
            let answer = wire::open(datagram, &to).expect("for whom it is");
            assert_eq!(answer.in_reply_to, Some(id));
            self.last.insert(to, answer.cookie);
            self.given.insert((to, source, answer.cookie));
            sent += 1;
        }
        sent
    }

    fn held(&self) -> Vec<Option<u64>> {
        KEYS.iter().map(|peer| self.confidant.held(&peer.id())).collect()
    }

    fn check(&mut self) {
        assert!(self.confidant.owners() <= OWNERS);
        let stats = self.confidant.stats();
        let questions = stats.answered + stats.committed + stats.fetches + stats.stored + stats.welcomed;
        assert_eq!(stats.seen, questions + stats.duplicates + stats.not_questions + stats.noted + stats.refused);
        if self.now < Instant::MAX {
            assert!(self.confidant.next_deadline().is_none_or(|at| at > self.now), "due, and left");
        }
        let versions: HashSet<(PeerId, u64)> =
            self.confidant.store().chunks.keys().map(|(owner, version, _)| (*owner, *version)).collect();
        for peer in &*KEYS {
            let kept = versions.iter().filter(|(owner, _)| *owner == peer.id()).count();
            assert!(kept <= 2, "more than a stash and an upload");
        }
    }
}
