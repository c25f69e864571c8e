//! What peers called themselves, for the log.

use heapless::{String, Vec};

use crate::{Name, PeerId};

/// The names of at most `N` peers. When it is full, the one that was learned longest ago makes room, but for those peers
/// that are kept.
///
/// Learn only from verified messages: a name then belongs to a key. Keys cost nothing, so a flood of made-up ones may
/// forget every name but those of the kept; each is learned again with its peer's next greeting. Each call is O(`N`).
///
/// ```
/// use stash_protocol::{Identity, Name, Names};
///
/// let [alice, bob, carol] = [1, 2, 3].map(|seed| Identity::from_seed(&[seed; 32]).id());
/// let mut names = Names::<2>::new();
/// for (peer, name) in [(alice, "alice"), (bob, "bob"), (carol, "carol")] {
///     names.learn(peer, Name::new(name).unwrap(), |peer| *peer == alice);
/// }
/// assert_eq!((names.get(&alice), names.get(&bob), names.get(&carol)), (Some("alice"), None, Some("carol")));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Names<const N: usize> {
    known: Vec<Known, N>,
    /// How often a name was learned.
    time: u64,
}

#[derive(Clone, Debug)]
struct Known {
    peer: PeerId,
    name: String<{ Name::MAX }>,
    learned: u64,
}

impl<const N: usize> Names<N> {
    /// No names.
    #[must_use]
    pub const fn new() -> Self {
        Self { known: Vec::new(), time: 0 }
    }

    /// Notes what `peer` calls itself. `is_kept` tells whose name must stay; if that is everybody's, nothing is noted.
    pub fn learn(&mut self, peer: PeerId, name: Name<'_>, mut is_kept: impl FnMut(&PeerId) -> bool) {
        self.time = self.time.wrapping_add(1);
        let known = Known { peer, name: String::try_from(name.as_str()).unwrap_or_default(), learned: self.time };
        if let Some(place) = self.known.iter_mut().find(|known| known.peer == peer) {
            *place = known;
            return;
        }
        let Err(known) = self.known.push(known) else { return };
        for _ in 0..N {
            let Some(oldest) = self.known.iter_mut().min_by_key(|known| known.learned) else { return };
            if !is_kept(&oldest.peer) {
                *oldest = known;
                return;
            }
            oldest.learned = self.time; // so that it is not looked at again soon
        }
    }

    /// What `peer` called itself last, if that is still known.
    #[must_use]
    pub fn get(&self, peer: &PeerId) -> Option<&str> {
        self.known.iter().find(|known| known.peer == *peer).map(|known| known.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name<'_> {
        Name::new(text).unwrap()
    }

    fn peer(number: u16) -> PeerId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_le_bytes());
        PeerId::new(bytes)
    }

    #[test]
    fn found_f9_made_up_keys_take_no_name_for_longer_than_until_the_next_greeting() {
        let mut names = Names::<8>::new();
        let is_kept = |peer: &PeerId| peer.as_bytes()[0] < 3 && peer.as_bytes()[1] == 0;
        for kept in 0..3 {
            names.learn(peer(kept), name("kept"), is_kept);
        }
        for made_up in 1_000..3_000 {
            names.learn(peer(made_up), name("made up"), is_kept);
            assert!((0..3).all(|kept| names.get(&peer(kept)) == Some("kept")));
            assert_eq!(names.get(&peer(made_up)), Some("made up"), "the newest is known");
        }
        names.learn(peer(500), name("late"), is_kept);
        for made_up in 3_000..3_004 {
            names.learn(peer(made_up), name("made up"), is_kept);
        }
        assert_eq!(names.get(&peer(500)), Some("late"), "as many as there is room for came after it");
        names.learn(peer(500), name("later"), is_kept);
        assert_eq!(names.get(&peer(500)), Some("later"));
    }

    #[test]
    fn where_all_are_kept_nobody_else_is_learned() {
        let mut names = Names::<2>::new();
        for number in 0..3 {
            names.learn(peer(number), name("kept"), |_| true);
        }
        assert_eq!([0, 1, 2].map(|number| names.get(&peer(number))), [Some("kept"), Some("kept"), None]);
    }
}
