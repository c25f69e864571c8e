//! Links that lose, double and damage, and an attacker beside them, in front of real processes.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{fs, time::Duration};

use common::{Peer, Place, get, put, putting, until};
use stash::{
    bad_link::{BadLink, Faults},
    demo::Mallory,
};
use stash_protocol::{Identity, wire};
use tokio::time::sleep;

#[tokio::test]
async fn a_bad_link_loses_nothing() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob", "carol", "dave"]).await;
    let (file, bytes) = place.file("file", 1 << 20);
    let lossy = Faults { lost: 100, ..Faults::default() };
    let worse = Faults { lost: 100, doubled: 100, damaged: 20 };
    for (name, faults) in [("lossy", lossy), ("worse", worse)] {
        let mut links = Vec::new();
        for (peer, seed) in peers.iter().zip(1..) {
            links.push(BadLink::open(peer.address, faults, seed).await.unwrap());
        }
        let addresses: Vec<_> = links.iter().map(BadLink::addr).collect();
        let (seed, out) = (place.path(&format!("{name}.seed")), place.path("out"));
        let stored = put(&file, &seed, &addresses).await;
        let recovered = get(&out, &seed, &addresses).await;
        print!("{faults:?}: {}{}", stored.assert_success().stdout, recovered.assert_success().stdout);
        assert!(fs::read(&out).unwrap() == bytes);
        let counts = links.iter().map(BadLink::counts);
        counts
            .for_each(|counts| assert!(counts.lost > 0 && (counts.damaged > 0) == (faults.damaged > 0), "{counts:?}"));
    }
}

#[tokio::test]
async fn replays_forgeries_and_garbage_change_nothing() {
    let place = Place::new();
    let mut peers = Peer::start_all(&place, ["bob", "carol", "dave"]).await;
    let mut links = Vec::new();
    for (peer, seed) in peers.iter().zip(1..) {
        links.push(BadLink::open(peer.address, Faults::default(), seed).await.unwrap());
    }
    let addresses: Vec<_> = links.iter().map(BadLink::addr).collect();
    let (first, _) = place.file("first", 20_000);
    put(&first, &place.path("seed"), &addresses).await.assert_success();
    let of_the_first: Vec<_> = links.iter().map(BadLink::overheard).collect();
    let (second, bytes) = place.file("second", 30_000);
    put(&second, &place.path("seed"), &addresses).await.assert_success();

    let seed: [u8; 32] = seed_of(&place.path("seed"));
    let alice = Identity::from_seed(&seed).id();
    let mut mallory = Mallory::new(&[0x66; 32]).await.unwrap();
    for ((link, peer), recorded) in links.iter().zip(&peers).zip(&of_the_first) {
        assert!(link.replay().await.unwrap() > 0);
        assert!(mallory.resend(recorded, peer.address).await.unwrap() > 0);
        mallory.store_as(alice, u64::MAX, peer.address).await.unwrap();
        assert!(mallory.garbage(&link.overheard(), peer.address).await.unwrap() > 100);
    }
    place.assert_kept(&addresses, &bytes).await;
    peers.iter_mut().for_each(Peer::assert_alive);
}

#[tokio::test]
async fn forged_acks_store_nothing() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob", "carol", "dave"]).await;
    let mut links = Vec::new();
    for (peer, seed) in peers.iter().zip(1..) {
        links.push(BadLink::open(peer.address, Faults::default(), seed).await.unwrap());
    }
    let addresses: Vec<_> = links.iter().map(BadLink::addr).collect();
    let (first, bytes) = place.file("first", 5_000);
    put(&first, &place.path("seed"), &addresses).await.assert_success();

    // From the middle of the next store on, all that comes back is from mallory.
    let (second, _) = place.file("second", 300_000);
    let before = links[0].counts().seen;
    let mut store = putting(&second, &place.path("seed"), &addresses);
    until(|| links[0].counts().seen >= before + 100 || store.try_wait().unwrap().is_some()).await;
    links.iter().for_each(|link| link.set_faults(Faults { lost: 1_000, ..Faults::default() }));
    let mut mallory = Mallory::new(&[0x66; 32]).await.unwrap();
    let (mut acks, mut seen) = (0, vec![0; links.len()]);
    let ended = loop {
        for ((link, peer), seen) in links.iter().zip(&peers).zip(&mut seen) {
            let (now, heard) = (link.counts().seen, link.overheard());
            let new = usize::try_from(now - *seen).unwrap().min(heard.len());
            *seen = now;
            for call in &heard[heard.len() - new..] {
                acks += u64::from(mallory.ack(call, peer.id, *link.clients().last().unwrap()).await.unwrap());
            }
        }
        if let Some(status) = store.try_wait().unwrap() {
            break status;
        }
        sleep(Duration::from_millis(1)).await;
    };
    assert!(acks > 50, "{acks}");
    assert_eq!(ended.code(), Some(1));
    links.iter().for_each(|link| link.set_faults(Faults::default()));
    place.assert_kept(&addresses, &bytes).await;
}

#[tokio::test]
async fn a_flood_is_held_and_others_are_served() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob", "carol", "dave"]).await;
    let addresses = peers.each_ref().map(|peer| peer.address);
    let (file, bytes) = place.file("diary", 5_000);
    put(&file, &place.path("seed"), &addresses).await.assert_success();
    let mut mallory = Mallory::new(&[0x66; 32]).await.unwrap();
    for address in addresses {
        let flood = mallory.flood(40, address).await.unwrap();
        assert_eq!((flood.answered, flood.limited, flood.other), (5, 35, 0));
    }
    place.assert_kept(&addresses, &bytes).await;
}

#[tokio::test]
async fn what_passes_the_wire_tells_nothing() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob", "carol", "dave"]).await;
    let link = BadLink::open(peers[0].address, Faults::default(), 1).await.unwrap();
    let file = place.path("diary");
    fs::write(&file, "the secret that nobody else may read ".repeat(50)).unwrap();
    put(&file, &place.path("seed"), &[link.addr(), peers[1].address, peers[2].address]).await.assert_success();
    let overheard = link.overheard();
    assert!(overheard.len() > 2 && overheard.iter().all(|datagram| datagram.len() <= wire::MAX_DATAGRAM));
    let tells = |datagram: &Vec<u8>| datagram.windows(6).any(|window| window == b"secret" || window == b"diary\0");
    assert!(!overheard.iter().any(tells));
}

fn seed_of(file: &std::path::Path) -> [u8; 32] {
    let bytes = fs::read(file).unwrap();
    match <[u8; 32]>::try_from(&*bytes) {
        Ok(seed) => seed,
        Err(_) => {
            let text = String::from_utf8(bytes).unwrap();
            let id: stash_protocol::PeerId = text.trim().parse().unwrap(); // 64 hexadecimal digits as well
            *id.as_bytes()
        }
    }
}
