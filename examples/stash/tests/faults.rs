//! What a machine may do to a peer and an owner: full disks, damaged folders, files that are none, addresses of both
//! kinds.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![cfg(unix)]

mod common;

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Command,
};

use common::{Peer, Place, get, owning, put, run, run_by, silent, stash, stash_with_blocks};

fn made_by(program: &str, args: &[&str], path: &Path) -> bool {
    Command::new(program).arg(path).args(args).status().is_ok_and(|status| status.success())
}

#[tokio::test]
async fn found_f2_a_folder_of_somebody_else_is_refused_and_left_as_it_was() {
    let place = Place::new();
    let theirs = place.path("home").join("0".repeat(64));
    fs::create_dir_all(theirs.join("photos")).unwrap();
    fs::write(theirs.join("photos/1"), "precious").unwrap();
    let home = place.path("home");
    let serve = || run(["serve", "--name", "bob", "--listen", "127.0.0.1:0", "--dir", home.to_str().unwrap()]);
    serve().await.assert_failure("not made by `stash serve`");
    assert_eq!(fs::read(theirs.join("photos/1")).unwrap(), b"precious");
    assert_eq!(fs::read_dir(&home).unwrap().count(), 1, "nothing was put there");

    // Nor is it touched in a folder of the peer's own.
    let bob = Peer::start(&place, "bob").await;
    drop(bob.kill().await);
    fs::rename(&theirs, place.path("bob").join("0".repeat(64))).unwrap();
    let mut bob = Peer::start(&place, "bob").await;
    bob.wait_for("left as it is").await;
    assert_eq!(fs::read(place.path("bob").join("0".repeat(64)).join("photos/1")).unwrap(), b"precious");
}

#[tokio::test]
async fn found_f3_what_is_no_regular_file_is_refused_before_anybody_is_asked() {
    let place = Place::new();
    let [bob] = Peer::start_all(&place, ["bob"]).await;
    let (file, bytes) = place.file("file", 1_000);
    put(&file, &place.path("seed"), &[bob.address]).await.assert_success();

    let _socket = UnixListener::bind(place.path("socket")).unwrap();
    fs::write(place.path("target"), "old").unwrap();
    symlink(place.path("target"), place.path("link")).unwrap();
    symlink(place.path("nothing"), place.path("dangling")).unwrap();
    let mut cases = vec![("socket", "socket"), ("link", "link"), ("dangling", "link")];
    assert!(made_by("mkfifo", &[], &place.path("pipe")));
    cases.push(("pipe", "pipe"));
    if made_by("mknod", &["c", "1", "3"], &place.path("device")) {
        cases.push(("device", "device")); // only root can make one
    }
    for (name, what) in cases {
        let out = place.path(name);
        let before = fs::symlink_metadata(&out).unwrap().file_type();
        let (_socket, nobody) = silent();
        for peer in [bob.address, nobody] {
            get(&out, &place.path("seed"), &[peer]).await.assert_failure(what);
        }
        assert_eq!(fs::symlink_metadata(&out).unwrap().file_type(), before, "{name}");
    }
    assert_eq!(fs::read(place.path("target")).unwrap(), b"old");
    assert!(fs::symlink_metadata(place.path("pipe")).unwrap().file_type().is_fifo());
    get(&place.path("seed"), &place.path("seed"), &[bob.address]).await.assert_failure("seed file");

    // What may be replaced is for its owner alone from then on.
    fs::set_permissions(place.path("target"), fs::Permissions::from_mode(0o644)).unwrap();
    for name in ["new", "target"] {
        get(&place.path(name), &place.path("seed"), &[bob.address]).await.assert_success();
        assert_eq!(fs::read(place.path(name)).unwrap(), bytes);
        assert_eq!(fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn found_f3_standard_output_has_the_file_and_nothing_else() {
    let place = Place::new();
    let [bob] = Peer::start_all(&place, ["bob"]).await;
    fs::write(place.path("file"), "a line\n").unwrap();
    put(&place.path("file"), &place.path("seed"), &[bob.address]).await.assert_success();
    let before = place.listing();
    let ended = get(Path::new("-"), &place.path("seed"), &[bob.address]).await;
    assert_eq!(ended.assert_success().stdout, "a line\n");
    assert!(ended.stderr.contains("recovered 7 bytes"), "{ended:?}");
    assert_eq!(place.listing(), before);
}

#[tokio::test]
async fn found_f3_devices_without_end_are_refused_and_pipes_are_read() {
    let place = Place::new();
    let [bob] = Peer::start_all(&place, ["bob"]).await;
    put(Path::new("/dev/zero"), &place.path("seed"), &[bob.address]).await.assert_failure("too long");
    let (file, _) = place.file("file", 10);
    for command in ["put", "get"] {
        run(owning(command, &file, Path::new("/dev/zero"), &[bob.address]))
            .await
            .assert_failure("/dev/zero: not a seed");
    }
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", "echo a line | \"$0\" \"$@\"", env!("CARGO_BIN_EXE_stash")]);
    run_by(shell, owning("put", Path::new("/dev/stdin"), &place.path("seed"), &[bob.address])).await.assert_success();
    place.assert_kept(&[bob.address], b"a line\n").await;
}

#[tokio::test]
async fn found_f4_a_damaged_manifest_locks_nobody_out() {
    let place = Place::new();
    let [bob] = Peer::start_all(&place, ["bob"]).await;
    let (file, bytes) = place.file("file", 5_000);
    for seed in ["seed", "other"] {
        put(&file, &place.path(seed), &[bob.address]).await.assert_success();
    }
    drop(bob.kill().await);
    let owner: PathBuf = folder_of(&place, "bob", "other");
    fs::write(owner.join("manifest"), "damaged").unwrap();

    let mut bob = Peer::start(&place, "bob").await;
    let line = bob.wait_for("the manifest is damaged").await;
    assert!(line.contains("set aside"), "{line}");
    place.assert_kept(&[bob.address], &bytes).await;
    get(&place.path("out"), &place.path("other"), &[bob.address]).await.assert_failure("none keeps anything");
    put(&file, &place.path("other"), &[bob.address]).await.assert_success();
    get(&place.path("out"), &place.path("other"), &[bob.address]).await.assert_success();
}

/// The folder that a peer keeps for the owner of a seed file.
fn folder_of(place: &Place, peer: &str, seed: &str) -> PathBuf {
    let seed: stash_protocol::PeerId = fs::read_to_string(place.path(seed)).unwrap().trim().parse().unwrap();
    let owner = stash_protocol::Identity::from_seed(seed.as_bytes()).id();
    place.path(peer).join(owner.to_string())
}

#[tokio::test]
async fn found_f6_a_seed_or_key_that_cannot_be_written_is_not_there() {
    let place = Place::new();
    let (_socket, nobody) = silent();
    let (file, bytes) = place.file("file", 1_000);
    let ended = run_by(stash_with_blocks(0), owning("put", &file, &place.path("seed"), &[nobody])).await;
    ended.assert_failure("seed");
    assert_eq!(place.listing(), ["file"]);
    let dir = place.path("bob").display().to_string();
    let args = ["serve", "--name", "bob", "--listen", "127.0.0.1:0", "--dir", &dir];
    run_by(stash_with_blocks(0), args).await.assert_failure("bob");
    assert!(!place.path("bob/key").exists());

    // With room again, all is well.
    let bob = Peer::start(&place, "bob").await;
    put(&file, &place.path("seed"), &[bob.address]).await.assert_success();
    place.assert_kept(&[bob.address], &bytes).await;
    // What an earlier version, or somebody else, has left empty is named, with a way out.
    drop(bob.kill().await);
    fs::write(place.path("bob/key"), "").unwrap();
    run(args).await.assert_failure("bob/key: not a seed");
    run(args).await.assert_failure("remove it");
    fs::write(place.path("seed"), "").unwrap();
    run(owning("put", &file, &place.path("seed"), &[nobody])).await.assert_failure("the file is empty; remove it");
}

#[tokio::test]
async fn found_f8_a_limit_on_files_is_a_full_disk_and_ends_nobody() {
    let place = Place::new();
    let mut bob = Peer::start_by(stash_with_blocks(64), &place, "bob", "127.0.0.1:0").await;
    let (small, bytes) = place.file("small", 10_000);
    let (large, _) = place.file("large", 100_000);
    put(&small, &place.path("seed"), &[bob.address]).await.assert_success();
    put(&large, &place.path("seed"), &[bob.address]).await.assert_failure("storage failed");
    put(&large, &place.path("other"), &[bob.address]).await.assert_failure("storage failed");
    bob.assert_alive();
    bob.wait_for("the disk failed").await;
    place.assert_kept(&[bob.address], &bytes).await;

    // An owner's own file may be too long as well.
    let carol = Peer::start(&place, "carol").await;
    put(&large, &place.path("seed"), &[carol.address]).await.assert_success();
    let out = place.path("large.out");
    let ended = run_by(stash_with_blocks(64), owning("get", &out, &place.path("seed"), &[carol.address])).await;
    ended.assert_failure("large.out");
    assert_eq!(place.listing(), ["bob", "carol", "large", "other", "out", "seed", "small"]);
}

#[cfg(target_os = "linux")] // elsewhere there is no file that is always full
#[tokio::test]
async fn found_f8_a_standard_output_that_is_full_is_an_error_like_any() {
    let place = Place::new();
    let [bob] = Peer::start_all(&place, ["bob"]).await;
    let (file, bytes) = place.file("file", 1_000);
    let full = |command: &str, path: &Path| {
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", "\"$0\" \"$@\" >/dev/full", env!("CARGO_BIN_EXE_stash")]);
        run_by(shell, owning(command, path, &place.path("seed"), &[bob.address]))
    };
    put(&file, &place.path("seed"), &[bob.address]).await.assert_success();
    full("put", &file).await.assert_failure("standard output");
    full("get", &place.path("out")).await.assert_failure("standard output");
    assert_eq!(fs::read(place.path("out")).unwrap(), bytes);
    full("get", Path::new("-")).await.assert_failure("-: ");
}

#[tokio::test]
async fn found_f7_peers_of_both_families_keep_one_file() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return; // this machine has no IPv6
    }
    let place = Place::new();
    let four = Peer::start(&place, "four").await;
    let six = Peer::start_by(stash(), &place, "six", "[::1]:0").await;
    let both = Peer::start_by(stash(), &place, "both", "[::]:0").await;
    let port = both.address.port();
    let (file, bytes) = place.file("file", 30_000);
    let orders: [[SocketAddr; 3]; 4] = [
        [four.address, six.address, SocketAddr::from(([127, 0, 0, 1], port))],
        [six.address, four.address, format!("[::1]:{port}").parse().unwrap()],
        [format!("[::1]:{port}").parse().unwrap(), four.address, six.address],
        [format!("[::ffff:127.0.0.1]:{port}").parse().unwrap(), six.address, four.address],
    ];
    for peers in orders {
        let stored = put(&file, &place.path("seed"), &peers).await;
        assert!(stored.assert_success().stdout.contains("four") && stored.stdout.contains("six"), "{stored:?}");
        place.assert_kept(&peers, &bytes).await;
    }
}
