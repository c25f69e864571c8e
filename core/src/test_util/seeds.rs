//! How many seeds a simulation is run with.

use core::ops::Range;

/// `quick` seeds, or as many as the environment variable `STEADFAST_SEEDS` says.
pub(crate) fn seeds(quick: u64) -> Range<u64> {
    let asked = std::env::var("STEADFAST_SEEDS").ok().and_then(|text| text.parse().ok());
    0..asked.unwrap_or(quick)
}
