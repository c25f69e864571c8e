//! Where a microcontroller's lines go.

use steadfast_core::logger::{Level, NotWritten, Sink};

/// Hands lines to `defmt` (feature `defmt`), at their level; the filter `DEFMT_LOG` applies to the crate that logs,
/// `steadfast_embassy`.
#[derive(Clone, Copy, Debug, Default, defmt::Format)]
pub struct DefmtSink;

impl Sink for DefmtSink {
    fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten> {
        match level {
            Level::Debug => defmt::debug!("{=str}", line),
            Level::Info => defmt::info!("{=str}", line),
            Level::Warn => defmt::warn!("{=str}", line),
            Level::Error => defmt::error!("{=str}", line),
        }
        Ok(())
    }
}

/// Every public type is `defmt::Format`: checked when it compiles, for nothing links `defmt` on a host. That none is
/// left out is checked by `tests/host/tests/format.rs`.
#[cfg(test)]
mod tests {
    use super::DefmtSink;
    use crate::{EmbassyTimer, Mutex, Shared};

    const fn format<T: defmt::Format>() {}

    const _: () = format::<(DefmtSink, EmbassyTimer, Mutex<u8>, Shared<u8>)>();
}
