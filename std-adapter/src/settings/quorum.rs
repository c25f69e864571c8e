//! Settings of quorums.

use core::time::Duration;

use super::{
    form::{form, required, settings},
    values::{Capacity, Positive},
};
use crate::quorum::{Quorum, QuorumBuilder};

form! {
    QuorumForm {
        threshold: Capacity,
        timeout: Positive,
        max_voters: Capacity,
    }
}

/// Settings of a [`Quorum`]: `threshold`, `timeout`, `max_voters`.
///
/// ```
/// use steadfast::settings::QuorumSettings;
///
/// let versions: QuorumSettings = toml::from_str(r#"
///     threshold = 2
///     timeout = "10s"
/// "#)?;
/// let quorum = versions.builder::<String, u64>().voters(["bob", "carol", "dave"].map(String::from)).build()?;
/// // ... when they are read anew ...
/// quorum.set_threshold(versions.threshold())?; // from the next ballot on
/// let ballot = quorum.reset(versions.timeout());
/// # assert_eq!(ballot, quorum.ballot());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct QuorumSettings {
    form: QuorumForm,
    threshold: usize,
}

impl QuorumSettings {
    fn check(form: QuorumForm) -> Result<Self, String> {
        let threshold = required(&form.threshold, "threshold: expected how many votes decide")?.to_usize();
        match form.max_voters {
            Some(voters) if threshold > voters.to_usize() => Err("threshold: is above `max_voters`".to_owned()),
            _ => Ok(Self { form, threshold }),
        }
    }

    /// How many votes decide, for [`Quorum::set_threshold`].
    #[must_use]
    pub const fn threshold(&self) -> usize {
        self.threshold
    }

    /// How long a ballot is open, for [`Quorum::reset`]; for ever, if it is not said.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.form.timeout.map_or(Duration::MAX, Positive::get)
    }

    /// The builder of a quorum with these settings. `max_voters` is for one whose voters are not listed.
    #[must_use]
    pub fn builder<V, T>(&self) -> QuorumBuilder<V, T> {
        let builder = Quorum::builder(self.threshold).timeout(self.timeout());
        match self.form.max_voters {
            Some(voters) => builder.max_voters(voters.to_usize()),
            None => builder,
        }
    }
}

settings!(QuorumSettings: QuorumForm);
