//! What a user can get wrong: a clear word, a status that is not 0, and nothing lost.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{fs, net::UdpSocket};

use common::{Peer, Place, get, list, put, run, run_alone, silent};

#[tokio::test]
async fn the_wrong_seed_finds_nothing() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob", "carol", "dave"]).await;
    let addresses = peers.each_ref().map(|peer| peer.address);
    let (file, _) = place.file("file", 1_000);
    put(&file, &place.path("seed"), &addresses).await.assert_success();
    put(&file, &place.path("other"), &addresses[..1]).await.assert_success();
    let before = place.listing();
    let ended = get(&place.path("out"), &place.path("other"), &addresses[1..]).await;
    ended.assert_failure("none keeps anything for this seed");
    assert_eq!(place.listing(), before);
}

#[tokio::test]
async fn a_seed_file_that_is_none_is_refused() {
    let place = Place::new();
    let (_socket, peer) = silent();
    let (file, _) = place.file("file", 1_000);
    get(&place.path("out"), &place.path("missing"), &[peer]).await.assert_failure("missing");
    let (short, _) = place.file("short", 10);
    get(&place.path("out"), &short, &[peer]).await.assert_failure("short");
    put(&file, &short, &[peer]).await.assert_failure("short");
    assert_eq!(place.listing(), ["file", "short"]);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let place = Place::new();
    let (_socket, peer) = silent();
    put(&place.path("nowhere"), &place.path("seed"), &[peer]).await.assert_failure("nowhere");
    put(place.path("").as_path(), &place.path("seed"), &[peer]).await.assert_failure("directory");
}

#[tokio::test]
async fn nowhere_to_write_is_told_and_an_old_file_stays() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob"]).await;
    let (file, _) = place.file("file", 1_000);
    put(&file, &place.path("seed"), &[peers[0].address]).await.assert_success();
    let out = place.path("no/such/folder/out");
    get(&out, &place.path("seed"), &[peers[0].address]).await.assert_failure("no/such/folder");

    // A recovery that fails leaves what was there.
    let (old, bytes) = place.file("old", 50);
    let (_socket, nobody) = silent();
    get(&old, &place.path("seed"), &[nobody]).await.assert_failure("does not answer");
    assert_eq!(fs::read(old).unwrap(), bytes);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_is_named() {
    let place = Place::new();
    let (_socket, nobody) = silent();
    let (file, _) = place.file("file", 1_000);
    let ended = put(&file, &place.path("seed"), &[nobody]).await;
    ended.assert_failure(&nobody.to_string());
    ended.assert_failure("does not answer");
}

#[tokio::test]
async fn a_file_too_large_is_refused_before_it_costs_much() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob", "carol", "dave"]).await;
    let file = place.path("large");
    fs::File::create(&file).unwrap().set_len(8 << 30).unwrap(); // a hole: no bytes on disk
    put(&file, &place.path("seed"), &peers.each_ref().map(|peer| peer.address)).await.assert_failure("too l");
}

#[tokio::test]
async fn a_full_peer_says_so() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["frank"]).await;
    let addresses = [peers[0].address];
    let (file, _) = place.file("file", 100);
    for owner in 0..5 {
        put(&file, &place.path(&format!("seed{owner}")), &addresses).await.assert_success();
    }
    put(&file, &place.path("seed5"), &addresses).await.assert_failure("storage limit reached");
    put(&file, &place.path("seed0"), &addresses).await.assert_success(); // an update needs no place
}

#[tokio::test]
async fn a_name_too_long_a_taken_port_and_a_taken_folder_are_refused() {
    let place = Place::new();
    let serve = |name: &str, listen: &str, dir: &str| {
        let args = ["serve", "--name", name, "--listen", listen, "--dir"].map(str::to_owned);
        run(args.into_iter().chain([place.path(dir).display().to_string()]))
    };
    serve(&"bob".repeat(20), "127.0.0.1:0", "bob").await.assert_failure("32");
    serve("", "127.0.0.1:0", "bob").await.assert_failure("name");
    serve("b\no\nb", "127.0.0.1:0", "bob").await.assert_failure("name");
    serve("bob", "127.0.0.1", "bob").await.assert_failure("127.0.0.1");
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    serve("bob", &address, "bob").await.assert_failure(&address);
    let mut bob = Peer::start(&place, "bob").await;
    serve("bob", "127.0.0.1:0", "bob").await.assert_failure("another peer serves from this folder");
    bob.assert_alive();
}

#[tokio::test]
async fn wrong_arguments_are_explained() {
    let place = Place::new();
    let (file, _) = place.file("file", 100);
    let (file, seed) = (file.display().to_string(), place.path("seed").display().to_string());
    for peers in ["", "bob", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:7001,", "@127.0.0.1:7001"] {
        let ended = run(["put", &file, "--seed-file", &seed, "--peers", peers]).await;
        ended.assert_failure("--peers");
    }
    run(["put", &file]).await.assert_failure("--seed-file");
    run(["fetch"]).await.assert_failure("fetch");
    run(["demo", "/no/such/file"]).await.assert_failure("/no/such/file");
    for command in [&["--help"][..], &["serve", "--help"], &["put", "--help"], &["get", "--help"], &["demo", "--help"]]
    {
        assert!(run(command).await.assert_success().stdout.contains("Usage"));
    }
    assert_eq!(place.listing(), ["file"]);
}

#[tokio::test]
async fn a_peer_bears_any_datagram() {
    let place = Place::new();
    let mut peers = Peer::start_all(&place, ["bob"]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in (0..1_300).step_by(7).chain([60_000]) {
        socket.send_to(&vec![length as u8; length], peers[0].address).unwrap();
        let mut labelled = b"steadfast stash\x01".to_vec();
        labelled.resize(16 + length, length as u8);
        socket.send_to(&labelled, peers[0].address).unwrap();
    }
    let (file, bytes) = place.file("file", 1_000);
    put(&file, &place.path("seed"), &[peers[0].address]).await.assert_success();
    get(&place.path("out"), &place.path("seed"), &[peers[0].address]).await.assert_success();
    assert_eq!(fs::read(place.path("out")).unwrap(), bytes);
    peers[0].assert_alive();
}

#[tokio::test]
async fn the_same_peer_named_twice_counts_once() {
    let place = Place::new();
    let peers = Peer::start_all(&place, ["bob"]).await;
    let (file, _) = place.file("file", 1_000);
    let twice = list(&[peers[0].address, peers[0].address, peers[0].address]);
    let (file, seed) = (file.display().to_string(), place.path("seed").display().to_string());
    run(["put", &file, "--seed-file", &seed, "--peers", &twice]).await.assert_failure("1 of 3");
}

#[tokio::test]
async fn a_microcontroller_without_its_emulator_is_one_line() {
    let ended = run_alone(["demo", "--mcu"]).await;
    ended.assert_failure("missing: qemu-system-arm");
    assert_eq!((ended.code, ended.stderr.lines().count()), (Some(1), 1), "{ended:?}");
}
