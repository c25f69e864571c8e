//! The rules of a confidant, as its peers meet them: datagrams in, datagrams out.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::missing_const_for_fn,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::{net::SocketAddr, time::Duration};

use common::{Answer, Medium, World, address, chunk, manifest, peer};
use stash_protocol::{
    Body, Capacity, ChunkId, ChunkStore, Confidant, Holding, Manifest, MemoryStore, Name, Outcome, Refusal, RunSecret,
    Sealed, Settings, StoreError,
};
use steadfast_core::Instant;

#[test]
fn what_is_stored_comes_back() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    assert_eq!(world.greet(&alice), Answer::Welcome(None, true));
    assert_eq!(world.put(&alice, 7, 40), Answer::Ack);
    assert_eq!(world.greet(&alice), Answer::Welcome(Some(7), true));
    assert_eq!(world.ask(&alice, Body::Request), [Answer::Response(Some(7), vec![])]);
    let all: Vec<_> = (0..32).map(Answer::Chunk).collect();
    assert_eq!(world.ask(&alice, Body::Fetch { version: 7, first: 0, want: u32::MAX }), all);
    let rest: Vec<_> = (32..40).map(Answer::Chunk).collect();
    assert_eq!(
        world.ask(&alice, Body::Fetch { version: 7, first: 32, want: u32::MAX }),
        rest,
        "no more than there are"
    );
    let two = [Answer::Chunk(3), Answer::Chunk(5)];
    assert_eq!(world.ask(&alice, Body::Fetch { version: 7, first: 2, want: 0b1010 }), two);
}

#[test]
fn an_unknown_owner_is_told_so() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    assert_eq!(world.ask(&alice, Body::Request), [Answer::Response(None, vec![])]);
    let refused = [Answer::Refused(Refusal::NoRecovery)];
    assert_eq!(world.ask(&alice, Body::Fetch { version: 1, first: 0, want: 1 }), refused);
}

#[test]
fn a_hint_tells_where_to_ask() {
    let (mut world, alice, carol) = (World::new(Capacity::Low), peer(1), peer(3));
    let holding = Holding { owner: alice.id(), version: 7 };
    assert_eq!(world.ask(&carol, Body::Holding([holding].into_iter().collect())), []);
    assert_eq!(world.ask(&alice, Body::Request), [Answer::Response(None, vec![address(&carol)])]);
    for seed in 10..100 {
        let other = Holding { owner: peer(seed).id(), version: 1 };
        assert_eq!(world.ask(&carol, Body::Holding([other].into_iter().collect())), []);
    }
    assert_eq!(world.ask(&alice, Body::Request), [Answer::Response(None, vec![])], "the oldest hint made room");
}

#[test]
fn versions_only_grow() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    assert_eq!(world.put(&alice, 7, 3), Answer::Ack);
    assert_eq!(world.put(&alice, 7, 3), Answer::Ack, "the same again changes nothing");
    let older = Answer::Refused(Refusal::OlderVersion { held: 7 });
    assert_eq!(world.put(&alice, 6, 3), older);
    assert_eq!(world.ask(&alice, Body::Commit(manifest(6, 3))), [older]);
    assert_eq!(world.put(&alice, 7, 4), Answer::Refused(Refusal::VersionTaken));
    let other = Manifest { sealed: [2; 80].into_iter().collect(), ..manifest(7, 3) };
    assert_eq!(world.ask(&alice, Body::Commit(other)), [Answer::Refused(Refusal::VersionTaken)]);
    assert_eq!(world.put(&alice, 8, 2), Answer::Ack);
    assert_eq!(world.greet(&alice), Answer::Welcome(Some(8), true));
    assert_eq!(world.confidant.held(&alice.id()), Some(8));
}

#[test]
fn the_older_version_stays_until_the_newer_is_whole() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    assert_eq!(world.put(&alice, 7, 3), Answer::Ack);
    assert_eq!(world.ask(&alice, Body::Store(chunk(8, 40, 1))), [Answer::Ack]);
    let missing = Refusal::Incomplete { first: 0, missing: !0b10 };
    assert_eq!(world.ask(&alice, Body::Commit(manifest(8, 40))), [Answer::Refused(missing)]);
    assert_eq!(world.ask(&alice, Body::Request), [Answer::Response(Some(7), vec![])]);
    assert_eq!(world.ask(&alice, Body::Fetch { version: 7, first: 0, want: 1 }), [Answer::Chunk(0)]);
    assert_eq!(world.put(&alice, 8, 40), Answer::Ack);
    let over = [Answer::Refused(Refusal::NoRecovery)];
    assert_eq!(world.ask(&alice, Body::Fetch { version: 7, first: 0, want: 1 }), over, "a new store ends the recovery");
}

#[test]
fn a_commit_without_an_upload_asks_for_all() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    let missing = Refusal::Incomplete { first: 0, missing: 0b111 };
    assert_eq!(world.ask(&alice, Body::Commit(manifest(1, 3))), [Answer::Refused(missing)]);
    assert_eq!(world.confidant.owners(), 0, "and takes no place");
}

#[test]
fn a_newer_upload_replaces_an_older_one() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    assert_eq!(world.ask(&alice, Body::Store(chunk(5, 2, 0))), [Answer::Ack]);
    assert_eq!(world.ask(&alice, Body::Store(chunk(6, 2, 0))), [Answer::Ack]);
    let older = [Answer::Refused(Refusal::OlderVersion { held: 6 })];
    assert_eq!(world.ask(&alice, Body::Store(chunk(5, 2, 1))), older);
    assert!(!world.confidant.store().holds(&ChunkId { owner: alice.id(), version: 5, index: 0 }));
    assert!(world.confidant.store().holds(&ChunkId { owner: alice.id(), version: 6, index: 0 }));
}

/// Also `seed_11`: the check and the store were two steps, so that a race exceeded the limit.
#[test]
fn a_sixth_owner_is_refused_and_an_update_is_not() {
    for (capacity, owners) in [(Capacity::Low, 5), (Capacity::Medium, 20), (Capacity::High, 50)] {
        let mut world = World::new(capacity);
        for seed in 1..=owners {
            assert_eq!(world.put(&peer(seed), 1, 1), Answer::Ack);
        }
        let late = peer(owners + 1);
        assert_eq!(world.put(&late, 1, 1), Answer::Refused(Refusal::StorageLimit));
        assert_eq!(Refusal::StorageLimit.to_string(), "storage limit reached");
        assert_eq!(world.greet(&late), Answer::Welcome(None, false));
        assert_eq!(world.put(&peer(1), 2, 1), Answer::Ack);
        assert_eq!(world.confidant.owners(), usize::from(owners));
    }
}

#[test]
fn sizes_are_limited() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    let too_large = [Answer::Refused(Refusal::TooLarge { max_chunks: 100 })];
    assert_eq!(world.ask(&alice, Body::Store(chunk(1, 101, 0))), too_large);
    assert_eq!(world.ask(&alice, Body::Commit(manifest(1, u32::MAX))), too_large);
    for (chunks, index) in [(0, 0), (3, 3), (3, u32::MAX)] {
        let out = [Answer::Refused(Refusal::OutOfRange)];
        assert_eq!(world.ask(&alice, Body::Store(chunk(1, chunks, index))), out);
    }
    assert_eq!(world.ask(&alice, Body::Commit(manifest(1, 0))), [Answer::Refused(Refusal::OutOfRange)]);
    assert_eq!(world.confidant.owners(), 0, "none of these took a place");
    assert_eq!(world.put(&alice, 1, 100), Answer::Ack, "the limit itself is allowed");
}

#[test]
fn an_idle_upload_loses_its_place() {
    let (mut world, alice, carol) = (World::new(Capacity::Low), peer(1), peer(3));
    assert_eq!(world.put(&carol, 1, 1), Answer::Ack);
    assert_eq!(world.ask(&alice, Body::Store(chunk(5, 2, 0))), [Answer::Ack]);
    assert_eq!(world.ask(&carol, Body::Store(chunk(2, 2, 0))), [Answer::Ack]);
    world.pass(60);
    let at = world.confidant.next_deadline().unwrap();
    assert_eq!(at, world.now);
    assert_eq!(world.confidant.on_timeout(at.saturating_sub(Duration::from_nanos(1))), None);
    let mut dropped = [world.confidant.on_timeout(at), world.confidant.on_timeout(at)];
    dropped.sort();
    let mut expected = [Some(alice.id()), Some(carol.id())];
    expected.sort();
    assert_eq!(dropped, expected);
    assert_eq!((world.confidant.on_timeout(at), world.confidant.next_deadline()), (None, None));
    assert_eq!(world.confidant.owners(), 1, "alice had nothing else; carol keeps her committed stash");
    assert_eq!(world.confidant.held(&carol.id()), Some(1));
    assert!(!world.confidant.store().holds(&ChunkId { owner: carol.id(), version: 2, index: 0 }));
}

#[test]
fn a_clock_that_steps_back_keeps_no_upload_for_longer() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    assert_eq!(world.ask(&alice, Body::Store(chunk(5, 2, 0))), [Answer::Ack]);
    world.now = Instant::from_secs(10);
    world.greet(&peer(2));
    assert_eq!(world.confidant.next_deadline(), Some(Instant::from_secs(70)));
}

#[test]
fn a_recovery_sends_each_chunk_twice_and_a_few_more() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    assert_eq!(world.put(&alice, 1, 100), Answer::Ack);
    world.ask(&alice, Body::Request);
    let fetch = |world: &mut World| world.ask(&alice, Body::Fetch { version: 1, first: 0, want: u32::MAX });
    for _ in 0..8 {
        assert_eq!(fetch(&mut world).len(), 32);
    }
    assert_eq!(fetch(&mut world), [Answer::Refused(Refusal::NoRecovery)], "264 chunks, 256 of them are gone");
    world.ask(&alice, Body::Request);
    assert_eq!(fetch(&mut world).len(), 32);
    world.pass(60);
    world.greet(&alice);
    assert_eq!(fetch(&mut world), [Answer::Refused(Refusal::NoRecovery)]);
}

/// The seed took the owner from the payload: anybody could overwrite or read another's stash.
#[test]
fn seed_11_nobody_stores_or_reads_under_anothers_name() {
    let (mut world, alice, mallory) = (World::new(Capacity::Low), peer(1), peer(66));
    assert_eq!(world.put(&alice, 1, 2), Answer::Ack);
    assert_eq!(world.put(&mallory, 9, 1), Answer::Ack, "under a name of her own");
    assert_eq!(world.confidant.held(&alice.id()), Some(1));
    assert_eq!(world.ask(&mallory, Body::Request), [Answer::Response(Some(9), vec![])]);
    let mine = [Answer::Refused(Refusal::NoRecovery)];
    assert_eq!(world.ask(&mallory, Body::Fetch { version: 1, first: 0, want: 3 }), mine);
}

#[test]
fn nothing_is_done_for_an_address_that_is_not_proven() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    let unproven = vec![Answer::Refused(Refusal::Unproven)];
    let store = world.seal(&alice, Body::Store(chunk(1, 1, 0)));
    assert_eq!(world.deliver(&store, &alice, address(&alice)).1, unproven, "no cookie yet");
    assert_eq!(world.put(&alice, 1, 1), Answer::Ack, "the refusal brought one");

    let request = world.seal(&alice, Body::Request);
    let elsewhere = SocketAddr::from(([10, 0, 0, 1], 1));
    assert_eq!(world.deliver(&request, &alice, elsewhere).1, unproven, "the cookie of another address");
    world.cookies.insert(peer(3).id(), world.cookies[&alice.id()]);
    let stolen = world.seal(&peer(3), Body::Request);
    assert_eq!(world.deliver(&stolen, &peer(3), address(&alice)).1, unproven, "the cookie of another peer");
}

/// A recovery belongs to the address that opened it: no other address can be flooded with its chunks.
#[test]
fn chunks_go_only_where_the_recovery_was_opened() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    assert_eq!(world.put(&alice, 1, 2), Answer::Ack);
    world.ask(&alice, Body::Request);
    let elsewhere = SocketAddr::from(([10, 0, 0, 1], 1));
    let refresh = world.seal(&alice, Body::Refresh { name: Name::new("alice").unwrap() });
    world.deliver(&refresh, &alice, elsewhere);
    let fetch = world.seal(&alice, Body::Fetch { version: 1, first: 0, want: 3 });
    assert_eq!(world.deliver(&fetch, &alice, elsewhere).1, [Answer::Refused(Refusal::NoRecovery)]);
}

#[test]
fn a_cookie_dies_after_two_minutes_at_the_latest_and_one_at_the_earliest() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    for offset in [0, 1, 30, 59] {
        world.pass(1_000 + offset);
        world.greet(&peer(2));
        world.pass(offset);
        world.greet(&alice);
        let (from, cookie) = (world.now, world.cookies[&alice.id()]);
        for seconds in 0..=120 {
            world.now = from.saturating_add(Duration::from_secs(seconds));
            world.cookies.insert(alice.id(), cookie);
            let accepted = world.ask(&alice, Body::Request) != [Answer::Refused(Refusal::Unproven)];
            assert!(accepted || seconds >= 60, "refused after {seconds} s");
            assert!(!accepted || seconds < 120, "accepted after {seconds} s");
        }
    }
}

#[test]
fn what_was_recorded_before_a_restart_is_worth_nothing_after_it() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    world.greet(&alice);
    let request = world.seal(&alice, Body::Request);
    let store = Medium::default();
    let settings = Settings { capacity: Capacity::Low, max_chunks: 100 };
    world.confidant = Confidant::new(Name::new("bob").unwrap(), settings, store, &RunSecret::new([7; 40]));
    assert_eq!(world.deliver(&request, &alice, address(&alice)).1, [Answer::Refused(Refusal::Unproven)]);
}

#[test]
fn a_restart_keeps_what_was_committed() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    assert!(world.confidant.adopt(&alice.id(), &manifest(7, 3)));
    assert_eq!(world.greet(&alice), Answer::Welcome(Some(7), true));
    assert!(!world.confidant.adopt(&peer(2).id(), &manifest(7, 101)), "more chunks than the settings allow");
    for seed in 2..=5 {
        assert!(world.confidant.adopt(&peer(seed).id(), &manifest(1, 1)));
    }
    assert!(!world.confidant.adopt(&peer(6).id(), &manifest(1, 1)), "more owners than the settings allow");
}

#[test]
fn a_failing_medium_is_reported_and_takes_no_place() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    world.confidant.store().fails = true;
    let failed = [Answer::Refused(Refusal::StorageFailed)];
    assert_eq!(world.ask(&alice, Body::Store(chunk(1, 1, 0))), failed);
    assert_eq!(world.confidant.owners(), 0);
    world.confidant.store().fails = false;
    assert_eq!(world.ask(&alice, Body::Store(chunk(1, 1, 0))), [Answer::Ack]);
    world.confidant.store().fails = true;
    assert_eq!(world.ask(&alice, Body::Commit(manifest(1, 1))), failed);
    assert_eq!(world.confidant.held(&alice.id()), None, "not acknowledged, not kept");
    world.confidant.store().fails = false;
    assert_eq!(world.ask(&alice, Body::Commit(manifest(1, 1))), [Answer::Ack]);
}

#[test]
fn a_chunk_that_cannot_be_read_is_left_out() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    assert_eq!(world.put(&alice, 1, 3), Answer::Ack);
    world.confidant.store().chunks.remove(&(alice.id(), 1, 1));
    world.ask(&alice, Body::Request);
    let two = [Answer::Chunk(0), Answer::Chunk(2)];
    assert_eq!(world.ask(&alice, Body::Fetch { version: 1, first: 0, want: 7 }), two);
}

#[test]
fn a_full_array_refuses_and_keeps_what_it_has() {
    let mut store = MemoryStore::<3>::new();
    let id = |index| ChunkId { owner: peer(1).id(), version: 1, index };
    let sealed = Sealed::new(&common::SEALED).unwrap();
    for index in 0..3 {
        assert_eq!(store.put(&id(index), sealed), Ok(()));
    }
    assert_eq!(store.put(&id(3), sealed), Err(StoreError));
    assert_eq!(store.put(&id(1), sealed), Ok(()), "the same place again");
    assert!((0..3).all(|index| store.holds(&id(index))));
    store.discard(&peer(1).id(), 1);
    assert_eq!(store.put(&id(3), sealed), Ok(()));
}

#[test]
fn five_recoveries_a_minute_and_the_others_are_served() {
    let (mut world, alice, carol, eve) = (World::new(Capacity::Low), peer(1), peer(3), peer(66));
    for owner in [&alice, &carol] {
        assert_eq!(world.put(owner, 1, 1), Answer::Ack);
    }
    for asker in [&alice, &eve] {
        let answer = world.ask(asker, Body::Request);
        for _ in 1..5 {
            assert_eq!(world.ask(asker, Body::Request), answer);
        }
        world.pass(10);
        let limited = [Answer::Refused(Refusal::RateLimited { retry_after_millis: 50_000 })];
        assert_eq!(world.ask(asker, Body::Request), limited);
        assert_eq!(world.ask(asker, Body::Request), limited, "what was refused is not counted");
        assert_eq!(world.ask(&carol, Body::Request), [Answer::Response(Some(1), vec![])]);
    }
    world.pass(50);
    assert_eq!(world.ask(&alice, Body::Request), [Answer::Response(Some(1), vec![])]);
}

#[test]
fn a_flood_of_strangers_takes_nothing_from_an_owner() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    assert_eq!(world.put(&alice, 1, 1), Answer::Ack);
    let mut answered = 0;
    for seed in 2..200 {
        answered += usize::from(world.ask(&peer(seed), Body::Request) == [Answer::Response(None, vec![])]);
    }
    assert!(
        answered > 150,
        "a stranger is served by what the ledger leaves it, and that is enough for one each: {answered}"
    );
    for _ in 0..10 {
        for seed in 2..200 {
            answered += usize::from(world.ask(&peer(seed), Body::Request) == [Answer::Response(None, vec![])]);
        }
    }
    assert!(answered <= 5 * (50 + 50) + 150, "five a minute for each entry and each cell, and no more: {answered}");
    assert_eq!(world.ask(&alice, Body::Request), [Answer::Response(Some(1), vec![])]);
}

#[test]
fn a_message_that_comes_twice_is_handled_once() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    world.greet(&alice);
    let request = world.seal(&alice, Body::Request);
    assert_eq!(world.deliver(&request, &alice, address(&alice)).0, Outcome::Answered { found: false });
    for _ in 0..9 {
        assert_eq!(world.deliver(&request, &alice, address(&alice)), (Outcome::Duplicate, vec![]));
    }
    assert_ne!(world.ask(&alice, Body::Request), [], "and took no more than its own place in the quota");
    world.pass(119);
    let (outcome, _) = world.deliver(&request, &alice, address(&alice));
    assert!(matches!(outcome, Outcome::Duplicate | Outcome::Refused(Refusal::Unproven)), "{outcome:?}");
    world.pass(1);
    let (outcome, _) = world.deliver(&request, &alice, address(&alice));
    assert_eq!(outcome, Outcome::Refused(Refusal::Unproven), "its cookie died no later than its id was forgotten");
}

#[test]
fn a_message_that_failed_may_come_again() {
    let (mut world, alice) = (World::new(Capacity::Low), peer(1));
    world.greet(&alice);
    let store = world.seal(&alice, Body::Store(chunk(1, 1, 0)));
    world.confidant.store().fails = true;
    let failed = Refusal::StorageFailed;
    for _ in 0..2 {
        let answers = vec![Answer::Refused(failed)];
        assert_eq!(world.deliver(&store, &alice, address(&alice)), (Outcome::Refused(failed), answers));
    }
    world.confidant.store().fails = false;
    assert_eq!(world.deliver(&store, &alice, address(&alice)), (Outcome::Stored, vec![Answer::Ack]));
    assert_eq!(world.deliver(&store, &alice, address(&alice)), (Outcome::Duplicate, vec![]));
}

#[test]
fn a_flood_of_ids_never_stops_anybody() {
    let (mut world, alice, mallory) = (World::new(Capacity::Low), peer(1), peer(66));
    world.greet(&alice);
    for _ in 0..300 {
        world.ask(&mallory, Body::Fetch { version: 1, first: 0, want: 1 });
    }
    assert_eq!(world.put(&alice, 1, 1), Answer::Ack);
}
