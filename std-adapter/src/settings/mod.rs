//! Settings from a file that a person writes (feature `serde`): one type for each utility, in TOML, JSON, environment
//! variables or whatever has a `serde` format that describes itself.
//!
//! [`settings.toml`](https://docs.rs/crate/steadfast/latest/source/settings.toml) shows every setting, with its
//! default. In short:
//!
//! ```
//! use std::collections::HashMap;
//! use steadfast::settings::{BreakerSettings, LimitSettings, RetrySettings};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     limits: HashMap<String, LimitSettings>,
//!     breaker: BreakerSettings,
//!     retry: RetrySettings,
//! }
//!
//! let settings: Settings = toml::from_str(r#"
//!     [limits.api]
//!     rate = "100/s"
//!     burst = 20
//!
//!     [breaker]
//!     trip = { window = "100 calls", failures = "50%", min_calls = 20 }
//!     reset = { after = "30s", up_to = "10m", doubling = true }
//!     call_timeout = "2s"
//!
//!     [retry]
//!     exponential = "100ms"
//!     max_delay = "10s"
//! "#)?;
//! let limiter = settings.limits["api"].builder::<String>().build();
//! let breaker = settings.breaker.build();
//!
//! let error = toml::from_str::<Settings>("[retry]\nexponential = 100\n").err().unwrap().to_string();
//! assert!(error.contains("exponential: expected a duration with its unit"), "{error}");
//! # Ok::<(), toml::de::Error>(())
//! ```
//!
//! # How they are written
//!
//! - **Durations** have a unit: `"250ms"`, `"1.5s"`, `"1h 30m"`. **Rates** have a time: `"100/s"`, `"5 / 10m"`.
//!   **Shares** have a sign: `"50%"`, `"2.5%"`. A number without its unit is an error.
//! - A number may stand as text, as it comes from an environment variable: `"5"` is 5.
//! - What is misspelt, missing, contradictory or out of range is refused where it is read. The error names the field,
//!   from the settings of the utility on (`reset.up_to`), and says what is allowed; TOML adds the line.
//! - What is read, written and read again is the same.
//!
//! Formats that do not describe themselves, such as postcard, cannot read these: on a device, store the settings of
//! [`steadfast_core`], whose form is compact.
//!
//! # Reading them anew
//!
//! Every utility that decides takes other settings while it runs, by `set_settings` or `set_quota`, and keeps what it
//! knows; the method says what becomes of what is under way. Its capacity stays: that is memory. Read the whole file
//! first and change the utilities after that, so that a file with an error changes nothing: see the example `reload`.

mod batch;
mod breaker;
mod dedup;
pub mod duration;
mod form;
mod limits;
mod logger;
mod retry;
#[cfg(test)]
mod tests;
mod values;

pub use batch::BatchCollectorSettings;
pub use breaker::BreakerSettings;
pub use dedup::DedupSettings;
pub use limits::{CachedLimitSettings, LimitSettings, SlidingLogSettings};
pub use logger::LoggerSettings;
pub use retry::{RetryBudgetSettings, RetrySettings};
