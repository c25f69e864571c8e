//! What quotas ask the engine.

use crate::engine::{ALLOW, Call, Engine, EngineDown};

/// What a quota asks.
pub(super) struct Ask {
    pub(super) key: Vec<u8>,
    /// In nanoseconds.
    pub(super) interval: u64,
    pub(super) burst: u32,
    pub(super) cost: u32,
}

impl Engine {
    /// Asks the quotas as one: whether all allow it, and what each owed before.
    pub(super) async fn ask(&self, asks: &[Ask]) -> Result<(bool, Vec<u64>), EngineDown> {
        let keys: Vec<_> = asks.iter().map(|ask| &ask.key).collect();
        let call =
            asks.iter().fold(Call::new(&ALLOW, &keys), |call, ask| call.arg(ask.interval).arg(ask.burst).arg(ask.cost));
        self.run(&call, |reply: Vec<i64>| {
            let (is_allowed, owed) = reply.split_first()?;
            let owed: Vec<_> = owed.iter().map(|&owed| u64::try_from(owed).unwrap_or(0)).collect();
            (owed.len() == asks.len()).then_some((*is_allowed == 1, owed))
        })
        .await
    }
}
