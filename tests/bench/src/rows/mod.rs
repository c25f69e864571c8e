//! The work, row by row.

mod batch;
mod breaker;
mod clock;
mod correlator;
pub(crate) mod dedup;
mod layer;
pub(crate) mod limiter;
mod logger;
mod mean;
mod retry;
mod seal;
mod waiting;

pub use dedup::missed;

use crate::{options::Options, run::Row};

/// A row that is still to be built: its tables take memory, and time to fill.
pub struct Plan {
    pub work: String,
    pub build: Box<dyn FnOnce() -> Row>,
}

impl Plan {
    fn new(work: impl Into<String>, build: impl FnOnce() -> Row + 'static) -> Self {
        Self { work: work.into(), build: Box::new(build) }
    }
}

/// Every row, in the order of the table.
#[must_use]
pub fn all(options: &Options) -> Vec<Plan> {
    let parts = [
        clock::rows(options),
        limiter::rows(options),
        waiting::rows(),
        dedup::rows(options),
        breaker::rows(),
        retry::rows(),
        layer::rows(options),
        correlator::rows(),
        batch::rows(),
        mean::rows(),
        logger::rows(),
        seal::rows(),
    ];
    parts.into_iter().flatten().collect()
}

/// 1 k, 100 k, 1 M.
fn count(keys: usize) -> String {
    match keys {
        1_000_000.. => format!("{} M", keys / 1_000_000),
        1_000.. => format!("{} k", keys / 1_000),
        _ => keys.to_string(),
    }
}
