//! Peers that send without end what costs more than its length, to a real process.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{fs, net::SocketAddr, time::Duration};

use common::{Peer, Place, list, put, run};
use stash_protocol::{
    Body, Chunk, Identity, Manifest, Message, Name, PeerId, Sealed,
    wire::{self, MAX_DATAGRAM},
};
use tokio::net::UdpSocket;

/// Somebody who says what she likes to one peer, as fast as it answers.
struct Eve {
    identity: Identity,
    socket: UdpSocket,
    peer: (PeerId, SocketAddr),
    next_id: u64,
    cookie: u64,
}

impl Eve {
    async fn new(seed: u64, peer: &Peer) -> Self {
        let mut bytes = [0x77; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let peer = (peer.id, peer.address);
        Self { identity: Identity::from_seed(&bytes), socket, peer, next_id: 0, cookie: 0 }
    }

    async fn send(&mut self, body: Body<'_>) -> u64 {
        self.next_id += 1;
        let (from, to, cookie) = (self.identity.id(), Some(self.peer.0), self.cookie);
        let message = Message { from, to, id: self.next_id, in_reply_to: None, cookie, body };
        let mut buffer = [0; MAX_DATAGRAM];
        let datagram = wire::seal(&message, &self.identity, &mut buffer).unwrap();
        self.socket.send_to(datagram, self.peer.1).await.unwrap();
        self.next_id
    }

    /// Says it until it is answered, and tells what the answer looks like.
    async fn ask(&mut self, body: Body<'_>) -> String {
        let mut buffer = [0; MAX_DATAGRAM];
        loop {
            let id = self.send(body.clone()).await;
            let answer = async {
                loop {
                    let (length, _) = self.socket.recv_from(&mut buffer).await.unwrap();
                    let answer = wire::open(&buffer[..length], &self.identity.id()).unwrap();
                    if answer.in_reply_to == Some(id) {
                        return (answer.cookie, format!("{:?}", answer.body));
                    }
                }
            };
            if let Ok((cookie, text)) = tokio::time::timeout(Duration::from_secs(2), answer).await {
                self.cookie = cookie;
                return text;
            }
        }
    }

    async fn greet(&mut self) {
        self.ask(Body::Refresh { name: Name::new("eve").unwrap() }).await;
    }
}

/// How many chunks each of them says she has, and how many of those she sends: all but the last.
const CHUNKS: u32 = 1_000;

#[tokio::test]
async fn found_f1_commits_that_lack_a_chunk_lock_nobody_out() {
    let place = Place::new();
    let mut peers = Peer::start_all(&place, ["bob"]).await;
    let addresses = [peers[0].address];
    let (file, bytes) = place.file("diary", 50_000);
    let mut eves = Vec::new();
    for seed in 0..3 {
        let mut eve = Eve::new(seed, &peers[0]).await;
        eve.greet().await;
        let sealed = Sealed::new(&[7; 40]).unwrap();
        for index in 0..CHUNKS - 1 {
            let answer = eve.ask(Body::Store(Chunk { version: 1, chunks: CHUNKS, index, sealed })).await;
            assert_eq!(answer, "Ack");
        }
        eves.push(eve);
    }
    let seed = place.path("seed");
    let store = put(&file, &seed, &addresses);
    let attack = async {
        for round in 0.. {
            let manifest = Manifest { version: 1, chunks: CHUNKS, sealed: [1; 80].into_iter().collect() };
            for eve in &mut eves {
                let answer = eve.ask(Body::Commit(manifest.clone())).await;
                let missing = format!("Refused(Incomplete {{ first: {}, missing: 1 }})", CHUNKS - 1);
                assert_eq!(answer, missing, "{round}");
            }
        }
    };
    tokio::select! {
        stored = store => drop(stored.assert_success()),
        () = attack => {}
    }
    place.assert_kept(&addresses, &bytes).await;
    peers[0].assert_alive();
}

#[tokio::test]
async fn found_f1_commits_without_end_are_held_to_so_many_a_minute() {
    let place = Place::new();
    let mut peers = Peer::start_all(&place, ["bob"]).await;
    let mut eve = Eve::new(1, &peers[0]).await;
    eve.greet().await;
    let sealed = Sealed::new(&[7; 40]).unwrap();
    let mut stored = 0;
    for version in 1..=100 {
        assert_eq!(eve.ask(Body::Store(Chunk { version, chunks: 1, index: 0, sealed })).await, "Ack");
        let manifest = Manifest { version, chunks: 1, sealed: [1; 80].into_iter().collect() };
        let answer = eve.ask(Body::Commit(manifest)).await;
        assert!(answer == "Ack" || answer.starts_with("Refused(RateLimited"), "{answer}");
        stored += u32::from(answer == "Ack");
    }
    assert!((20..100).contains(&stored), "{stored}");
    let (file, bytes) = place.file("diary", 5_000);
    put(&file, &place.path("seed"), &[peers[0].address]).await.assert_success();
    place.assert_kept(&[peers[0].address], &bytes).await;
    peers[0].assert_alive();
}

#[tokio::test]
async fn found_f9_greetings_of_made_up_keys_take_no_names_from_the_log() {
    let place = Place::new();
    let [mut bob] = Peer::start_all(&place, ["bob"]).await;
    let (file, _) = place.file("file", 100);
    let put_as = |name: &'static str| {
        let (seed, peer) = (place.path(name), list(&[bob.address]));
        let args = ["put".into(), file.clone().into_os_string(), "--seed-file".into(), seed.into_os_string()];
        run(args.into_iter().chain(["--peers".into(), peer.into(), "--name".into(), name.into()]))
    };
    put_as("alice").await.assert_success();
    for seed in 0..1_100 {
        let mut eve = Eve::new(seed, &bob).await;
        eve.greet().await;
    }
    put_as("carol").await.assert_success();
    let line = bob.wait_for("carol").await;
    assert!(line.contains("did store"), "{line}");
    // Her own name was learned before all of them.
    let mut alice = Eve::new(0, &bob).await;
    let seed: PeerId = fs::read_to_string(place.path("alice")).unwrap().trim().parse().unwrap();
    alice.identity = Identity::from_seed(seed.as_bytes());
    alice.ask(Body::Request).await;
    alice.ask(Body::Request).await;
    let line = bob.wait_for("did request").await;
    assert!(line.contains("alice"), "{line}");
}
