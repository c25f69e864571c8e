//! Settings of the rate limiters.

use core::{num::NonZeroU16, time::Duration};

use steadfast_core::rate_limiter::{Enforce, Gcra, OnFull};

use super::{
    form::{form, required, settings},
    values::{Capacity, Enforced, FullLimiter, Positive, Rate, Some32},
};
use crate::rate_limiter::{
    AnySlidingLog, CachedRateLimiter, CachedRateLimiterBuilder, RateLimiter, RateLimiterBuilder,
};

form! {
    LimitForm {
        rate: Rate,
        every: Positive,
        burst: Some32,
        capacity: Capacity,
        on_full: FullLimiter,
        enforce: Enforced,
    }
}

/// Settings of a [`RateLimiter`] by [`Gcra`]: `rate` or `every`, `burst`, `capacity`, `on_full`, `enforce`.
///
/// ```
/// use steadfast::{Gcra, settings::LimitSettings};
///
/// let api: LimitSettings = toml::from_str(r#"
///     rate = "100/s"   # or { limit = 100, per = "1s" }, or every = "10ms"
///     burst = 20
/// "#)?;
/// assert_eq!(api.quota(), Gcra::per_second(100).burst(20));
/// let limiter = api.builder::<String>().build();
///
/// // When they are read anew:
/// limiter.set_quota(api.quota());
/// limiter.set_on_full(api.on_full());
/// limiter.set_enforce(api.enforce());
/// # Ok::<(), toml::de::Error>(())
/// ```
///
/// Several quotas of one key are a table each. A limiter takes the tuple of them, as `set_quota` does:
/// `RateLimiter::builder((a_second.quota(), a_day.quota()))`.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitSettings {
    form: LimitForm,
    quota: Gcra,
}

impl LimitSettings {
    fn check(form: LimitForm) -> Result<Self, String> {
        let quota = gcra(form.rate, form.every, form.burst)?;
        Ok(Self { form, quota })
    }

    /// The quota of each key; the burst is the whole limit of `rate`, or 1 with `every`, if it is not said.
    #[must_use]
    pub const fn quota(&self) -> Gcra {
        self.quota
    }

    /// What to do with a new key that the ledger refuses.
    #[must_use]
    pub fn on_full(&self) -> OnFull {
        self.form.on_full.map_or(OnFull::Deny, |on_full| on_full.0)
    }

    /// Whose denials are enforced.
    #[must_use]
    pub fn enforce(&self) -> Enforce {
        self.form.enforce.map_or(Enforce::Yes, |enforce| enforce.0)
    }

    /// The builder of a limiter with these settings.
    #[must_use]
    pub fn builder<K>(&self) -> RateLimiterBuilder<K, Gcra> {
        with_room(RateLimiter::builder(self.quota()), self.form.capacity)
            .on_full(self.on_full())
            .enforce(self.enforce())
    }
}

form! {
    CachedLimitForm {
        rate: Rate,
        every: Positive,
        burst: Some32,
        lease: Positive,
        capacity: Capacity,
    }
}

/// Settings of a [`CachedRateLimiter`]: those of [`LimitSettings`], and `lease`.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedLimitSettings {
    form: CachedLimitForm,
    quota: Gcra,
    lease: Duration,
}

impl CachedLimitSettings {
    fn check(form: CachedLimitForm) -> Result<Self, String> {
        let quota = gcra(form.rate, form.every, form.burst)?;
        let lease = required(&form.lease, "lease: expected how long an attempt takes at most")?.get();
        Ok(Self { form, quota, lease })
    }

    /// The quota of each key.
    #[must_use]
    pub const fn quota(&self) -> Gcra {
        self.quota
    }

    /// After how long an attempt is given up.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// The builder of a limiter with these settings.
    #[must_use]
    pub fn builder<K, V: Clone>(&self) -> CachedRateLimiterBuilder<K, V, Gcra> {
        let builder = CachedRateLimiter::builder(self.quota, self.lease);
        match self.form.capacity {
            Some(capacity) => builder.capacity(capacity.to_usize()),
            None => builder,
        }
    }
}

form! {
    SlidingLogForm {
        rate: Rate,
        capacity: Capacity,
        on_full: FullLimiter,
        enforce: Enforced,
    }
}

/// Settings of a [`RateLimiter`] by a sliding log, which is exact: `rate`, `capacity`, `on_full`,
/// `enforce`.
///
/// ```
/// use steadfast::settings::SlidingLogSettings;
///
/// let recoveries: SlidingLogSettings = toml::from_str(r#"rate = "5 / 10m""#)?;
/// let limiter = recoveries.builder::<String>().build();
/// assert!((0..5).all(|_| limiter.allow("bob").is_allowed()) && !limiter.allow("bob").is_allowed());
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SlidingLogSettings {
    form: SlidingLogForm,
    quota: AnySlidingLog,
}

impl SlidingLogSettings {
    fn check(form: SlidingLogForm) -> Result<Self, String> {
        let rate = required(&form.rate, "rate: expected how many are allowed in how much time, such as \"5 / 10m\"")?;
        let max = u16::try_from(rate.limit).ok().and_then(NonZeroU16::new);
        let max = max.ok_or_else(|| format!("rate: a sliding log allows from 1 to 65535, found {}", rate.limit))?;
        Ok(Self { form, quota: AnySlidingLog::new(max, rate.per) })
    }

    /// The quota of each key.
    #[must_use]
    pub const fn quota(&self) -> AnySlidingLog {
        self.quota
    }

    /// What to do with a new key that the ledger refuses.
    #[must_use]
    pub fn on_full(&self) -> OnFull {
        self.form.on_full.map_or(OnFull::Deny, |on_full| on_full.0)
    }

    /// Whose denials are enforced.
    #[must_use]
    pub fn enforce(&self) -> Enforce {
        self.form.enforce.map_or(Enforce::Yes, |enforce| enforce.0)
    }

    /// The builder of a limiter with these settings.
    #[must_use]
    pub fn builder<K>(&self) -> RateLimiterBuilder<K, AnySlidingLog> {
        with_room(RateLimiter::builder(self.quota), self.form.capacity).on_full(self.on_full()).enforce(self.enforce())
    }
}

settings!(LimitSettings: LimitForm, CachedLimitSettings: CachedLimitForm, SlidingLogSettings: SlidingLogForm);

fn gcra(rate: Option<Rate>, every: Option<Positive>, burst: Option<Some32>) -> Result<Gcra, String> {
    let quota = match (rate, every) {
        (Some(rate), None) => Gcra::per(rate.limit, rate.per),
        (None, Some(every)) => Gcra::every(every.get()),
        (Some(_), Some(_)) => return Err("every: expected `rate` or `every`, found both".to_owned()),
        (None, None) => {
            return Err(
                "rate: expected `rate`, such as \"100/s\", or `every`, such as \"10ms\", which is missing".to_owned()
            );
        }
    };
    let burst = burst.map_or_else(|| rate.map_or(1, |rate| rate.limit), Some32::to_u32);
    if quota.interval().as_nanos().saturating_mul(burst.into()) > u64::MAX.into() {
        return Err("burst: a whole burst would take longer than 584 years to come back".to_owned());
    }
    Ok(quota.burst(burst))
}

fn with_room<K, A: steadfast_core::rate_limiter::Quota + Clone>(
    builder: RateLimiterBuilder<K, A>,
    capacity: Option<Capacity>,
) -> RateLimiterBuilder<K, A> {
    match capacity {
        Some(capacity) => builder.capacity(capacity.to_usize()),
        None => builder,
    }
}
