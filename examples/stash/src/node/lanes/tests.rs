use std::{
    collections::hash_map::Entry,
    io,
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use stash_protocol::{
    Capacity, Chunk, ChunkId, ChunkStore, Manifest, MemoryStore, Message, Name, Refusal, Sealed, StoreError, wire,
};
use steadfast::{
    Logger,
    logger::{Level, NotWritten, Sink},
};

use super::*;

/// Bounds a hang, and decides nothing.
const FOREVER: Duration = Duration::from_secs(60);

/// A store in which some owners' commits wait until they are let go.
#[derive(Clone)]
struct Gate(Arc<Mutex<MemoryStore<64>>>, Arc<Mutex<HashMap<PeerId, Wait>>>);

/// To tell that a commit waits, and to hear that it may go on.
type Wait = (Sender<()>, Receiver<()>);

impl ChunkStore for Gate {
    fn put(&mut self, id: &ChunkId, sealed: Sealed<'_>) -> Result<(), StoreError> {
        self.0.with(|store| store.put(id, sealed))
    }

    fn get(&mut self, id: &ChunkId, buffer: &mut [u8; Sealed::MAX]) -> Option<usize> {
        self.0.with(|store| store.get(id, buffer))
    }

    fn holds(&mut self, id: &ChunkId) -> bool {
        self.0.with(|store| store.holds(id))
    }

    fn commit(&mut self, owner: &PeerId, manifest: &Manifest) -> Result<(), StoreError> {
        if let Some((entered, go)) = self.1.with(|gates| gates.remove(owner)) {
            entered.send(()).unwrap();
            go.recv_timeout(FOREVER).unwrap();
        }
        self.0.with(|store| store.commit(owner, manifest))
    }

    fn discard(&mut self, owner: &PeerId, version: u64) {
        self.0.with(|store| store.discard(owner, version));
    }
}

impl Medium for Gate {
    fn take_error(&mut self) -> Option<io::Error> {
        None
    }
}

struct Out(Identity, Sender<Vec<u8>>);

impl Output for Out {
    fn identity(&self) -> &Identity {
        &self.0
    }

    fn send(&self, datagram: &[u8], _: SocketAddr) {
        let _ = self.1.send(datagram.to_vec());
    }

    fn committed(&self, _: Holding) {}
}

struct Silent;

impl Sink for Silent {
    fn write(&mut self, _: Level, _: &str) -> Result<(), NotWritten> {
        Ok(())
    }
}

struct World {
    gate: Gate,
    lanes: Lanes<Gate, Out>,
    bob: Identity,
    out: Receiver<Vec<u8>>,
    next_id: u64,
    cookies: HashMap<PeerId, u64>,
}

const AT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

impl World {
    fn new() -> Self {
        let gate = Gate(Arc::default(), Arc::default());
        let (sender, out) = channel();
        let logger = Logger::builder().build(Silent).unwrap();
        let bob = || Identity::from_seed(&[200; 32]);
        let keeper = Keeper::new(Name::new("bob").unwrap(), Capacity::Low, gate.clone(), &[], &logger).unwrap();
        let lanes = Lanes::new(Arc::new(keeper), Out(bob(), sender));
        Self { gate, lanes, bob: bob(), out, next_id: 0, cookies: HashMap::new() }
    }

    /// What is answered at once, if anything is, after a greeting.
    fn say(&mut self, from: &Identity, body: Body<'_>) -> Option<Body<'static>> {
        if let Entry::Vacant(cookie) = self.cookies.entry(from.id()) {
            cookie.insert(0);
            self.say(from, Body::Refresh { name: Name::new("peer").unwrap() });
        }
        self.next_id += 1;
        let (to, cookie) = (Some(self.bob.id()), self.cookies[&from.id()]);
        let message = Message { from: from.id(), to, id: self.next_id, in_reply_to: None, cookie, body };
        let mut buffer = [0; MAX_DATAGRAM];
        let datagram = wire::seal(&message, from, &mut buffer).unwrap();
        let mut reply = self.lanes.take(Opened::new(datagram, &self.bob.id()).unwrap(), AT)?;
        let datagram = reply.next(&mut self.gate, &self.bob, &mut buffer)?;
        self.answer(from, datagram)
    }

    fn answer(&mut self, to: &Identity, datagram: &[u8]) -> Option<Body<'static>> {
        let answer = wire::open(datagram, &to.id()).ok()?;
        self.cookies.insert(to.id(), answer.cookie);
        match &answer.body {
            Body::Ack => Some(Body::Ack),
            Body::Refused(refusal) => Some(Body::Refused(*refusal)),
            Body::Response { manifest, elsewhere } => {
                Some(Body::Response { manifest: manifest.clone(), elsewhere: elsewhere.clone() })
            }
            Body::Chunk(chunk) => Some(Body::Commit(manifest(chunk.version))), // one without a borrow
            _ => None,
        }
    }

    /// The next answer out of a lane.
    fn hear(&mut self, to: &Identity) -> Body<'static> {
        let datagram = self.out.recv_timeout(FOREVER).unwrap();
        self.answer(to, &datagram).unwrap()
    }

    /// Says it, and gives the answer, wherever it comes from.
    fn ask(&mut self, from: &Identity, body: Body<'_>) -> Body<'static> {
        self.say(from, body).unwrap_or_else(|| self.hear(from))
    }

    fn put(&mut self, owner: &Identity, version: u64) {
        assert_eq!(self.ask(owner, Body::Store(chunk(version))), Body::Ack);
        assert_eq!(self.ask(owner, Body::Commit(manifest(version))), Body::Ack);
    }

    /// Lets the next commit of an owner wait: it tells when it does, and goes on once it is told to.
    fn gate(&self, owner: &Identity) -> (Receiver<()>, Sender<()>) {
        let ((entered, has_entered), (go, may_go)) = (channel(), channel());
        self.gate.1.with(|gates| gates.insert(owner.id(), (entered, may_go)));
        (has_entered, go)
    }
}

fn manifest(version: u64) -> Manifest {
    Manifest { version, chunks: 1, sealed: [1; 80].into_iter().collect() }
}

fn chunk(version: u64) -> Chunk<'static> {
    Chunk { version, chunks: 1, index: 0, sealed: Sealed::new(&[9; 50]).unwrap() }
}

fn peer(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32])
}

#[tokio::test]
async fn found_f1_a_disk_that_hangs_for_one_owner_keeps_nobody_else_waiting() {
    let (mut world, alice, carol, eve) = (World::new(), peer(1), peer(2), peer(3));
    world.put(&alice, 1);
    let (entered, go) = world.gate(&alice);
    assert_eq!(world.ask(&alice, Body::Store(chunk(2))), Body::Ack);
    assert_eq!(world.say(&alice, Body::Commit(manifest(2))), None);
    entered.recv_timeout(FOREVER).unwrap();

    for version in 1..=3 {
        world.put(&carol, version);
        let response = |version| Body::Response { manifest: version, elsewhere: Default::default() };
        assert_eq!(world.ask(&carol, Body::Request), response(Some(manifest(version))));
        assert_eq!(world.ask(&carol, Body::Fetch { version, first: 0, want: 1 }), Body::Commit(manifest(version)));
        assert_eq!(world.ask(&alice, Body::Request), response(Some(manifest(1))), "her own, too, where none is needed");
        assert_eq!(world.ask(&eve, Body::Request), response(None));
    }
    // Her own messages wait, as many as there is room for, and then one after the other has its answer.
    for _ in 0..WAITING {
        assert_eq!(world.say(&alice, Body::Store(chunk(3))), None);
    }
    assert_eq!(world.say(&alice, Body::Store(chunk(3))), Some(Body::Refused(Refusal::Busy)));
    world.put(&carol, 4);
    go.send(()).unwrap();
    for _ in 0..=WAITING {
        assert_eq!(world.hear(&alice), Body::Ack);
    }
    world.put(&alice, 3);
}

#[tokio::test]
async fn lanes_close_when_nothing_waits_in_them() {
    let (mut world, alice, carol) = (World::new(), peer(1), peer(2));
    for version in 1..20 {
        world.put(&alice, version);
        world.put(&carol, version);
    }
    while !world.lanes.works.waiting.with(|waiting| waiting.is_empty()) {
        world.lanes.closed().await;
    }
}

#[tokio::test]
async fn an_end_waits_for_what_is_being_done_and_drops_what_waits() {
    let (mut world, alice) = (World::new(), peer(1));
    assert_eq!(world.ask(&alice, Body::Store(chunk(1))), Body::Ack);
    let (entered, go) = world.gate(&alice);
    assert_eq!(world.say(&alice, Body::Commit(manifest(1))), None);
    assert_eq!(world.say(&alice, Body::Store(chunk(2))), None);
    entered.recv_timeout(FOREVER).unwrap();
    let mut end = Box::pin(world.lanes.end());
    assert!(std::future::poll_fn(|context| std::task::Poll::Ready(end.as_mut().poll(context).is_pending())).await);
    go.send(()).unwrap();
    end.await;
    assert_eq!(world.out.iter().count(), 1, "the commit was answered, and what came after it was not");
}
