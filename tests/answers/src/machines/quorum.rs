use core::time::Duration;

use steadfast_core::{
    Instant, Quorum,
    aggregate::{self, settled},
    quorum::BallotId,
};

use super::rounds;
use crate::{Fold, HostileClock, Script};

pub(crate) fn run(fold: &mut Fold, script: &mut Script, operations: u32) {
    rounds(operations, |round, operations| {
        let mut clock = HostileClock::new(Duration::from_millis(100));
        let deadline = clock.now().saturating_add(Duration::from_secs(1));
        let mut quorum: Quorum<u8, i64, 7> =
            Quorum::try_new(1 + round as usize % 5, deadline).expect("there is room for so many");
        if round % 2 == 1 {
            quorum = quorum.listing(1..=6).expect("there is room for them");
        }
        for _ in 0..operations {
            let now = clock.tick(script);
            let ballot = match script.below(16) {
                0 => BallotId::from_u64(script.any()),
                _ => quorum.ballot(),
            };
            match script.below(64) {
                0..36 => {
                    let (voter, value) = (script.below(9) as u8, i64::from(script.below(4)) - 1);
                    fold.answer(&quorum.vote(ballot, voter, value, now));
                }
                36..41 => fold.answer(&quorum.result(ballot, aggregate::majority, now)),
                41..45 => {
                    let result = quorum.result_when_settled(ballot, aggregate::median, settled::median, now);
                    fold.answer(&result);
                }
                45..49 => {
                    let result = quorum.result_when_settled(ballot, aggregate::plurality, settled::plurality, now);
                    fold.answer(&result);
                }
                49..52 => fold.answer(&quorum.result(ballot, aggregate::trimmed_mean, now)),
                52..56 => fold.answer(&quorum.on_timeout(now)),
                56..60 => fold.answer(&quorum.reset(deadline_of(script, now), now)),
                60 => fold.answer(&quorum.reset_to(BallotId::from_u64(script.nanos()), deadline_of(script, now), now)),
                61 => quorum.dissenters(|value| *value == 1).for_each(|(voter, _)| fold.answer(voter)),
                _ => quorum.absentees().for_each(|voter| fold.answer(voter)),
            }
            quorum.votes().for_each(|vote| fold.answer(&vote));
            fold.answer(&(quorum.next_deadline(), quorum.len(), quorum.threshold(), quorum.ballot(), quorum.stats()));
        }
    });
}

fn deadline_of(script: &mut Script, now: Instant) -> Instant {
    match script.below(8) {
        0 => Instant::from_nanos(script.nanos()),
        1 => Instant::MAX,
        _ => now.saturating_add(Duration::from_millis(400)),
    }
}
