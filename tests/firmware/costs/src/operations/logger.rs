//! 8 groups, with names and lines of 160 bytes.

use steadfast_core::{
    Instant, Logger,
    logger::{Event, Level, Recorded, ServiceId},
};

pub type Log = Logger<8>;

pub const NEW: Log = Logger::new();

operations! {
    fn service(log: &mut Log, name: &'static str) -> ServiceId {
        log.service(name)
    }
    fn record(log: &mut Log, service: ServiceId, event: &Event<'_>, now: Instant) -> Recorded {
        log.record(service, event, now)
    }
    /// The bytes of the one due line, formatted.
    fn write_due(log: &mut Log, now: Instant) -> usize {
        log.on_timeout(now).map_or(0, |entry| entry.line().as_str().len())
    }
}

/// What fewer programs call.
pub mod rest {
    use super::*;

    operations! {
        fn line(log: &mut Log, service: ServiceId, text: &str, now: Instant) -> Recorded {
            log.line(service, Level::Info, text, now)
        }
    }
}
