//! What a retry budget tells of itself.

use super::RetryBudgetStats;
use crate::observe::{Observe, Visitor, instruments as on};

/// Both decisions together are all retries that were asked for. `granted - refunded` ran or may still run.
impl Observe for RetryBudgetStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.counter(&on::RETRY_BUDGET_REQUESTS, &[], self.deposits);
        visitor.counter(&on::RETRY_BUDGET_RETRIES, &[("decision", "granted")], self.withdrawn);
        visitor.counter(&on::RETRY_BUDGET_RETRIES, &[("decision", "refused")], self.refused);
        visitor.counter(&on::RETRY_BUDGET_REFUNDED, &[], self.refunded);
    }
}
