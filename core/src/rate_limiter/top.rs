//! The keys that come most often, in fixed memory.

use core::mem;

/// The keys that come most often (heavy hitters, top k), with room for `N` of them: say those that were denied most.
///
/// It counts by Space-Saving: a key that is not there takes the place of the one that was counted least, and goes on from
/// its count. So a count is never too low, and [`error`](Counted::error) tells by how much it may be too high, at most
/// [`total`](Self::total)` / N`. **Every key that came more often than `total / N` is there**, whatever the others do: a
/// flood of made-up keys raises errors, and hides nobody who sends more than that.
///
/// ```
/// use steadfast_core::{Gcra, Instant, RateLimiter, rate_limiter::Top};
///
/// let mut limiter: RateLimiter<u32, Gcra, 32> = RateLimiter::new(Gcra::per_second(1));
/// let mut denied: Top<u32, 4> = Top::new();
/// for peer in [7, 9, 7, 7, 9, 7] {
///     if !limiter.allow(&peer, Instant::from_secs(1)).is_allowed() {
///         denied.add(peer);
///     }
/// }
/// let most = denied.iter().next().unwrap();
/// assert_eq!((most.key, most.count, most.error), (7, 3, 0)); // who floods me?
/// assert_eq!(denied.total(), 4);
/// ```
///
/// It has no clock: to see an hour, begin with a new one each hour.
///
/// # Cost
///
/// O(`N`), by comparisons of keys: nothing is hashed. Source: A. Metwally, D. Agrawal, A. El Abbadi, "Efficient computation
/// of frequent and top-k elements in data streams", ICDT 2005.
#[doc(alias("heavy hitters", "top k", "Space-Saving"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Debug)]
pub struct Top<K, const N: usize> {
    /// The most frequent first.
    places: [Option<Counted<K>>; N],
    total: u64,
}

/// A key of a [`Top`], which came `count - error` times at least, and `count` times at most.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counted<K> {
    /// The key.
    pub key: K,
    /// How often it came at most.
    pub count: u64,
    /// How many of them may be another's.
    pub error: u64,
}

impl<K, const N: usize> Top<K, N> {
    /// One without keys.
    #[must_use]
    pub const fn new() -> Self {
        Self { places: [const { None }; N], total: 0 }
    }

    /// Counts a key that has come. Hands out the one that is not kept, so that whoever holds a lock drops it outside: the
    /// same if it was there, else the one whose place it took.
    pub fn add(&mut self, key: K) -> Option<K>
    where
        K: Eq,
    {
        let is_here = |place: &Option<Counted<K>>| place.as_ref().is_none_or(|counted| counted.key == key);
        let known = self.places.iter().position(is_here);
        let place = known.unwrap_or(N.saturating_sub(1));
        let Some((before, [place, ..])) = self.places.split_at_mut_checked(place) else { return Some(key) };
        self.total = self.total.saturating_add(1);
        let Some(counted) = place else {
            *place = Some(Counted { key, count: 1, error: 0 });
            return None;
        };
        if known.is_none() {
            counted.error = counted.count;
        }
        counted.count = counted.count.saturating_add(1);
        let other = mem::replace(&mut counted.key, key);
        // Those that it has just overtaken were equal, so that it changes places with the first of them.
        let count = counted.count;
        let mut before = before.iter_mut();
        if let Some(overtaken) = before.find(|place| place.as_ref().is_some_and(|other| other.count < count)) {
            mem::swap(overtaken, place);
        }
        Some(other)
    }

    /// The keys with their counts, the most frequent first.
    pub fn iter(&self) -> impl Iterator<Item = &Counted<K>> {
        self.places.iter().flatten()
    }

    /// How many have come, of all keys; the counts of those that are there add up to it.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }
}

impl<K, const N: usize> Default for Top<K, N> {
    fn default() -> Self {
        Self::new()
    }
}
