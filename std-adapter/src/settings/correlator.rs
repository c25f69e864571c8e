//! Settings of correlators.

use core::{hash::Hash, time::Duration};

use super::{
    form::{form, required, settings},
    values::{Capacity, Positive},
};
use crate::correlator::{Correlator, CorrelatorBuilder, KeyedCorrelator, KeyedCorrelatorBuilder};

form! {
    CorrelatorForm {
        timeout: Positive,
        capacity: Capacity,
    }
}

/// Settings of a [`Correlator`] or [`KeyedCorrelator`]: `timeout`, `capacity`.
///
/// A correlator keeps none of them but its capacity: each call is given its timeout, so a call keeps the one that it
/// began with, and the next has what was read last.
///
/// ```
/// use std::future::ready;
/// use steadfast::{block_on, correlator::CallError, settings::CorrelatorSettings};
///
/// let requests: CorrelatorSettings = toml::from_str(r#"
///     timeout = "5ms"
///     capacity = 64
/// "#)?;
/// let calls = requests.builder::<&str, u64>().build();
/// let silence = block_on(calls.call("bob", requests.timeout(), |_id| ready(Ok::<_, ()>(()))));
/// assert_eq!(silence, Err(CallError::TimedOut));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CorrelatorSettings {
    form: CorrelatorForm,
    timeout: Duration,
}

impl CorrelatorSettings {
    fn check(form: CorrelatorForm) -> Result<Self, String> {
        let timeout = required(&form.timeout, "timeout: expected how long a call waits, such as \"5s\"")?.get();
        Ok(Self { form, timeout })
    }

    /// How long a call waits for its reply: what each call is given.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The most calls at once; 1,024 if it is not said.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.form.capacity.map_or(1_024, Capacity::to_usize)
    }

    /// The builder of a correlator with these settings.
    pub fn builder<P: Copy + Eq, R>(&self) -> CorrelatorBuilder<P, R> {
        Correlator::builder(self.capacity())
    }

    /// The builder of a correlator with these settings, for ids that the caller has.
    pub fn builder_keyed<Id: Eq + Hash, R>(&self) -> KeyedCorrelatorBuilder<Id, R> {
        KeyedCorrelator::builder(self.capacity())
    }
}

settings!(CorrelatorSettings: CorrelatorForm);
