//! Beside a list of ids in the order of arrival, in every storage and at every small capacity.

use std::vec::Vec;

use super::*;
use crate::{
    foundation::storage::Heap,
    test_util::{Simulator, seeds},
};

/// Counts how many values there are, so that one that is lost or dropped twice shows.
#[derive(Debug)]
struct Answer(u64, Rc<Cell<i32>>);

impl Answer {
    fn new(number: u64, alive: &Rc<Cell<i32>>) -> Option<Self> {
        alive.set(alive.get() + 1);
        Some(Self(number, alive.clone()))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.1.set(self.1.get() - 1);
    }
}

type Answers<S> = DedupCacheIn<u64, S, HashSeed, Option<Answer>>;

struct Listed {
    id: u64,
    began: u64,
    claim: Option<ClaimTicket>,
    answer: Option<u64>,
}

/// The last ids, the oldest first. Time only goes on here: the models step it back.
struct List {
    ids: Vec<Listed>,
    capacity: usize,
    on_full: OnFull,
}

const LIFE: u64 = 50;
const LEASE: u64 = 20;

impl Listed {
    fn is_alive(&self, now: u64) -> bool {
        now < self.began + if self.claim.is_some() { LEASE } else { LIFE }
    }
}

impl List {
    fn find(&self, id: u64, now: u64) -> Option<usize> {
        self.ids.iter().position(|it| it.id == id && it.is_alive(now))
    }

    /// Puts a new id in, unless there is no room; true if it was.
    fn enter(&mut self, id: u64, now: u64) -> bool {
        self.ids.retain(|it| it.is_alive(now));
        if self.ids.len() == self.capacity {
            let oldest = self.ids.iter().position(|it| it.claim.is_none());
            let Some(oldest) = oldest.filter(|_| self.on_full == OnFull::ForgetOldest) else { return false };
            self.ids.remove(oldest);
        }
        self.ids.push(Listed { id, began: now, claim: None, answer: None });
        true
    }
}

fn beside_a_list<S: Storage>(mut cache: Answers<S>, on_full: OnFull, seed: u64) {
    let capacity = cache.capacity();
    let mut random = Simulator::new(seed);
    let mut below = |most: u64| random.next_random() % most;
    let alive = Rc::new(Cell::new(0));
    let mut list = List { ids: Vec::new(), capacity, on_full };
    let (mut now, mut lost) = (1_000_000, Vec::new());
    for step in 0..300 {
        now += [0, 0, 1, 1, 2, 7, LEASE, LIFE][below(8) as usize];
        let time = Instant::from_nanos(now);
        let id = below(capacity as u64 * 2 + 1);
        let known = list.find(id, now);
        let hash = cache.hash(&id);
        match below(8) {
            0..3 => {
                let seen = cache.check_with(hash, &id, &mut Some((id, None)), || time).unwrap();
                match known {
                    Some(place) => {
                        let began = Instant::from_nanos(list.ids[place].began);
                        assert!(matches!(seen, Seen::Duplicate { first_seen_at, .. } if first_seen_at == began));
                    }
                    None => assert_eq!(seen, if list.enter(id, now) { Seen::Fresh } else { Seen::Full }, "{step}"),
                }
            }
            3..5 => match (cache.claim_with(hash, &id, &mut Some((id, None)), time).unwrap(), known) {
                (Claim::Duplicate { value, first_seen_at, .. }, Some(place)) => {
                    let listed = &list.ids[place];
                    assert!(listed.claim.is_none());
                    assert_eq!(value.as_ref().map(|answer| answer.0), listed.answer, "{step}");
                    assert_eq!(first_seen_at, Instant::from_nanos(listed.began));
                }
                (Claim::InFlight, Some(place)) => assert!(list.ids[place].claim.is_some()),
                (Claim::Full, None) => assert!(!list.enter(id, now)),
                (Claim::Fresh(ticket), None) => {
                    assert!(list.enter(id, now), "{step}");
                    list.ids.last_mut().unwrap().claim = Some(ticket);
                }
                (claim, known) => panic!("{claim:?} of {known:?}"),
            },
            5 => {
                let Some(place) = list.ids.iter().rposition(|it| it.claim.is_some()) else { continue };
                let mut listed = list.ids.remove(place);
                let (was_alive, ticket) = (listed.is_alive(now), listed.claim.take().unwrap());
                let number = below(1 << 40);
                let ended = match below(3) {
                    0 => cache.abort(ticket, time).is_some(),
                    1 => cache.commit(ticket, time).map(|()| lost.push(None)).is_ok(),
                    _ => {
                        let mut answer = Answer::new(number, &alive);
                        let committed = cache.commit_with(ticket, &mut answer, time).is_ok();
                        assert_eq!(answer.is_none(), committed, "what is not kept stays with the caller");
                        if committed {
                            lost.push(Some(number));
                        }
                        committed
                    }
                };
                assert_eq!(ended, was_alive, "{step}");
                if let Some(answer) = lost.pop() {
                    list.ids.push(Listed { began: now, answer, ..listed });
                }
            }
            6 => {
                let seen = cache.mark_with(hash, &id, &mut Some((id, None)), time).unwrap();
                assert_eq!(matches!(seen, Seen::Duplicate { .. }), known.is_some());
                match known {
                    Some(place) => {
                        let listed = list.ids.remove(place);
                        list.ids.push(Listed { began: now, claim: None, ..listed });
                    }
                    None => assert_eq!(list.enter(id, now), seen.is_fresh()),
                }
            }
            _ => {
                let gone = cache.forget(&id, time);
                let listed = known.map(|place| list.ids.remove(place));
                assert_eq!(gone.map(|(_, answer)| answer.map(|it| it.0)), listed.map(|it| it.answer), "{step}");
            }
        }
        if step % 16 == 7 {
            cache.reseed(HashSeed::new(step, seed));
        }
        for id in 0..capacity as u64 * 2 + 1 {
            assert_eq!(cache.seen(&id, time), list.find(id, now).is_some(), "{id} at {step} of seed {seed}");
        }
        assert!(cache.len() <= capacity);
        conserves(&cache);
    }
    let kept = list.ids.iter().filter(|it| it.is_alive(now) && it.answer.is_some()).count();
    cache.cleanup(Instant::from_nanos(now));
    assert_eq!(alive.get(), kept as i32, "an answer lives as long as its id");
    drop(cache);
    assert_eq!(alive.get(), 0);
}

#[test]
fn it_does_what_a_list_does_at_every_capacity() {
    fn inline<const N: usize>(on_full: OnFull, seed: u64) {
        let (life, lease) = (Duration::from_nanos(LIFE), Duration::from_nanos(LEASE));
        let secret = HashSeed::new(seed, 1);
        beside_a_list::<Inline<N>>(
            Answers::with_hasher(life, on_full, secret.clone()).with_lease(lease),
            on_full,
            seed,
        );
        beside_a_list::<Heap>(Answers::allocate(life, on_full, N, secret).with_lease(lease), on_full, seed);
    }
    for seed in seeds(15) {
        for on_full in [OnFull::Refuse, OnFull::ForgetOldest] {
            inline::<1>(on_full, seed);
            inline::<2>(on_full, seed);
            inline::<3>(on_full, seed);
            inline::<16>(on_full, seed);
        }
    }
}

/// In a full cache each new id lies where the oldest one lay, so that the places go round.
#[test]
fn places_are_a_ring_in_the_order_of_arrival() {
    let mut cache: DedupCache<u64, 7> = DedupCache::new(TTL, OnFull::ForgetOldest);
    for id in 0..70 {
        assert!(cache.check(&id, at(id)).is_fresh());
        let hash = cache.hash(&id);
        assert_eq!(cache.ids.find(hash, &id), Some(id as usize % 7));
    }
}
