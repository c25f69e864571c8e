//! Processes that are killed in the middle of their work.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{fs, net::SocketAddr};

use common::{Peer, Place, get, put, putting, until};
use stash::bad_link::{BadLink, Faults};

/// Good links in front of the peers, to see how far a store has come.
async fn links(peers: &[Peer]) -> (Vec<BadLink>, Vec<SocketAddr>) {
    let mut links = Vec::new();
    for (peer, seed) in peers.iter().zip(1..) {
        links.push(BadLink::open(peer.address, Faults::default(), seed).await.unwrap());
    }
    let addresses = links.iter().map(BadLink::addr).collect();
    (links, addresses)
}

fn seen(links: &[BadLink]) -> u64 {
    links.iter().map(|link| link.counts().seen).sum()
}

#[tokio::test]
async fn a_confidant_that_dies_during_a_store_is_replaced() {
    let place = Place::new();
    let mut peers = Vec::from(Peer::start_all(&place, ["bob", "carol", "dave", "erin"]).await);
    let (links, addresses) = links(&peers).await;
    let (file, bytes) = place.file("file", 300_000);
    let mut store = putting(&file, &place.path("seed"), &addresses);
    until(|| seen(&links) >= 600 || store.try_wait().unwrap().is_some()).await; // about a third of it
    let _silent = peers.remove(0).kill().await;
    assert!(store.wait().await.unwrap().success());
    place.assert_kept(&addresses, &bytes).await;

    // What bob had of it goes when he comes back, and harms nobody.
    let bob = Peer::start(&place, "bob").await;
    let addresses: Vec<_> = peers.iter().chain([&bob]).map(|peer| peer.address).collect();
    place.assert_kept(&addresses, &bytes).await;
}

#[tokio::test]
async fn an_owner_that_dies_during_a_store_leaves_one_whole_version() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob", "carol", "dave"]).await;
    let (links, addresses) = links(&peers).await;
    let (first, old) = place.file("first", 40_000);
    let (second, new) = place.file("second", 60_000);
    // The second store is 390 datagrams. Each time with an owner of its own.
    for datagrams in [7, 200, 380, 384, 388] {
        let (seed, out) = (place.path(&format!("seed{datagrams}")), place.path("out"));
        put(&first, &seed, &addresses).await.assert_success();
        let before = seen(&links);
        let mut store = putting(&second, &seed, &addresses);
        until(|| seen(&links) >= before + datagrams || store.try_wait().unwrap().is_some()).await;
        store.kill().await.unwrap();
        get(&out, &seed, &addresses).await.assert_success();
        let file = fs::read(&out).unwrap();
        assert!(file == old || file == new, "{datagrams}");
    }
}

#[tokio::test]
async fn when_all_confidants_die_during_a_store_the_version_before_it_is_left() {
    let place = Place::new();
    let names = ["bob", "carol", "dave"];
    let peers = Peer::start_all(&place, names).await;
    let (first, old) = place.file("first", 50_000);
    put(&first, &place.path("seed"), &peers.each_ref().map(|peer| peer.address)).await.assert_success();
    let (links, addresses) = links(&peers).await;
    let (second, _) = place.file("second", 300_000);
    let mut store = putting(&second, &place.path("seed"), &addresses);
    until(|| seen(&links) >= 600 || store.try_wait().unwrap().is_some()).await;
    let mut silent = Vec::new();
    for peer in peers {
        silent.push(peer.kill().await);
    }
    assert_eq!(store.wait().await.unwrap().code(), Some(1));
    let peers = Peer::start_all(&place, names).await;
    let addresses = peers.each_ref().map(|peer| peer.address);
    place.assert_kept(&addresses, &old).await;
}

#[tokio::test]
async fn what_rots_on_one_disk_comes_from_another() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob", "carol", "dave"]).await;
    let addresses = peers.each_ref().map(|peer| peer.address);
    let (file, bytes) = place.file("file", 200_000);
    put(&file, &place.path("seed"), &addresses).await.assert_success();
    for name in ["bob", "carol"] {
        for folder in fs::read_dir(place.path(name)).unwrap().map(|entry| entry.unwrap().path()) {
            let Ok(files) = fs::read_dir(folder) else { continue };
            let is_data = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "data");
            for path in files.map(|entry| entry.unwrap().path()).filter(is_data) {
                let mut bytes = fs::read(&path).unwrap();
                bytes.iter_mut().skip(500).step_by(1_000).for_each(|byte| *byte ^= 0x55);
                fs::write(path, bytes).unwrap();
            }
        }
    }
    let ended = get(&place.path("out"), &place.path("seed"), &addresses).await;
    assert!(ended.assert_success().stderr.contains("damaged"), "{ended:?}");
    assert!(fs::read(place.path("out")).unwrap() == bytes);
}
