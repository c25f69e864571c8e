//! The demo holds what it promises, whatever file it plays with.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Place, run};

#[tokio::test]
async fn every_check_holds() {
    let place = Place::new();
    let (file, _) = place.file("file", 100_000);
    let ended = run(["demo", file.to_str().unwrap()]).await;
    let lines = ended.assert_success().stdout.lines().count();
    assert!((20..100).contains(&lines), "{lines} lines: {}", ended.stdout);
    assert!(!ended.stdout.contains('\u{1b}'), "no colours where there is no terminal");
}

#[tokio::test]
async fn a_short_file_plays_too() {
    let place = Place::new();
    let mut plays = tokio::task::JoinSet::new();
    for length in [0, 1, 3_000] {
        let (file, _) = place.file(&format!("file{length}"), length);
        plays.spawn(async move { run(["demo".as_ref(), file.as_os_str()]).await.assert_success().stdout.len() });
    }
    assert_eq!(plays.join_all().await.len(), 3);
}
