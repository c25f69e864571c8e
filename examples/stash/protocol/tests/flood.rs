//! Owners who are made up, each with a key and a proven address of its own, beside a few who are known.
//!
//! `FLOOD_KEYS` sets how many come; two thousand fill every table many times over, and each costs a dozen signatures.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_const_for_fn,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::env;

use allocation_counter::measure;
use common::{Answer, Medium, World, address, chunk, manifest, peer};
use stash_protocol::{
    Body, Capacity, Confidant, Identity, Name, Outcome, Refusal, RunSecret, Settings,
    wire::{self, MAX_DATAGRAM},
};

const STEPS: u64 = 20;

/// One datagram of a stranger, and the replies to it; the confidant may not allocate for it.
fn deliver(world: &mut World, stranger: &Identity, body: Body<'_>) -> Outcome {
    let datagram = world.seal(stranger, body);
    let verified = wire::open(&datagram, &world.bob.id()).expect("it is sealed");
    let mut buffer = [0; MAX_DATAGRAM];
    let mut outcome = None;
    let mut cookie = None;
    let used = measure(|| {
        let mut reply = world.confidant.handle(&verified, address(stranger), world.now);
        while let Some(datagram) = world.confidant.next_reply(&mut reply, &world.bob, &mut buffer) {
            cookie = wire::open(datagram, &stranger.id()).ok().map(|message| message.cookie);
        }
        outcome = Some(reply.outcome());
    });
    assert_eq!((used.count_total, used.bytes_total), (0, 0), "memory was allocated for a stranger");
    cookie.map(|cookie| world.cookies.insert(stranger.id(), cookie));
    outcome.expect("it was handled")
}

#[test]
fn a_flood_of_owners_takes_no_place_and_no_recovery_from_those_who_are_kept() {
    let keys: u64 = env::var("FLOOD_KEYS").map_or(2_000, |keys| keys.parse().expect("a number of owners"));
    let mut world = World::new(Capacity::Low);
    let owners: Vec<Identity> = (1..=5).map(peer).collect();
    owners.iter().for_each(|owner| assert_eq!(world.put(owner, 1, 2), Answer::Ack));
    let kept = world.confidant.store().chunks.len();

    for step in 1..=STEPS {
        for key in 0..keys / STEPS {
            let mut seed = [99; 32];
            seed[..8].copy_from_slice(&(step * keys + key).to_le_bytes());
            let stranger = Identity::from_seed(&seed);
            let store = Body::Store(chunk(1, 1, 0));
            // Without a proof of its address nothing is done for anybody.
            assert_eq!(deliver(&mut world, &stranger, store.clone()), Outcome::Refused(Refusal::Unproven));
            // With one, there is no place, and of all strangers' recoveries only so many a minute.
            assert_eq!(deliver(&mut world, &stranger, store), Outcome::Refused(Refusal::StorageLimit));
            let recovery = deliver(&mut world, &stranger, Body::Request);
            assert!(
                matches!(recovery, Outcome::Answered { found: false } | Outcome::Refused(Refusal::RateLimited { .. })),
                "{recovery:?}"
            );
            world.cookies.remove(&stranger.id());
        }
        // Five recoveries a minute, and a store as ever: as if nobody else were there.
        world.pass(60);
        for owner in &owners {
            world.greet(owner);
            for _ in 0..5 {
                let answers = world.ask(owner, Body::Request);
                assert!(matches!(answers[..], [Answer::Response(Some(held), _)] if held == step), "{answers:?}");
            }
            assert!(matches!(world.ask(owner, Body::Request)[..], [Answer::Refused(Refusal::RateLimited { .. })]));
            assert_eq!(world.put(owner, step + 1, 2), Answer::Ack);
        }
    }
    assert_eq!((world.confidant.owners(), world.confidant.store().chunks.len()), (5, kept));
    assert!(world.confidant.limiter_stats()[1].evicted > 0, "there were too few strangers");
}

/// Whoever writes a victim's address on its datagrams sends it little more than if it had sent them there itself.
#[test]
fn an_address_that_is_not_proven_gets_one_reply_of_less_than_twice_the_length() {
    let mallory = peer(66);
    let mut world = World::new(Capacity::Low);
    let longest = "x".repeat(Name::MAX);
    let settings = Settings { capacity: Capacity::Low, max_chunks: 100 };
    world.confidant =
        Confidant::new(Name::new(&longest).expect("fits"), settings, Medium::default(), &RunSecret::new([5; 40]));
    assert!(world.confidant.adopt(&mallory.id(), &manifest(u64::MAX, 1)), "so that there is something to tell");
    let shortest = Name::new("x").expect("a name");
    let bodies = [
        Body::Refresh { name: shortest },
        Body::Request,
        Body::Fetch { version: u64::MAX, first: 0, want: 1 },
        Body::Store(chunk(1, 1, 0)),
        Body::Commit(manifest(1, 1)),
    ];
    for body in bodies {
        let datagram = world.seal(&mallory, body);
        let verified = wire::open(&datagram, &world.bob.id()).expect("it is sealed");
        let mut reply = world.confidant.handle(&verified, address(&mallory), world.now);
        let mut replies = Vec::new();
        let mut buffer = [0; MAX_DATAGRAM];
        while let Some(reply) = world.confidant.next_reply(&mut reply, &world.bob, &mut buffer) {
            replies.push(reply.len());
        }
        assert_eq!(replies.len(), 1, "to {:?}", verified.body);
        assert!(replies[0] < 2 * datagram.len(), "{} bytes to {} of {:?}", replies[0], datagram.len(), verified.body);
    }
}
