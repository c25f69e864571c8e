//! A confidant among peers that lie, repeat themselves, write from strange addresses, a clock that leaps, and a medium
//! that takes its time.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::LazyLock,
    time::Duration,
};

use stash_protocol::{
    Begun, Body, Capacity, Chunk, ChunkId, ChunkStore, Confidant, Holding, Identity, Job, Manifest, Message, Name,
    Outcome, PeerId, Refusal, Reply, RunSecret, Sealed, Settings, StoreError,
    wire::{self, MAX_DATAGRAM, Opened, Verified},
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
    /// How often it had to work, but for what is missing.
    works: u32,
}

impl ChunkStore for Medium {
    fn put(&mut self, id: &ChunkId, sealed: Sealed<'_>) -> Result<(), StoreError> {
        self.works += 1;
        if self.fails || self.chunks.len() == 20 {
            return Err(StoreError);
        }
        self.chunks.insert((id.owner, id.version, id.index), sealed.as_bytes().to_vec());
        Ok(())
    }

    fn get(&mut self, id: &ChunkId, buffer: &mut [u8; Sealed::MAX]) -> Option<usize> {
        self.works += 1;
        let bytes = self.chunks.get(&(id.owner, id.version, id.index))?;
        buffer[..bytes.len()].copy_from_slice(bytes);
        Some(bytes.len())
    }

    fn holds(&mut self, id: &ChunkId) -> bool {
        self.chunks.contains_key(&(id.owner, id.version, id.index))
    }

    fn commit(&mut self, owner: &PeerId, manifest: &Manifest) -> Result<(), StoreError> {
        self.works += 1;
        if self.fails {
            return Err(StoreError);
        }
        self.chunks.retain(|(of, version, _), _| of != owner || *version == manifest.version);
        Ok(())
    }

    fn discard(&mut self, owner: &PeerId, version: u64) {
        self.works += 1;
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
    /// Whether the medium takes its time.
    is_slow: bool,
    /// What the medium is at work on; one thing for one owner.
    jobs: HashMap<PeerId, (Opened, Job, SocketAddr)>,
    /// Uploads that the medium is to discard.
    dropped: HashMap<PeerId, u64>,
}

/// The same with a medium that does its work at once, and with one that takes its time.
pub fn fuzz(bytes: &[u8]) {
    for is_slow in [false, true] {
        let script = &mut Script::new(bytes);
        let settings = Settings { capacity: Capacity::Low, max_chunks: 6 };
        let name = Name::new("bob").expect("a name");
        let mut world = World {
            confidant: Confidant::new(name, settings, Medium::default(), &RunSecret::new([5; 40])),
            now: Instant::from_secs(1_000),
            next_id: 0,
            last: HashMap::new(),
            given: HashSet::new(),
            is_slow,
            jobs: HashMap::new(),
            dropped: HashMap::new(),
        };
        script.list(24, |script| world.step(script));
        world.finish();
        world.check();
    }
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
        if self.is_slow {
            self.begin_timeouts();
        }
        let sealed = [script.below(256) as u8; 60];
        let body = Self::body(script, &sealed);
        self.say(script, body);
        if self.next_id.is_multiple_of(3) {
            self.finish();
        }
        self.check();
    }

    /// Takes a message; no reply while the medium is at work for it.
    fn take(&mut self, opened: Opened, source: SocketAddr) -> Option<Reply> {
        let message = opened.message().expect("it was sealed for bob");
        if !self.is_slow {
            return Some(self.confidant.handle(&message, source, self.now));
        }
        let (owner, works) = (message.from, self.confidant.store().works);
        let begun = self.confidant.begin(&message, source, self.now);
        assert_eq!(self.confidant.store().works, works, "everybody waited for the medium");
        match begun {
            Begun::Replied(reply) => Some(reply),
            Begun::Job(job) => {
                assert!(!self.dropped.contains_key(&owner), "two things at a time for one owner");
                assert!(self.jobs.insert(owner, (opened, job, source)).is_none(), "two things at a time for one owner");
                None
            }
        }
    }

    /// Uploads lose their places, but none on which the medium is at work.
    fn begin_timeouts(&mut self) {
        while let Some((owner, version)) = self.confidant.begin_timeout(self.now) {
            assert!(!self.jobs.contains_key(&owner), "an upload in use is dropped");
            assert!(self.dropped.insert(owner, version).is_none(), "dropped twice");
        }
    }

    /// The medium comes to the end of all its work.
    fn finish(&mut self) {
        for (owner, version) in std::mem::take(&mut self.dropped) {
            self.confidant.store().discard(&owner, version);
            self.confidant.end_timeout(&owner);
        }
        for (opened, mut job, source) in std::mem::take(&mut self.jobs).into_values() {
            let message = opened.message().expect("it was read before");
            job.run(&message, self.confidant.store());
            let held = self.held();
            let reply = self.confidant.end(job, &message, self.now);
            self.judge(&message, source, reply, held);
        }
        if self.is_slow {
            self.begin_timeouts();
            for (owner, version) in std::mem::take(&mut self.dropped) {
                self.confidant.store().discard(&owner, version);
                self.confidant.end_timeout(&owner);
            }
        }
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
        let opened = Opened::new(datagram, &BOB.id()).expect("it was sealed for bob");
        let Some(reply) = self.take(opened.clone(), source) else { return };
        let is_busy = self.jobs.contains_key(&from) || self.dropped.contains_key(&from);
        assert!(reply.outcome() != Outcome::Refused(Refusal::Busy) || is_busy, "busy with nothing");
        self.judge(&opened.message().expect("it was read before"), source, reply, held);
    }

    /// What must hold of any message and its reply. `held` is what was kept before.
    fn judge(&mut self, message: &Verified<'_>, source: SocketAddr, mut reply: Reply, held: Vec<Option<u64>>) {
        let (from, cookie) = (message.from, message.cookie);
        assert_eq!(reply.destination(), source);
        let outcome = reply.outcome();
        let is_proven = self.given.contains(&(from, source, cookie));
        let needs_no_proof =
            matches!(outcome, Outcome::Welcomed | Outcome::NotAQuestion | Outcome::Refused(Refusal::Unproven));
        assert!(is_proven || needs_no_proof, "{outcome:?} for an address that is not proven");
        if let (Outcome::Committed { version }, Body::Commit(manifest)) = (outcome, &message.body) {
            let all = 0..manifest.chunks;
            let medium = self.confidant.store();
            assert!(all.clone().count() > 0 && version == manifest.version);
            assert!(all.into_iter().all(|index| medium.holds(&ChunkId { owner: from, version, index })));
        }
        for ((peer, before), after) in KEYS.iter().zip(held).zip(self.held()) {
            assert!(before <= after, "a version went back");
            assert!(before == after || peer.id() == from, "another's stash changed");
        }
        let sent = self.receive(&mut reply, from, source, message.id);
        match outcome {
            Outcome::Duplicate | Outcome::NotAQuestion | Outcome::Noted => assert_eq!(sent, 0),
            Outcome::Sending { chunks } => assert!(sent <= chunks && chunks <= 6),
            _ => assert_eq!(sent, 1),
        }
    }

    /// Reads all that is sent in reply, and tells how many datagrams that is.
    fn receive(&mut self, reply: &mut Reply, to: PeerId, source: SocketAddr, id: u64) -> u32 {
        let mut sent = 0;
        let mut buffer = [0; MAX_DATAGRAM];
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
        if self.now < Instant::MAX && !self.is_slow {
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
