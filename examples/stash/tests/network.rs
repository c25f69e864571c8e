//! Peers and owners in one process, over real sockets and real files.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{
    fs, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use stash::{
    link::{AskError, PeerAddress},
    node::{Node, NodeConfig, NodeStats},
    owner::{GetError, Owner, PutError},
};
use stash_protocol::{Capacity, Identity, PeerId, Refusal};
use steadfast::{
    Logger,
    logger::{Level, NotWritten, Sink},
    runtime::{Lock, Mutex},
};
use tempfile::TempDir;
use tokio::{net::UdpSocket, task::yield_now, time::timeout};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Sink for Lines {
    fn write(&mut self, _: Level, line: &str) -> Result<(), NotWritten> {
        self.0.with(|lines| lines.push(line.to_owned()));
        Ok(())
    }
}

fn config(folder: &TempDir, name: &str) -> NodeConfig {
    NodeConfig {
        name: name.to_owned(),
        listen: ANY,
        folder: folder.path().join(name),
        capacity: Capacity::Low,
        peers: Vec::new(),
        logger: Logger::builder().build(Lines::default()).unwrap(),
    }
}

async fn start<const N: usize>(folder: &TempDir, names: [&str; N]) -> [Node; N] {
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(Node::start(config(folder, name)).await.unwrap());
    }
    nodes.try_into().ok().unwrap()
}

fn at<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Vec<PeerAddress> {
    nodes.into_iter().map(|node| PeerAddress { address: node.addr, id: None }).collect()
}

async fn owner(seed: u8) -> Owner {
    Owner::bind(ANY, &[seed; 32], "alice").await.unwrap()
}

fn file(length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * at) >> 3) as u8).collect()
}

const fn quiet(_: u64, _: u64) {}

/// Waits until it holds; a datagram may be on its way.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("{what} did not come true"));
}

fn assert_adds_up(stats: &NodeStats) {
    let confidant = stats.confidant;
    let parts = [
        confidant.answered,
        confidant.committed,
        confidant.duplicates,
        confidant.fetches,
        confidant.not_questions,
        confidant.noted,
        confidant.refused,
        confidant.stored,
        confidant.welcomed,
    ];
    assert_eq!(confidant.seen, parts.iter().sum::<u64>(), "{stats:?}");
    let dedup = stats.dedup;
    assert_eq!(dedup.fresh, dedup.held + dedup.expired + dedup.forgotten + dedup.aborted + dedup.given_up, "{stats:?}");
    let calls = stats.link.calls;
    assert_eq!(calls.begun, calls.resolved + calls.timed_out + calls.cancelled + calls.closed + calls.pending);
    let news = stats.announcements;
    let parts = [news.pending as u64, news.in_flight as u64, news.delivered, news.failed, news.returned];
    assert_eq!(news.accepted, parts.iter().sum::<u64>(), "{stats:?}");
}

#[tokio::test]
async fn a_file_comes_back_with_nothing_but_the_seed() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = start(&folder, ["bob", "carol", "dave"]).await;
    let file = file(100_000);
    let stored = owner(1).await.put(&file, &at(&nodes), 3, quiet).await.unwrap();
    assert_eq!((stored.kept_by.len(), stored.failed.len()), (3, 0));

    let recovered = owner(1).await.get(&at(&nodes), quiet).await.unwrap();
    assert!(recovered.file == file);
    assert_eq!((recovered.version, recovered.damaged, recovered.votes.counted), (stored.version, 0, 3));
    assert_eq!(recovered.kept_by.len(), 3);

    assert_eq!(owner(2).await.get(&at(&nodes), quiet).await, Err(GetError::Nothing { answered: 3 }));
    for node in &nodes {
        let stats = node.stats();
        assert_adds_up(&stats);
        assert!(stats.confidant.committed > 0); // a slow disk is asked again
        assert_eq!((stats.owners, stats.link.dropped), (1, 0));
    }
}

#[tokio::test]
async fn progress_ends_where_it_said() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = start(&folder, ["bob", "carol"]).await;
    for length in [0, 10_000] {
        let file = file(length);
        let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let put = sender.clone();
        let tell = move |come, all| put.send((come, all)).unwrap();
        owner(1).await.put(&file, &at(&nodes), 2, tell).await.unwrap();
        let chunks = (length.div_ceil(960) as u64).max(1);
        let mut last = (0, 0);
        while let Ok(step) = heard.try_recv() {
            last = last.max(step);
        }
        assert_eq!(last, (2 * chunks, 2 * chunks));
        let tell = move |come, all| sender.send((come, all)).unwrap();
        owner(1).await.get(&at(&nodes), tell).await.unwrap();
        let mut last = (0, 0);
        while let Ok(step) = heard.try_recv() {
            last = last.max(step);
        }
        assert_eq!(last, (chunks, chunks));
    }
}

#[tokio::test]
async fn a_sudden_end_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let [bob] = start(&folder, ["bob"]).await;
    let file = file(5_000);
    owner(1).await.put(&file, &at([&bob]), 1, quiet).await.unwrap();
    let id = bob.id;
    drop(bob);
    // Its task lets go of the folder a moment later.
    let again = async {
        loop {
            match Node::start(config(&folder, "bob")).await {
                Ok(bob) => return bob,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}"),
            }
            yield_now().await;
        }
    };
    let bob = timeout(Duration::from_secs(60), again).await.unwrap();
    assert_eq!(bob.id, id, "its key is in its folder");
    assert!(owner(1).await.get(&at([&bob]), quiet).await.unwrap().file == file);
    bob.stop().await;
    start(&folder, ["bob"]).await; // the folder is free at once
}

#[tokio::test]
async fn a_dead_confidant_costs_its_first_timeouts_and_then_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = start(&folder, ["bob", "carol", "dave"]).await;
    let dead = UdpSocket::bind(ANY).await.unwrap();
    let mut peers = at(&nodes);
    peers.insert(0, PeerAddress { address: dead.local_addr().unwrap(), id: None });

    let alice = owner(1).await;
    let started_at = Instant::now();
    let stored = alice.put(&file(3_000), &peers, 3, quiet).await.unwrap();
    assert_eq!(stored.failed, [(peers[0], AskError::Silent)]);
    let stats = alice.link().stats();
    assert_eq!((stats.breakers.opened, stats.breakers.rejected), (1, 0));

    let stored = alice.put(&file(4_000), &peers, 3, quiet).await.unwrap();
    assert_eq!(stored.kept_by.len(), 3);
    // A machine may be so slow that the breaker lets a probe pass meanwhile; then nothing follows.
    if started_at.elapsed() < Duration::from_secs(5) {
        assert_eq!(stored.failed, [(peers[0], AskError::Dead)]);
        assert_eq!(alice.link().stats().breakers.rejected, 1);
    }
    assert!(alice.get(&peers, quiet).await.unwrap().file == file(4_000));
}

#[tokio::test]
async fn too_few_peers_are_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let [bob] = start(&folder, ["bob"]).await;
    let (first, second) = (UdpSocket::bind(ANY).await.unwrap(), UdpSocket::bind(ANY).await.unwrap());
    let mut peers = at([&bob]);
    peers.extend([&first, &second].map(|dead| PeerAddress { address: dead.local_addr().unwrap(), id: None }));
    let alice = owner(1).await;
    alice.put(&file(10), &peers[..1], 1, quiet).await.unwrap();

    let error = alice.put(&file(20), &peers, 3, quiet).await.unwrap_err();
    assert!(matches!(error, PutError::TooFew { kept: 1, wanted: 3, needed: 2, .. }), "{error}");
    let error = alice.get(&peers, quiet).await.unwrap_err();
    assert!(matches!(error, GetError::TooFew { answered: 1, needed: 2, .. }), "{error}");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    assert!(alice.get(&[], quiet).await.is_err() && alice.put(&[], &[], 3, quiet).await.is_err());
}

#[tokio::test]
async fn an_older_version_is_named_and_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = start(&folder, ["bob", "carol", "dave"]).await;
    let peers = at(&nodes);
    let alice = owner(1).await;
    let old = alice.put(&file(10_000), &peers, 3, quiet).await.unwrap().version;
    alice.put(&file(20_000), &peers[1..], 2, quiet).await.unwrap();
    let recovered = alice.get(&peers, quiet).await.unwrap();
    assert!(recovered.file == file(20_000));
    let stale: Vec<_> = recovered.stale.iter().map(|(peer, version)| (peer.name.as_str(), *version)).collect();
    assert_eq!(stale, [("bob", old)]);
}

#[tokio::test]
async fn a_damaged_chunk_comes_from_another() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = start(&folder, ["bob", "carol"]).await;
    let alice = owner(1).await;
    alice.put(&file(200_000), &at(&nodes), 2, quiet).await.unwrap();
    let stash = fs::read_dir(folder.path().join("bob")).unwrap().map(|entry| entry.unwrap().path());
    let stash = stash.filter(|path| path.is_dir()).flat_map(|folder| fs::read_dir(folder).unwrap());
    for path in stash.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some()) {
        let mut bytes = fs::read(&path).unwrap();
        bytes.chunks_mut(1_002).for_each(|place| place[30] ^= 1);
        fs::write(&path, bytes).unwrap();
    }
    let recovered = alice.get(&at(&nodes), quiet).await.unwrap();
    assert!(recovered.file == file(200_000));
    assert!(recovered.damaged > 0);
    // Bob alone gives nothing that would pass.
    let error = alice.get(&at(&nodes[..1]), quiet).await.unwrap_err();
    assert!(matches!(error, GetError::Broken { .. }), "{error}");
}

#[tokio::test]
async fn a_full_confidant_says_so_and_another_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = start(&folder, ["frank", "grace"]).await;
    for seed in 1..=5 {
        owner(seed).await.put(&file(10), &at(&nodes[..1]), 1, quiet).await.unwrap();
    }
    let sixth = owner(6).await;
    let Err(PutError::TooFew { failed, .. }) = sixth.put(&file(10), &at(&nodes[..1]), 1, quiet).await else {
        panic!("frank is full")
    };
    assert_eq!(failed[0].1, AskError::Refused(Refusal::StorageLimit));
    let stored = sixth.put(&file(10), &at(&nodes), 1, quiet).await.unwrap();
    assert_eq!(stored.kept_by[0].name, "grace");
    owner(1).await.put(&file(20), &at(&nodes[..1]), 1, quiet).await.unwrap(); // an update needs no place
}

#[tokio::test]
async fn a_capacity_below_what_is_kept_is_refused_and_nothing_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let medium = || NodeConfig { capacity: Capacity::Medium, ..config(&folder, "bob") };
    let bob = Node::start(medium()).await.unwrap();
    for seed in 1..=6 {
        owner(seed).await.put(&file(10), &at([&bob]), 1, quiet).await.unwrap();
    }
    bob.stop().await;
    let error = Node::start(config(&folder, "bob")).await.unwrap_err();
    assert!(error.to_string().contains("6 owners"), "{error}");
    assert_eq!(Node::start(medium()).await.unwrap().stats().owners, 6);
}

#[tokio::test]
async fn peers_tell_each_other_what_they_keep() {
    let folder = tempfile::tempdir().unwrap();
    let [bob, carol] = start(&folder, ["bob", "carol"]).await;
    for seed in 1..=3 {
        owner(seed).await.put(&file(1_000), &at([&bob]), 1, quiet).await.unwrap();
    }
    bob.introduce(at([&carol]));
    let heard_of = |stashes| {
        let told = bob.stats().announcements;
        told.delivered >= stashes && carol.stats().confidant.noted == told.batches
    };
    until("carol hears of all", || heard_of(3)).await;
    // News after that travel by themselves.
    owner(4).await.put(&file(2_000), &at([&bob]), 1, quiet).await.unwrap();
    until("carol hears of one more", || heard_of(4)).await;
    for (seed, length) in [(1, 1_000), (4, 2_000)] {
        let recovered = owner(seed).await.get(&at([&carol]), quiet).await.unwrap();
        assert!(recovered.file == file(length));
        assert_eq!(recovered.kept_by[0].contact.id, bob.id);
    }
    assert_adds_up(&bob.stats());
    assert_adds_up(&carol.stats());
}

#[tokio::test]
async fn found_f7_peers_of_different_families_tell_each_other_and_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let six: SocketAddr = "[::1]:0".parse().unwrap();
    if UdpSocket::bind(six).await.is_err() {
        return; // this machine has no IPv6
    }
    let [bob] = start(&folder, ["bob"]).await;
    let carol = Node::start(NodeConfig { listen: six, ..config(&folder, "carol") }).await.unwrap();
    owner(1).await.put(&file(1_000), &at([&bob]), 1, quiet).await.unwrap();
    bob.introduce(at([&carol]));
    until("carol hears of it", || carol.stats().confidant.noted > 0).await;
    let recovered = owner(1).await.get(&at([&carol]), quiet).await.unwrap();
    assert!(recovered.file == file(1_000) && recovered.kept_by[0].contact.id == bob.id);
}

#[tokio::test]
async fn found_f4_what_is_damaged_is_counted_and_told_and_the_rest_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let [bob] = start(&folder, ["bob"]).await;
    for seed in 1..=2 {
        owner(seed).await.put(&file(1_000), &at([&bob]), 1, quiet).await.unwrap();
    }
    bob.stop().await;
    let first = Identity::from_seed(&[1; 32]).id();
    fs::write(folder.path().join("bob").join(first.to_string()).join("manifest"), "x").unwrap();
    let [bob] = start(&folder, ["bob"]).await;
    assert_eq!((bob.stats().trouble, bob.stats().owners, bob.held(&first)), (1, 1, None));
    let [trouble] = bob.trouble() else { panic!("{:?}", bob.trouble()) };
    assert!(trouble.set_aside.as_ref().unwrap().is_dir() && trouble.to_string().contains("damaged"), "{trouble}");
    assert!(owner(2).await.get(&at([&bob]), quiet).await.unwrap().file == file(1_000));
}

#[tokio::test]
async fn another_key_than_the_expected_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [bob] = start(&folder, ["bob"]).await;
    let alice = owner(1).await;
    let right: PeerAddress = format!("{}@{}", bob.id, bob.addr).parse().unwrap();
    alice.put(&file(10), &[right], 1, quiet).await.unwrap();
    let wrong = PeerAddress { id: Some(PeerId::new([9; 32])), ..right };
    assert!(owner(2).await.put(&file(10), &[wrong], 1, quiet).await.is_err());
    assert_eq!(bob.stats().owners, 1);
}

#[tokio::test]
async fn one_peer_named_twice_is_one_peer() {
    let folder = tempfile::tempdir().unwrap();
    let [bob] = start(&folder, ["bob"]).await;
    let error = owner(1).await.put(&file(10), &at([&bob, &bob, &bob]), 3, quiet).await.unwrap_err();
    assert!(error.to_string().starts_with("1 of 3"), "{error}");
    assert!(error.to_string().contains("named already"), "{error}");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let [bob] = start(&folder, ["bob"]).await;
    let text = |result: io::Result<Node>| result.err().unwrap().to_string();
    for name in ["", "a name that is quite a bit too long", "b\nob"] {
        let named = NodeConfig { name: name.to_owned(), ..config(&folder, "other") };
        assert!(text(Node::start(named).await).contains("1 to 32 bytes"));
        assert!(!folder.path().join("other").exists());
    }
    assert!(text(Node::start(config(&folder, "bob")).await).contains("another peer serves from this folder"));
    let taken = NodeConfig { listen: bob.addr, ..config(&folder, "carol") };
    assert!(text(Node::start(taken).await).contains(&bob.addr.to_string()));
    let no_folder = NodeConfig { folder: folder.path().join("bob/key"), ..config(&folder, "dave") };
    assert!(text(Node::start(no_folder).await).contains("bob/key"));
}

#[tokio::test]
async fn garbage_is_counted_and_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let [bob] = start(&folder, ["bob"]).await;
    let socket = UdpSocket::bind(ANY).await.unwrap();
    for length in [0, 1, 16, 80, 1_200, 1_201, 2_000] {
        socket.send_to(&vec![7; length], bob.addr).await.unwrap();
    }
    until("bob has dropped them", || bob.stats().link.dropped == 7).await;
    owner(1).await.put(&file(10), &at([&bob]), 1, quiet).await.unwrap();
    assert_eq!(bob.stats().confidant.not_questions, 0);
}

#[tokio::test]
async fn two_recoveries_at_once_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = start(&folder, ["bob", "carol"]).await;
    let alice = owner(1).await;
    alice.put(&file(50_000), &at(&nodes), 2, quiet).await.unwrap();
    let peers = at(&nodes);
    let (first, second) = tokio::join!(alice.get(&peers, quiet), alice.get(&peers, quiet));
    assert!(first.unwrap().file == file(50_000) && second.unwrap().file == file(50_000));
}

#[tokio::test]
async fn an_owner_without_a_name_does_not_start() {
    let error = Owner::bind(ANY, &[1; 32], "al\nice").await.unwrap_err();
    assert!(error.to_string().contains("1 to 32 bytes"), "{error}");
}

#[tokio::test]
async fn the_log_groups_what_owners_do() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let folder = tempfile::tempdir().unwrap();
    let lines = Lines::default();
    let logger = Logger::builder().window(HOUR, HOUR).build(lines.clone()).unwrap();
    let bob = Node::start(NodeConfig { logger: logger.clone(), ..config(&folder, "bob") }).await.unwrap();
    for (seed, name) in [(1, "alice"), (2, "carol")] {
        let owner = Owner::bind(ANY, &[seed; 32], name).await.unwrap();
        owner.put(&file(10), &at([&bob]), 1, quiet).await.unwrap();
    }
    for seed in 3..=6 {
        let owner = Owner::bind(ANY, &[seed; 32], "erin").await.unwrap();
        let _the_last_is_refused = owner.put(&file(10), &at([&bob]), 1, quiet).await;
    }
    let mallory = UdpSocket::bind(ANY).await.unwrap();
    mallory.send_to(b"hello", bob.addr).await.unwrap();
    until("the datagram is dropped", || bob.stats().link.dropped == 1).await;
    bob.stop().await;
    logger.flush();
    let lines = lines.0.with(|lines| lines.clone());
    let [stored, refused, dropped] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(stored, "📦 [stash] alice, carol, and erin did store ×5");
    // On a slow machine erin asks more than once.
    assert!(
        refused.starts_with("📦 [stash] refused erin") && refused.ends_with(": storage limit reached"),
        "{refused}"
    );
    assert_eq!(dropped, "📦 [stash] dropped 1 datagram from 127.0.0.1: not a stash datagram");
}
