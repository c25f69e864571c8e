//! How fast each peer answers, those answers included that came too late for their question.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How many questions are remembered: the oldest of more is forgotten, and its answer says nothing.
const QUESTIONS: usize = 4_096;

/// The longest time that is believed.
const LONGEST: Duration = Duration::from_secs(1);

/// The round trips of each peer that was asked. A slow one is not a dead one: without its late answers it would get as
/// little time for the next question as for the last, and never be heard.
#[derive(Debug, Default)]
pub(super) struct Pace {
    sent: HashMap<u64, (SocketAddr, Instant)>,
    order: VecDeque<u64>,
    peers: HashMap<SocketAddr, RoundTrips>,
}

/// The usual estimate, of RFC 6298.
#[derive(Clone, Copy, Debug)]
struct RoundTrips {
    smoothed: Duration,
    variation: Duration,
}

impl Pace {
    /// The question with this id goes to `peer`.
    pub(super) fn asked(&mut self, id: u64, peer: SocketAddr, now: Instant) {
        if self.order.len() >= QUESTIONS
            && let Some(oldest) = self.order.pop_front()
        {
            self.sent.remove(&oldest);
        }
        self.order.push_back(id);
        self.sent.insert(id, (peer, now));
    }

    /// An answer to it has come from `peer`. Only the first one counts, and only from where the question went.
    pub(super) fn answered(&mut self, id: u64, peer: SocketAddr, now: Instant) {
        let Some((_, at)) = self.sent.get(&id).copied().filter(|(asked, _)| *asked == peer) else { return };
        self.sent.remove(&id);
        let took = now.saturating_duration_since(at).min(LONGEST);
        self.peers.entry(peer).and_modify(|trips| trips.add(took)).or_insert_with(|| RoundTrips::first(took));
    }

    /// How long `peer` takes if nothing is lost: four deviations more than usual.
    pub(super) fn of(&self, peer: SocketAddr) -> Option<Duration> {
        let trips = self.peers.get(&peer)?;
        Some(trips.smoothed.saturating_add(trips.variation.saturating_mul(4)).min(LONGEST))
    }
}

#[expect(clippy::arithmetic_side_effects, reason = "a division by a constant")]
impl RoundTrips {
    fn first(took: Duration) -> Self {
        Self { smoothed: took, variation: took / 2 }
    }

    fn add(&mut self, took: Duration) {
        let off = self.smoothed.abs_diff(took);
        self.variation = self.variation.saturating_mul(3).saturating_add(off) / 4;
        self.smoothed = self.smoothed.saturating_mul(7).saturating_add(took) / 8;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const fn at(port: u16) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
    }

    #[test]
    fn a_slow_peer_gets_the_time_it_needs_and_the_others_do_not() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for id in 0..50 {
            for (peer, millis) in [(1, 2), (2, 300)] {
                pace.asked(id * 2 + peer, at(peer as u16), now);
                pace.answered(id * 2 + peer, at(peer as u16), now + Duration::from_millis(millis));
            }
            now += Duration::from_millis(400);
        }
        let of = |peer| pace.of(at(peer)).unwrap();
        assert!(of(1) < Duration::from_millis(4), "{:?}", of(1));
        assert!((300..350).contains(&of(2).as_millis()), "{:?}", of(2));
        assert_eq!(pace.of(at(3)), None);
    }

    #[test]
    fn answers_of_others_doubled_ones_and_those_to_no_question_say_nothing() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.asked(7, at(1), now);
        pace.answered(7, at(2), now + LONGEST);
        pace.answered(8, at(1), now + LONGEST);
        assert!(pace.of(at(1)).is_none() && pace.of(at(2)).is_none());
        pace.answered(7, at(1), now + Duration::from_millis(10));
        pace.answered(7, at(1), now + LONGEST);
        assert_eq!(pace.of(at(1)), Some(Duration::from_millis(30)));
    }

    #[test]
    fn questions_without_an_answer_are_forgotten_and_no_answer_takes_for_ever() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for id in 0..2 * QUESTIONS as u64 {
            pace.asked(id, at(1), now);
        }
        assert_eq!((pace.sent.len(), pace.order.len()), (QUESTIONS, QUESTIONS));
        pace.answered(0, at(1), now);
        assert_eq!(pace.of(at(1)), None);
        pace.answered(QUESTIONS as u64, at(1), now + Duration::from_secs(1_000));
        assert_eq!(pace.of(at(1)), Some(LONGEST));
    }
}
