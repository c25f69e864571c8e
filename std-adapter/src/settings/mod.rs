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
//! Every utility that decides takes other settings while it runs, by `set_settings`, `set_quota` or
//! `set_threshold`, and keeps what it knows; the method says what becomes of what is under way. Its capacity stays: that is memory. Read the whole file
//! first and change the utilities after that, so that a file with an error changes nothing:
//!
//! ```
//! use std::sync::{PoisonError, RwLock};
//! use steadfast::{
//!     BatchCollector, CircuitBreaker, DedupCache, Gcra, Logger, RateLimiter, RetryBudget, RetryPolicy,
//!     circuit_breaker::AnyTrip,
//!     settings::{
//!         BatchCollectorSettings, BreakerSettings, DedupSettings, LimitSettings, LoggerSettings, RetryBudgetSettings,
//!         RetrySettings,
//!     },
//! };
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     limit: LimitSettings,
//!     breaker: BreakerSettings,
//!     retry: RetrySettings,
//!     budget: RetryBudgetSettings,
//!     payments: DedupSettings,
//!     audit: BatchCollectorSettings,
//!     logger: LoggerSettings,
//! }
//!
//! struct Service {
//!     limiter: RateLimiter<String, Gcra>,
//!     breaker: CircuitBreaker<AnyTrip>,
//!     retry: RwLock<RetryPolicy>,
//!     budget: RetryBudget,
//!     payments: DedupCache<String>,
//!     audit: BatchCollector<String>,
//!     logger: Logger,
//! }
//!
//! impl Service {
//!     /// `former` is what was read before.
//!     fn apply(&self, settings: &Settings, former: &Settings) {
//!         self.limiter.set_quota(settings.limit.quota());
//!         self.limiter.set_on_full(settings.limit.on_full());
//!         self.limiter.set_enforce(settings.limit.enforce());
//!         self.breaker.set_settings(settings.breaker.trip(), settings.breaker.reset());
//!         *self.retry.write().unwrap_or_else(PoisonError::into_inner) = settings.retry.policy();
//!         self.budget.set_settings(&settings.budget.build());
//!         let payments = &settings.payments;
//!         self.payments.set_settings(payments.ttl(), payments.lease(), payments.on_full());
//!         self.audit.set_settings(settings.audit.settings()); // size, capacity and retries stay
//!         if !settings.logger.show_instead_of(&former.logger, &self.logger) {
//!             self.logger.service("settings").warn(format_args!("there is no room for another service"));
//!         }
//!     }
//! }
//! #
//! # use steadfast::logger::WriteSink;
//! # let read = |rate: &str| toml::from_str::<Settings>(&format!(r#"
//! #     limit.rate = "{rate}"
//! #     breaker = {{ trip = {{ consecutive = 5 }}, reset = {{ after = "30s" }} }}
//! #     retry.exponential = "100ms"
//! #     budget.share = "20%"
//! #     payments = {{ ttl = "10m", on_full = "refuse" }}
//! #     audit = {{ size = 64, max_wait = "1s" }}
//! #     logger.show = {{ payments = "verbose" }}
//! # "#));
//! # let (former, settings) = (read("100/s")?, read("1/h")?);
//! # let service = Service {
//! #     limiter: former.limit.builder().build(),
//! #     breaker: former.breaker.build(),
//! #     retry: RwLock::new(former.retry.policy()),
//! #     budget: former.budget.build(),
//! #     payments: former.payments.builder().build(),
//! #     audit: former.audit.builder().build(|_| async {})?,
//! #     logger: former.logger.builder().build(WriteSink::new(std::io::sink()))?,
//! # };
//! # service.apply(&settings, &former);
//! # assert!(service.limiter.allow("bob").is_allowed() && !service.limiter.allow("bob").is_allowed());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Layers of `steadfast-tower` share the utility that they were built with; a `RetryLayer` has `set_policy`. Breakers of
//! these settings have the trip [`AnyTrip`](crate::circuit_breaker::AnyTrip): `Breakers<K, AnyTrip>`.
//!
//! Settings can be compared: a change of those that are read at the start only is worth a line in the log. The example
//! `reload` of the repository reads its settings on SIGHUP, under load. An error of TOML has several lines, of which the
//! first says where, and a [`Logger`](crate::Logger) writes each line break as `\n`. For one short line:
//!
//! ```
//! # use steadfast::settings::LimitSettings;
//! # #[derive(Debug, serde::Deserialize)]
//! # struct Settings { #[allow(dead_code)] limit: LimitSettings }
//! let error = toml::from_str::<Settings>("[limit]\nrate = \"5/s\"\nbrust = 2").unwrap_err();
//! let text = error.to_string();
//! let short = format!("{}: {}", text.lines().next().unwrap_or_default(), error.message());
//! assert!(short.starts_with("TOML parse error at line 3, column 1: brust: no such setting; there are `rate`"), "{short}");
//! ```

mod batch;
mod breaker;
mod correlator;
mod dedup;
pub mod duration;
mod form;
mod limits;
mod logger;
mod quorum;
mod retry;
#[cfg(test)]
mod tests;
mod values;

pub use batch::BatchCollectorSettings;
pub use breaker::BreakerSettings;
pub use correlator::CorrelatorSettings;
pub use dedup::DedupSettings;
pub use limits::{CachedLimitSettings, LimitSettings, SlidingLogSettings};
pub use logger::LoggerSettings;
pub use quorum::QuorumSettings;
pub use retry::{RetryBudgetSettings, RetrySettings};
