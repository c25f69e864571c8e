//! The requests of a log, in order of time.

use std::num::NonZeroU32;

use indexmap::IndexSet;
use steadfast_core::Instant;

use crate::{
    reader::Counts,
    time::{SECOND, Stamp},
};

/// A request: 16 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request {
    /// Nanoseconds since 1970.
    at: u64,
    /// The number of its key.
    key: u32,
    cost: NonZeroU32,
}

/// The highest bit of a cost says that the second alone is known.
const WHOLE: u32 = 1 << 31;

impl Request {
    /// A request of the key with this number. No request costs more than 2^31 - 1: that is taken for more.
    #[must_use]
    pub fn new(stamp: Stamp, key: u32, cost: NonZeroU32) -> Self {
        let cost = cost.min(NonZeroU32::new(WHOLE.wrapping_sub(1)).unwrap_or(cost));
        Self { at: stamp.at, key, cost: if stamp.whole { cost | WHOLE } else { cost } }
    }

    /// When it came.
    #[must_use]
    pub const fn at(self) -> Instant {
        Instant::from_nanos(self.at)
    }

    /// The number of its key.
    #[must_use]
    pub const fn key(self) -> usize {
        self.key as usize
    }

    /// The same of another key.
    pub(crate) const fn of_key(self, key: u32) -> Self {
        Self { key, ..self }
    }

    /// How often it counts.
    #[must_use]
    pub fn cost(self) -> NonZeroU32 {
        NonZeroU32::new(self.cost.get() & !WHOLE).unwrap_or(NonZeroU32::MIN)
    }

    /// True if the log tells its second alone.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.cost.get() & WHOLE != 0
    }
}

/// A log as it was read.
#[derive(Debug)]
pub struct Log {
    /// What was read, and what was not.
    pub counts: Counts,
    /// The keys by their numbers.
    pub keys: IndexSet<Box<str>>,
    /// All requests in order of time, those of a second that has no fractions at its start.
    pub at_start: Vec<Request>,
    /// The same with each key's requests of a second spread evenly over it. `None` if all times have fractions.
    pub spread: Option<Vec<Request>>,
}

impl Log {
    pub(crate) fn new(counts: Counts, keys: IndexSet<Box<str>>, mut requests: Vec<Request>) -> Self {
        requests.sort_by_key(|request| request.at);
        let spread = requests.iter().any(|request| request.is_whole()).then(|| spread(requests.clone()));
        Self { counts, keys, at_start: requests, spread }
    }

    /// The name of a key.
    #[must_use]
    pub fn key(&self, number: usize) -> &str {
        self.keys.get_index(number).map_or("", |key| key)
    }

    /// When the first and the last request came.
    #[must_use]
    pub fn span(&self) -> (u64, u64) {
        let at = |request: Option<&Request>| request.map_or(0, |request| request.at);
        (at(self.at_start.first()), at(self.at_start.last()))
    }

    /// True if a request counts more than once: denials may rise with the limit then.
    #[must_use]
    pub fn has_costs(&self) -> bool {
        self.at_start.iter().any(|request| request.cost() > NonZeroU32::MIN)
    }
}

/// Spreads the requests of each second and key over it.
fn spread(mut requests: Vec<Request>) -> Vec<Request> {
    let second = |request: &Request| request.at.checked_div(SECOND);
    requests.sort_by_key(|request| (second(request), request.key, request.is_whole()));
    let same = |a: &Request, b: &Request| second(a) == second(b) && a.key == b.key && a.is_whole() && b.is_whole();
    for run in requests.chunk_by_mut(same).filter(|run| run.len() > 1) {
        let step = SECOND.checked_div(run.len() as u64).unwrap_or(0);
        for (place, request) in (0_u64..).zip(run) {
            request.at = request.at.saturating_add(place.saturating_mul(step));
        }
    }
    requests.sort_by_key(|request| request.at);
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(at: u64, whole: bool, key: u32) -> Request {
        Request::new(Stamp { at, whole }, key, NonZeroU32::MIN)
    }

    #[test]
    fn requests_of_a_whole_second_are_spread_and_others_stay() {
        let (s, half) = (SECOND, SECOND / 2);
        let requests = vec![request(s, true, 1), request(s, true, 2), request(s, true, 1), request(s, false, 1)];
        let log = Log::new(Counts::default(), IndexSet::new(), requests);
        let spread: Vec<_> = log.spread.as_ref().unwrap().iter().map(|request| (request.at, request.key)).collect();
        assert_eq!(spread, [(s, 1), (s, 1), (s, 2), (s + half, 1)]);
        assert!(log.at_start.iter().all(|request| request.at == s));
        assert_eq!(log.span(), (s, s));
    }

    #[test]
    fn times_with_fractions_are_a_number_and_no_band() {
        let log = Log::new(Counts::default(), IndexSet::new(), vec![request(2, false, 0), request(1, false, 0)]);
        assert_eq!((log.spread.as_ref(), log.span()), (None, (1, 2)));
        assert!(!log.has_costs());
    }

    #[test]
    fn a_request_keeps_its_cost_beside_the_mark() {
        for (cost, kept) in [(1, 1), (7, 7), (u32::MAX, WHOLE - 1)] {
            for whole in [false, true] {
                let request = Request::new(Stamp { at: 5, whole }, 3, NonZeroU32::new(cost).unwrap());
                assert_eq!((request.cost().get(), request.is_whole(), request.key()), (kept, whole, 3));
            }
        }
        assert_eq!(size_of::<Request>(), 16);
    }
}
