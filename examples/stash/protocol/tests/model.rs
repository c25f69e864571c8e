//! A confidant beside a naive model of it, through any sequence of messages and pauses.

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

use std::collections::{BTreeMap, BTreeSet};

use common::{Answer, World, chunk, manifest, peer};
use proptest::{collection::vec, prelude::*};
use stash_protocol::{Body, Capacity, Refusal};

#[derive(Clone, Copy, Debug)]
enum Step {
    Commit { owner: u8, version: u64, chunks: u32 },
    Greet { owner: u8 },
    Pass { seconds: u64 },
    Store { owner: u8, version: u64, chunks: u32, index: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let put = (1_u8..8, 1_u64..4, 1_u32..4, 0_u32..3);
    prop_oneof![
        6 => put.clone().prop_map(|(owner, version, chunks, index)| Step::Store { owner, version, chunks, index }),
        3 => put.prop_map(|(owner, version, chunks, _)| Step::Commit { owner, version, chunks }),
        1 => (1_u8..8).prop_map(|owner| Step::Greet { owner }),
        1 => (0_u64..70).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

/// What the model knows of one owner: the version held with its count, and the upload with its chunks and its last second.
#[derive(Default)]
struct Owner {
    held: Option<(u64, u32)>,
    upload: Option<(u64, u32, BTreeSet<u32>, u64)>,
}

#[derive(Default)]
struct Model {
    owners: BTreeMap<u8, Owner>,
    second: u64,
}

impl Model {
    fn expire(&mut self) {
        for owner in self.owners.values_mut() {
            owner.upload.take_if(|upload| self.second >= upload.3 + 60);
        }
        self.owners.retain(|_, owner| owner.held.is_some() || owner.upload.is_some());
    }

    fn refusal(&self, owner: u8, version: u64, chunks: u32) -> Option<Refusal> {
        let Some(known) = self.owners.get(&owner) else {
            return (self.owners.len() == 5).then_some(Refusal::StorageLimit);
        };
        if known.held == Some((version, chunks)) {
            return None; // what is held may be said again, whatever is on its way
        }
        let upload = known.upload.as_ref().map(|upload| (upload.0, upload.1));
        [known.held, upload].into_iter().flatten().find_map(|(kept, count)| match kept.cmp(&version) {
            std::cmp::Ordering::Greater => Some(Refusal::OlderVersion { held: kept }),
            std::cmp::Ordering::Equal => (count != chunks).then_some(Refusal::VersionTaken),
            std::cmp::Ordering::Less => None,
        })
    }

    fn store(&mut self, owner: u8, version: u64, chunks: u32, index: u32) -> Answer {
        if index >= chunks {
            return Answer::Refused(Refusal::OutOfRange);
        }
        if let Some(refusal) = self.refusal(owner, version, chunks) {
            return Answer::Refused(refusal);
        }
        let second = self.second;
        let known = self.owners.entry(owner).or_default();
        if known.held != Some((version, chunks)) {
            let upload = known.upload.take().filter(|upload| upload.0 == version);
            let (.., mut indexes, _) = upload.unwrap_or((version, chunks, BTreeSet::new(), second));
            indexes.insert(index);
            known.upload = Some((version, chunks, indexes, second));
        }
        Answer::Ack
    }

    fn commit(&mut self, owner: u8, version: u64, chunks: u32) -> Answer {
        if let Some(refusal) = self.refusal(owner, version, chunks) {
            return Answer::Refused(refusal);
        }
        let known = self.owners.get_mut(&owner);
        if known.as_ref().is_some_and(|known| known.held == Some((version, chunks))) {
            return Answer::Ack;
        }
        let upload = known.as_ref().and_then(|known| known.upload.as_ref()).filter(|upload| upload.0 == version);
        let missing: Vec<u32> =
            (0..chunks).filter(|index| !upload.is_some_and(|upload| upload.2.contains(index))).collect();
        if let Some(first) = missing.first() {
            let bits = missing.iter().fold(0, |bits, index| bits | 1 << (index - first));
            return Answer::Refused(Refusal::Incomplete { first: *first, missing: bits });
        }
        if let Some(known) = known {
            *known = Owner { held: Some((version, chunks)), upload: None };
        }
        Answer::Ack
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_confidant_does_what_its_model_does(steps in vec(step(), 1..40)) {
        let (mut world, mut model) = (World::new(Capacity::Low), Model::default());
        for seed in 1..8 {
            world.greet(&peer(seed));
        }
        let mut newest = BTreeMap::new();
        for step in steps {
            model.expire();
            match step {
                Step::Store { owner, version, chunks, index } => {
                    let answers = world.ask(&peer(owner), Body::Store(chunk(version, chunks, index)));
                    prop_assert_eq!(answers, [model.store(owner, version, chunks, index)]);
                }
                Step::Commit { owner, version, chunks } => {
                    let answers = world.ask(&peer(owner), Body::Commit(manifest(version, chunks)));
                    prop_assert_eq!(answers, [model.commit(owner, version, chunks)]);
                }
                Step::Greet { owner } => {
                    let held = model.owners.get(&owner).and_then(|known| Some(known.held?.0));
                    let room = model.owners.len() < 5 || model.owners.contains_key(&owner);
                    prop_assert_eq!(world.greet(&peer(owner)), Answer::Welcome(held, room));
                }
                Step::Pass { seconds } => {
                    world.pass(seconds);
                    model.second += seconds;
                    for seed in 1..8 { // or their cookies grow old
                        world.greet(&peer(seed));
                    }
                }
            }
            for (owner, known) in &model.owners {
                let held = known.held.map(|held| held.0);
                prop_assert_eq!(world.confidant.held(&peer(*owner).id()), held);
                prop_assert!(newest.insert(*owner, held) <= Some(held), "a version never goes back");
            }
            prop_assert!(world.confidant.owners() <= 5);
            let stats = world.confidant.stats();
            let sum = stats.answered + stats.committed + stats.duplicates + stats.fetches + stats.not_questions
                + stats.noted + stats.refused + stats.stored + stats.welcomed;
            prop_assert_eq!(stats.seen, sum);
        }
    }
}
