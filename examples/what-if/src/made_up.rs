//! Made-up traffic, for who has no log.

use rand_core::Rng;
use steadfast_core::retry::SeededRng;

use crate::{key::KeyBy, log::Log, reader::Reader};

/// Seconds of traffic.
const SECONDS: u64 = 600;

/// Ten minutes as `seconds,key`: a poller, an office behind one address, a client with bursts, a crawler, sixty people,
/// and a flood of made-up keys. The same for the same seed.
#[must_use]
pub fn made_up(seed: u64) -> String {
    let mut rng = SeededRng::new(seed);
    let mut lines = Vec::new();
    let mut add = |millis: u64, key: &str| {
        if millis < SECONDS.saturating_mul(1_000) {
            lines.push((millis, format!("{}.{:03},{key}\n", millis / 1_000, millis % 1_000)));
        }
    };
    for second in (0..SECONDS).step_by(2) {
        add(second.saturating_mul(1_000).saturating_add(below(&mut rng, 40)), "poller");
    }
    // Forty people at work, each of whom opens a page with six parts now and then.
    (0..900).for_each(|_| page(&mut rng, 6, 400, |at| add(at, "office")));
    for minute in 0..20 {
        let start = 30_000_u64.saturating_mul(minute);
        (0..25).for_each(|_| add(start.saturating_add(below(&mut rng, 700)), "bursts"));
    }
    let mut at = 120_000;
    while at < 360_000 {
        add(at, "crawler");
        at = at.saturating_add(40).saturating_add(below(&mut rng, 60));
    }
    for person in 0..60 {
        let key = format!("person {person:02}");
        (0..12).for_each(|_| page(&mut rng, 4, 800, |at| add(at, &key)));
    }
    for _ in 0..6_000 {
        let at = 420_000_u64.saturating_add(below(&mut rng, 60_000));
        add(at, &format!("made up {:08x}", below(&mut rng, 1 << 32)));
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The same, read.
#[must_use]
pub fn made_up_log(seed: u64) -> Log {
    let mut reader = Reader::new(KeyBy::User, usize::MAX);
    reader.push(made_up(seed).as_bytes());
    reader.finish()
}

/// A page at some time, with so many parts that follow within so many milliseconds.
fn page(rng: &mut SeededRng, parts: u64, within: u64, mut add: impl FnMut(u64)) {
    let start = below(rng, SECONDS.saturating_mul(1_000));
    (0..parts).for_each(|_| add(start.saturating_add(below(rng, within))));
}

/// A number below `most`; which of them is a little likelier does not matter here.
pub(crate) fn below(rng: &mut SeededRng, most: u64) -> u64 {
    rng.next_u64().checked_rem(most).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_traffic_is_the_same_for_the_same_seed_and_has_all_that_it_says() {
        assert_eq!(made_up(7), made_up(7));
        assert_ne!(made_up(7), made_up(8));
        let log = made_up_log(7);
        assert_eq!((log.counts.unread(), log.counts.out_of_order, log.counts.whole_seconds), (0, 0, 0));
        assert!(
            ["poller", "office", "bursts", "crawler", "person 00", "person 59"]
                .iter()
                .all(|key| log.keys.contains(*key))
        );
        assert!(log.keys.iter().filter(|key| key.starts_with("made up")).count() > 5_900);
        assert!(log.span().1 < SECONDS * 1_000_000_000);
    }
}
