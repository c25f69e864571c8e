//! What a logger tells of itself.

use super::{Logger, LoggerStats};
use crate::{
    foundation::shared::{Lock, Shared},
    observe::{Observe, Visitor, instruments as on},
};

/// What was seen is filtered, lost, rejected, waits, or was printed. `printed` itself is not told: it goes back when a sink
/// refuses a line, and a counter must not.
impl Observe for LoggerStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.counter(&on::LOGGER_SEEN, &[], self.seen);
        visitor.counter(&on::LOGGER_DROPPED, &[("reason", "filtered")], self.filtered);
        visitor.counter(&on::LOGGER_DROPPED, &[("reason", "lost")], self.lost);
        visitor.counter(&on::LOGGER_DROPPED, &[("reason", "rejected")], self.rejected);
        visitor.gauge(&on::LOGGER_WAITING, &[], self.waiting);
    }
}

/// The counts.
impl<L, T, const GROUPS: usize, const NAMES: usize, const LINE: usize, const SERVICES: usize, const FORMATTERS: usize>
    Observe for Shared<Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>, L, T>
where
    L: Lock<Target = Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>>,
{
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.with_lock(|logger| logger.stats()).visit(visitor);
    }
}
