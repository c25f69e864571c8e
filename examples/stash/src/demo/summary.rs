//! What each utility did during the demo, as a table of sums.

use std::{fmt, ops::AddAssign};

use steadfast::{
    batch_collector::BatchQueueStats, circuit_breaker::BreakerStats, correlator::CorrelatorStats,
    dedup_cache::DedupStats, logger::LoggerStats, quorum::QuorumStats,
};

use super::mallory::Flood;
use crate::{
    link::LinkStats,
    node::NodeStats,
    owner::{Owner, Recovered},
};
use stash_protocol::{CHUNK_BYTES, serial::BoardStats};

/// In which order they are told.
const ORDER: [&str; 9] = [
    "Encryptor",
    "Correlator",
    "Retry",
    "CircuitBreaker",
    "Quorum",
    "RateLimiter",
    "DedupCache",
    "BatchCollector",
    "Logger",
];

/// What everybody together has counted so far.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    /// Requests that were answered, as the confidants count them.
    answered: u64,
    /// Requests that were refused, as those who asked count them.
    limited: u64,
}

impl Table {
    /// Adds what an owner counted.
    pub(super) fn owner(&mut self, owner: &Owner) {
        self.link(&owner.link().stats());
    }

    /// Adds what a peer counted of what others asked it.
    pub(super) fn keeper(&mut self, stats: &NodeStats) {
        let NodeStats { confidant, dedup, limits, announcements, .. } = stats;
        self.add((*dedup).into());
        self.add((*announcements).into());
        self.answered += confidant.answered;
        limits.iter().for_each(|limit| self.recoveries([limit.allowed, limit.denied]));
    }

    fn recoveries(&mut self, [allowed, denied]: [u64; 2]) {
        let parts = [(allowed, "allowed"), (denied, "denied")];
        self.add(Row::new("RateLimiter", 0, "requests", &parts));
    }

    /// Adds what a board counted.
    pub(super) fn board(&mut self, stats: &BoardStats) {
        let BoardStats { confidant, dedup, recoveries, log, .. } = *stats;
        self.keeper(&NodeStats { confidant, dedup, ..NodeStats::default() });
        self.recoveries(recoveries);
        self.add(log.into());
    }

    /// Adds what a flood met.
    pub(super) const fn flood(&mut self, flood: Flood) {
        self.limited += flood.limited;
    }

    /// Adds what a recovery counted.
    pub(super) fn recovery(&mut self, recovered: &Recovered) {
        let Recovered { file, opened, damaged, votes, .. } = recovered;
        self.add((*votes).into());
        let chunks = file.len().div_ceil(CHUNK_BYTES).max(1) as u64;
        let row = Row::new("Encryptor", chunks, "chunks", &[(*opened, "opened")]);
        self.add(row.beside(&[(*damaged, "damaged ones refused")]));
    }

    /// Adds what somebody counted of what it asked others.
    pub(super) fn link(&mut self, link: &LinkStats) {
        self.add(link.calls.into());
        self.add(link.breakers.into());
        let parts =
            [(link.retries.deposits, "first tries"), (link.retries.withdrawn - link.retries.refunded, "retries")];
        self.add(Row::new("Retry", link.attempts, "attempts", &parts).beside(&[(link.retries.refused, "over budget")]));
    }

    fn add(&mut self, row: Row) {
        match self.rows.iter_mut().find(|known| known.utility == row.utility) {
            Some(known) => *known += row,
            None => self.rows.push(row),
        }
    }

    /// The finished rows, with the logger's own.
    pub(super) fn into_rows(mut self, logger: LoggerStats) -> Vec<Row> {
        self.add(Row::new("RateLimiter", self.answered + self.limited, "requests", &[]));
        self.add(logger.into());
        self.rows.sort_by_key(|row| ORDER.iter().position(|utility| *utility == row.utility));
        self.rows
    }
}

/// One line of the table: a whole, and the parts that it has to be the sum of.
///
/// The whole is counted apart from its parts wherever the utility has a count for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Row {
    utility: &'static str,
    whole: u64,
    of: &'static str,
    parts: Vec<(u64, &'static str)>,
    beside: Vec<(u64, &'static str)>,
}

impl Row {
    pub(super) fn new(utility: &'static str, whole: u64, of: &'static str, parts: &[(u64, &'static str)]) -> Self {
        Self { utility, whole, of, parts: parts.to_vec(), beside: Vec::new() }
    }

    /// Counts that are worth a look, but no part of the sum.
    pub(super) fn beside(mut self, counts: &[(u64, &'static str)]) -> Self {
        self.beside.extend(counts);
        self
    }

    pub(super) fn adds_up(&self) -> bool {
        self.whole == self.parts.iter().map(|(count, _)| count).sum::<u64>()
    }
}

/// The same utility elsewhere: its counts are added, each to the one of the same name.
impl AddAssign for Row {
    fn add_assign(&mut self, other: Self) {
        self.whole += other.whole;
        add(&mut self.parts, other.parts);
        add(&mut self.beside, other.beside);
    }
}

fn add(counts: &mut Vec<(u64, &'static str)>, others: Vec<(u64, &'static str)>) {
    for (count, name) in others {
        match counts.iter_mut().find(|(_, known)| *known == name) {
            Some((sum, _)) => *sum += count,
            None => counts.push((count, name)),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.adds_up() { "✅" } else { "❌" };
        write!(f, "{mark} {:<15} {} {} =", self.utility, grouped(self.whole), self.of)?;
        let mut between = " ";
        for (count, name) in self.parts.iter().filter(|(count, _)| *count > 0) {
            write!(f, "{between}{} {name}", grouped(*count))?;
            between = " + ";
        }
        if between == " " {
            f.write_str(" nothing")?;
        }
        between = "; ";
        for (count, name) in self.beside.iter().filter(|(count, _)| *count > 0) {
            write!(f, "{between}{} {name}", grouped(*count))?;
            between = ", ";
        }
        Ok(())
    }
}

/// A number with a comma after each three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl From<CorrelatorStats> for Row {
    fn from(stats: CorrelatorStats) -> Self {
        let parts = [
            (stats.resolved, "resolved"),
            (stats.timed_out, "timed out"),
            (stats.cancelled, "cancelled"),
            (stats.closed, "closed"),
            (stats.pending, "pending"),
        ];
        Self::new("Correlator", stats.begun, "calls", &parts).beside(&[
            (stats.late, "late"),
            (stats.duplicates, "doubled"),
            (stats.wrong_peer, "from others than the one asked"),
            (stats.unknown, "to no call"),
        ])
    }
}

impl From<DedupStats> for Row {
    fn from(stats: DedupStats) -> Self {
        let parts = [
            (stats.held, "held"),
            (stats.expired, "expired"),
            (stats.forgotten, "forgotten"),
            (stats.aborted, "to come again"),
            (stats.given_up, "given up"),
        ];
        Self::new("DedupCache", stats.fresh, "new messages", &parts)
            .beside(&[(stats.duplicates + stats.in_flight, "repeats dropped")])
    }
}

impl From<BreakerStats> for Row {
    fn from(stats: BreakerStats) -> Self {
        let parts = [
            (stats.successes, "successes"),
            (stats.failures, "failures"),
            (stats.ignored, "ignored"),
            (stats.stale, "too late to count"),
        ];
        Self::new("CircuitBreaker", stats.permitted, "permits", &parts)
            .beside(&[(stats.rejected, "rejected"), (stats.opened, "openings")])
    }
}

impl From<QuorumStats> for Row {
    fn from(stats: QuorumStats) -> Self {
        let parts = [
            (stats.counted, "counted"),
            (stats.repeated, "repeated"),
            (stats.conflicting, "conflicting"),
            (stats.late, "late"),
            (stats.strangers, "by strangers"),
            (stats.full, "without room"),
            (stats.other_ballots, "for another ballot"),
        ];
        Self::new("Quorum", stats.seen(), "votes", &parts)
    }
}

impl From<BatchQueueStats> for Row {
    fn from(stats: BatchQueueStats) -> Self {
        let parts = [
            (stats.delivered, "sent"),
            (stats.failed, "failed"),
            (stats.returned, "given back"),
            (stats.in_flight as u64, "on their way"),
            (stats.pending as u64, "pending"),
        ];
        Self::new("BatchCollector", stats.accepted, "announcements", &parts).beside(&[(stats.batches, "batches")])
    }
}

impl From<LoggerStats> for Row {
    fn from(stats: LoggerStats) -> Self {
        let parts = [
            (stats.printed, "printed"),
            (stats.filtered, "filtered"),
            (stats.waiting, "waiting"),
            (stats.lost, "lost"),
            (stats.rejected, "rejected"),
        ];
        Self::new("Logger", stats.seen, "events", &parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_well_and_adds_up() {
        let row = Row::new("Logger", 1_234_567, "events", &[(1_234_000, "printed"), (567, "lost"), (0, "waiting")]);
        assert_eq!(
            row.beside(&[(0, "late"), (3, "odd")]).to_string(),
            "✅ Logger          1,234,567 events = 1,234,000 printed + 567 lost; 3 odd"
        );
        assert_eq!(Row::from(LoggerStats::default()).to_string(), "✅ Logger          0 events = nothing");
    }

    #[test]
    fn a_sum_that_is_wrong_says_so() {
        let mut row = Row::new("Quorum", 3, "votes", &[(2, "counted")]);
        assert!(!row.adds_up() && row.to_string().starts_with("❌"));
        row += Row::new("Quorum", 1, "votes", &[(1, "counted"), (1, "late")]);
        assert!(row.adds_up());
    }
}
