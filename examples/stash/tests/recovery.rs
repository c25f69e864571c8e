//! Files survive what happens to processes: a kill, a restart, a move. Real processes, real sockets, real files.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;

use common::{Peer, Place, get, put, silent};

const MEBIBYTE: usize = 1 << 20;

#[tokio::test]
async fn a_file_outlives_a_confidant() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob", "carol", "dave", "erin", "frank"]).await;
    let addresses = peers.each_ref().map(|peer| peer.address);
    let (file, bytes) = place.file("diary", MEBIBYTE);
    put(&file, &place.path("alice.seed"), &addresses).await.assert_success();

    // Her machine is gone, and the first confidant. The seed alone is left, on another machine.
    let [bob, ..] = peers;
    let _silent = bob.kill().await;
    let elsewhere = Place::new();
    fs::copy(place.path("alice.seed"), elsewhere.path("seed")).unwrap();
    get(&elsewhere.path("diary"), &elsewhere.path("seed"), &addresses).await.assert_success();
    assert!(fs::read(elsewhere.path("diary")).unwrap() == bytes);
    assert_eq!(elsewhere.listing(), ["diary", "seed"]);
}

#[tokio::test]
async fn killed_confidants_come_back_with_what_they_acknowledged() {
    let place = Place::new();
    let names = ["bob", "carol", "dave"];
    let peers = Peer::start_all(&place, names).await;
    let addresses = peers.each_ref().map(|peer| peer.address);
    let (file, bytes) = place.file("diary", MEBIBYTE / 4);
    put(&file, &place.path("seed"), &addresses).await.assert_success();
    for peer in peers {
        drop(peer.kill().await);
    }
    let peers = Peer::start_all(&place, names).await;
    get(&place.path("out"), &place.path("seed"), &peers.each_ref().map(|peer| peer.address)).await.assert_success();
    assert!(fs::read(place.path("out")).unwrap() == bytes);
}

#[tokio::test]
async fn the_newest_version_comes_back() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob", "carol", "dave"]).await;
    let addresses = peers.each_ref().map(|peer| peer.address);
    let (first, _) = place.file("first", 100_000);
    let (second, bytes) = place.file("second", 70_001);
    put(&first, &place.path("seed"), &addresses).await.assert_success();
    // One confidant misses the second version, and offers the first one later.
    let [bob, mut carol, mut dave] = peers;
    let tomb = bob.kill().await;
    put(&second, &place.path("seed"), &addresses).await.assert_success();
    drop(tomb);
    let bob = Peer::start(&place, "bob").await;
    get(&place.path("out"), &place.path("seed"), &[bob.address, carol.address, dave.address]).await.assert_success();
    assert!(fs::read(place.path("out")).unwrap() == bytes);
    carol.assert_alive();
    dave.assert_alive();
}

#[tokio::test]
async fn nothing_and_little_are_files_too() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob", "carol", "dave"]).await;
    let addresses = peers.each_ref().map(|peer| peer.address);
    for length in [0, 1, 960, 961, 1_920] {
        let (file, bytes) = place.file("file", length);
        let seed = place.path(&format!("seed{length}")); // one owner may ask five times a minute
        put(&file, &seed, &addresses).await.assert_success();
        get(&place.path("out"), &seed, &addresses).await.assert_success();
        assert!(fs::read(place.path("out")).unwrap() == bytes, "{length}");
    }
}

#[tokio::test]
async fn owners_do_not_see_each_other() {
    let place = Place::new();
    let mut peers = Peer::start_all(&place, ["bob", "carol", "dave"]).await;
    let addresses = peers.each_ref().map(|peer| peer.address);
    let owners: Vec<_> = (0..4).map(|owner| (owner, place.file(&format!("file{owner}"), 10_000 + owner))).collect();
    let store = |(owner, (file, _)): &(usize, (std::path::PathBuf, _))| {
        let (file, seed) = (file.clone(), place.path(&format!("seed{owner}")));
        async move {
            put(&file, &seed, &addresses).await.assert_success();
        }
    };
    // All at once.
    let mut stores = tokio::task::JoinSet::new();
    owners.iter().for_each(|owner| drop(stores.spawn(store(owner))));
    stores.join_all().await;
    for (owner, (_, bytes)) in &owners {
        let out = place.path(&format!("out{owner}"));
        get(&out, &place.path(&format!("seed{owner}")), &addresses).await.assert_success();
        assert!(fs::read(out).unwrap() == *bytes);
    }
    let line = peers[0].wait_for("did store").await;
    assert!(line.starts_with("📦 [stash] "), "{line}");
}

#[tokio::test]
async fn a_missing_confidant_costs_little() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob", "carol", "dave"]).await;
    let (_socket, nobody) = silent();
    let addresses = [nobody, peers[0].address, peers[1].address, peers[2].address];
    let (file, bytes) = place.file("diary", 50_000);
    put(&file, &place.path("seed"), &addresses).await.assert_success();
    place.assert_kept(&addresses, &bytes).await;
}
