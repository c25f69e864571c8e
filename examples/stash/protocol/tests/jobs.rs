//! What a message may cost, and who waits while the store works for it.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::missing_const_for_fn,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[expect(dead_code, reason = "shared with other tests")]
mod common;

use std::collections::BTreeMap;

use common::{Answer, World, address, chunk, manifest, peer};
use stash_protocol::{
    Begun, Body, Capacity, ChunkId, ChunkStore, Confidant, Identity, Job, Manifest, Message, Name, Outcome, PeerId,
    Refusal, RunSecret, Sealed, Settings, StoreError,
    wire::{self, MAX_DATAGRAM},
};
use steadfast_core::Instant;

/// A store that counts what it is asked, and that lacks the last chunk of every upload.
#[derive(Default)]
struct Counting(BTreeMap<&'static str, u32>);

impl Counting {
    fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

impl ChunkStore for Counting {
    fn put(&mut self, _: &ChunkId, _: Sealed<'_>) -> Result<(), StoreError> {
        self.count("put");
        Ok(())
    }

    fn get(&mut self, _: &ChunkId, _: &mut [u8; Sealed::MAX]) -> Option<usize> {
        self.count("get");
        None
    }

    fn holds(&mut self, id: &ChunkId) -> bool {
        self.count("holds");
        id.index + 1 < CHUNKS
    }

    fn missing(&mut self, _: &PeerId, _: u64, chunks: u32) -> Option<(u32, u32)> {
        self.count("missing");
        Some((chunks - 1, 1))
    }

    fn commit(&mut self, _: &PeerId, _: &Manifest) -> Result<(), StoreError> {
        self.count("commit");
        Ok(())
    }

    fn discard(&mut self, _: &PeerId, _: u64) {
        self.count("discard");
    }
}

/// As many as 64 MiB make.
const CHUNKS: u32 = 70_000;

/// Each took a look at each of 70,000 chunks, while everybody waited.
#[test]
fn found_f1_a_message_costs_the_store_no_more_than_one_call() {
    let (bob, alice) = (peer(200), peer(1));
    let settings = Settings { capacity: Capacity::Low, max_chunks: CHUNKS };
    let name = Name::new("bob").unwrap();
    let mut confidant: Confidant<_, 5, 64> =
        Confidant::new(name, settings, Counting::default(), &RunSecret::new([5; 40]));
    let (now, mut cookie, mut id) = (Instant::from_secs(1_000), 0, 0);
    let mut say = |body: Body<'_>| {
        id += 1;
        let message = Message { from: alice.id(), to: Some(bob.id()), id, in_reply_to: None, cookie, body };
        let mut buffer = [0; MAX_DATAGRAM];
        let datagram = wire::seal(&message, &alice, &mut buffer).unwrap();
        let mut reply = confidant.handle(&wire::open(datagram, &bob.id()).unwrap(), address(&alice), now);
        let counts = std::mem::take(&mut confidant.store().0);
        while let Some(datagram) = confidant.next_reply(&mut reply, &bob, &mut buffer) {
            cookie = wire::open(datagram, &alice.id()).unwrap().cookie;
        }
        (reply.outcome(), counts.into_iter().collect::<Vec<_>>())
    };
    say(Body::Refresh { name });
    let nothing = Refusal::Incomplete { first: 0, missing: u32::MAX };
    assert_eq!(say(Body::Commit(manifest(1, CHUNKS))), (Outcome::Refused(nothing), vec![]), "no upload, no question");
    assert_eq!(say(Body::Store(chunk(1, CHUNKS, 0))), (Outcome::Stored, vec![("put", 1)]));
    for _ in 0..100 {
        let last = Refusal::Incomplete { first: CHUNKS - 1, missing: 1 };
        assert_eq!(say(Body::Commit(manifest(1, CHUNKS))), (Outcome::Refused(last), vec![("missing", 1)]));
        for body in [Body::Request, Body::Fetch { version: 1, first: 0, want: u32::MAX }, Body::Refresh { name }] {
            assert_eq!(say(body).1, []);
        }
    }
    assert_eq!(say(Body::Store(chunk(2, CHUNKS, 0))), (Outcome::Stored, vec![("discard", 1), ("put", 1)]));
}

/// Begins what needs the store, and leaves it there.
fn begin(world: &mut World, from: &Identity, body: Body<'_>) -> (Vec<u8>, Job) {
    if !world.cookies.contains_key(&from.id()) {
        world.greet(from);
    }
    let datagram = world.seal(from, body);
    let begun = world.confidant.begin(&wire::open(&datagram, &world.bob.id()).unwrap(), address(from), world.now);
    let Begun::Job(job) = begun else { panic!("{begun:?}") };
    (datagram, job)
}

fn end(world: &mut World, (datagram, mut job): (Vec<u8>, Job)) -> Outcome {
    let message = wire::open(&datagram, &world.bob.id()).unwrap();
    job.run(&message, world.confidant.store());
    world.confidant.end(job, &message, world.now).outcome()
}

#[test]
fn found_f1_while_the_store_works_for_one_owner_all_others_are_served() {
    let (mut world, alice, carol) = (World::new(Capacity::Low), peer(1), peer(3));
    assert_eq!(world.put(&alice, 1, 2), Answer::Ack);
    for index in 0..2 {
        assert_eq!(world.ask(&alice, Body::Store(chunk(2, 2, index))), [Answer::Ack]);
    }
    let commit = begin(&mut world, &alice, Body::Commit(manifest(2, 2)));
    for _ in 0..2 {
        assert_eq!(world.put(&carol, 1, 3), Answer::Ack);
        assert_eq!(world.ask(&carol, Body::Request), [Answer::Response(Some(1), vec![])]);
        let busy = [Answer::Refused(Refusal::Busy)];
        assert_eq!(world.ask(&alice, Body::Store(chunk(3, 2, 0))), busy, "one thing at a time for one owner");
        assert_eq!(world.ask(&alice, Body::Commit(manifest(2, 2))), busy);
        assert_eq!(world.greet(&alice), Answer::Welcome(Some(1), true));
        assert_eq!(world.ask(&alice, Body::Request), [Answer::Response(Some(1), vec![])]);
        assert_eq!(world.ask(&alice, Body::Fetch { version: 1, first: 0, want: 1 }), [Answer::Chunk(0)]);
        world.pass(100); // longer than an upload may pause, but the medium is as slow as it is
        for owner in [&alice, &carol] {
            world.greet(owner); // or their cookies grow old
        }
    }
    assert_eq!(end(&mut world, commit), Outcome::Committed { version: 2 });
    assert_eq!(world.put(&alice, 3, 1), Answer::Ack);
}

#[test]
fn found_f1_a_place_is_taken_before_the_store_works_and_given_back_if_it_fails() {
    let mut world = World::new(Capacity::Low);
    let owners: Vec<_> = (1..=6).map(peer).collect();
    let mut jobs: Vec<_> =
        owners[..5].iter().map(|owner| begin(&mut world, owner, Body::Store(chunk(1, 1, 0)))).collect();
    let full = [Answer::Refused(Refusal::StorageLimit)];
    assert_eq!(world.ask(&owners[5], Body::Store(chunk(1, 1, 0))), full);
    world.confidant.store().fails = true;
    assert_eq!(end(&mut world, jobs.remove(0)), Outcome::Refused(Refusal::StorageFailed));
    world.confidant.store().fails = false;
    assert_eq!(world.ask(&owners[5], Body::Store(chunk(1, 1, 0))), [Answer::Ack]);
    // The message of another is no proof that this one was stored.
    let (datagram, mut job) = jobs.remove(0);
    let message = wire::open(&datagram, &world.bob.id()).unwrap();
    let other = wire::open(&jobs[0].0, &world.bob.id()).unwrap();
    job.run(&other, world.confidant.store());
    assert_eq!(world.confidant.end(job, &message, world.now).outcome(), Outcome::Refused(Refusal::StorageFailed));
    for job in jobs {
        assert_eq!(end(&mut world, job), Outcome::Stored);
    }
    assert_eq!(world.confidant.owners(), 4);
}

#[test]
fn found_f1_an_upload_that_is_dropped_keeps_its_place_until_it_is_gone() {
    let (mut world, alice, carol) = (World::new(Capacity::Low), peer(1), peer(3));
    assert_eq!(world.ask(&alice, Body::Store(chunk(5, 2, 0))), [Answer::Ack]);
    world.pass(60);
    assert_eq!(world.confidant.begin_timeout(world.now), Some((alice.id(), 5)));
    assert_eq!((world.confidant.begin_timeout(world.now), world.confidant.next_deadline()), (None, None));
    assert_eq!(world.ask(&alice, Body::Store(chunk(5, 2, 1))), [Answer::Refused(Refusal::Busy)]);
    assert_eq!(world.put(&carol, 1, 1), Answer::Ack);
    assert_eq!(world.confidant.owners(), 2);
    world.confidant.end_timeout(&alice.id());
    assert_eq!(world.confidant.owners(), 1);
    let all = [Answer::Refused(Refusal::Incomplete { first: 0, missing: 0b11 })];
    assert_eq!(world.ask(&alice, Body::Commit(manifest(5, 2))), all);
}

#[test]
fn found_f1_commits_that_reach_the_medium_are_counted_by_owner_and_by_address() {
    let (mut world, alice, carol) = (World::new(Capacity::High), peer(1), peer(3));
    for version in 1..=20 {
        assert_eq!(world.put(&alice, version, 1), Answer::Ack);
    }
    let limited = Answer::Refused(Refusal::RateLimited { retry_after_millis: 3_000 });
    assert_eq!(world.put(&alice, 21, 1), limited);
    for _ in 0..50 {
        assert_eq!(world.ask(&alice, Body::Commit(manifest(20, 1))), [Answer::Ack], "what is kept is free");
        let missing = Refusal::Incomplete { first: 0, missing: 1 };
        assert_eq!(
            world.ask(&alice, Body::Commit(manifest(22, 1))),
            [Answer::Refused(missing)],
            "so is what cannot be"
        );
    }
    assert_eq!(world.put(&carol, 1, 1), Answer::Ack, "others have a quota of their own");
    world.pass(3);
    assert_eq!(world.ask(&alice, Body::Commit(manifest(21, 1))), [Answer::Ack]);
    assert_eq!(world.put(&alice, 22, 1), limited);

    // Many owners at one address are one in this.
    let mut stored = 0;
    for seed in 10..50 {
        stored += (1..=20).take_while(|version| world.put(&peer(seed), *version, 1) == Answer::Ack).count();
    }
    assert!((95..=110).contains(&stored), "{stored}");
}
