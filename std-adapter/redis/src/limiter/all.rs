//! Several quotas as one decision.

use core::{fmt, num::NonZeroU32};

use steadfast::rate_limiter::CostExceedsBurst;

use super::{By, SharedRateLimiter, SharedVerdict};
use crate::engine::Engine;

/// Why several quotas cannot decide as one. Nothing was counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AllowAllError {
    /// A cost is above the burst of its quota, so it can never be allowed.
    CostExceedsBurst(CostExceedsBurst),
    /// They need not lie in one slot of a cluster: all have to ask about one key, and to be built with
    /// [`tag_by_key`](crate::SharedRateLimiterBuilder::tag_by_key).
    NotOneSlot,
    /// Two of them are one: ask once, with the sum of the costs.
    SameQuotaTwice,
    /// One is of another engine.
    OtherEngine,
}

impl fmt::Display for AllowAllError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CostExceedsBurst(error) => error.fmt(f),
            Self::NotOneSlot => f.write_str("the quotas are not all about one key and tagged by it"),
            Self::SameQuotaTwice => f.write_str("a quota is asked twice"),
            Self::OtherEngine => f.write_str("a quota is of another engine"),
        }
    }
}

impl core::error::Error for AllowAllError {}

impl From<CostExceedsBurst> for AllowAllError {
    fn from(error: CostExceedsBurst) -> Self {
        Self::CostExceedsBurst(error)
    }
}

type Asked<'a> = (&'a SharedRateLimiter, &'a str, NonZeroU32);

impl Engine {
    /// Decides by several quotas as one: all are charged, or none. The verdict is that of the quota that denies for longest,
    /// or else of the one that has the least left; `None` if there are no quotas.
    ///
    /// One round trip, one script. All ask about one key, and are built with
    /// [`tag_by_key`](crate::SharedRateLimiterBuilder::tag_by_key).
    ///
    /// ```no_run
    /// use std::num::NonZeroU32;
    /// use steadfast::Gcra;
    /// use steadfast_redis::{AllowAllError, Engine, SharedRateLimiter, WhenDown};
    ///
    /// # async fn serve(engine: Engine) -> Result<(), AllowAllError> {
    /// let of = |name, quota| {
    ///     SharedRateLimiter::builder(&engine, name, quota).when_down(WhenDown::Deny).tag_by_key().build()
    /// };
    /// let (api, writes) = (of("api", Gcra::per_second(100)), of("writes", Gcra::per_minute(60)));
    ///
    /// let (one, five) = (NonZeroU32::MIN, NonZeroU32::new(5).unwrap());
    /// let verdict = engine.allow_all(&[(&api, "tenant-7", one), (&writes, "tenant-7", five)]).await?;
    /// let is_allowed = verdict.is_none_or(|verdict| verdict.is_allowed());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllowAllError`] if they cannot decide as one; nothing was counted.
    pub async fn allow_all(&self, quotas: &[Asked<'_>]) -> Result<Option<SharedVerdict>, AllowAllError> {
        self.check_all(quotas)?;
        let (now, mut told) = (self.now(), Vec::with_capacity(quotas.len()));
        for (limiter, key, cost) in quotas {
            told.push(limiter.known(key.as_bytes(), *cost, now)?);
        }
        // One that denies already is enough: nobody asks what the others would say.
        if !told.iter().flatten().any(|told| !told.is_allowed()) {
            let asked: Vec<_> = quotas.iter().zip(&mut told).filter(|(_, told)| told.is_none()).collect();
            self.ask_all(asked).await;
        }
        Ok(as_one(quotas, &told))
    }

    /// Asks those of which nothing is known.
    async fn ask_all(&self, asked: Vec<(&Asked<'_>, &mut Option<SharedVerdict>)>) {
        if asked.is_empty() {
            return;
        }
        let asks: Vec<_> = asked.iter().map(|((limiter, key, cost), _)| limiter.ask(key.as_bytes(), *cost)).collect();
        match self.ask(&asks).await {
            Ok((is_allowed, owed)) => {
                for (((limiter, key, cost), told), owed) in asked.into_iter().zip(owed) {
                    let verdict = limiter.decided(key.as_bytes(), *cost, is_allowed, owed);
                    *told = Some(SharedVerdict { verdict, by: By::Engine });
                }
            }
            Err(down) => {
                for ((limiter, key, cost), told) in asked {
                    let verdict = limiter.without_engine(key.as_bytes(), *cost, down);
                    *told = Some(SharedVerdict { verdict, by: By::Fallback });
                }
            }
        }
    }

    fn check_all(&self, quotas: &[Asked<'_>]) -> Result<(), AllowAllError> {
        let mut names = std::collections::HashSet::with_capacity(quotas.len());
        for (limiter, key, cost) in quotas {
            if !limiter.0.engine.is_same(self) {
                return Err(AllowAllError::OtherEngine);
            }
            let is_with = |(first, of, _): &Asked<'_>| of == key && first.0.prefix.has_slot_of(&limiter.0.prefix);
            if quotas.len() > 1 && !quotas.first().is_some_and(is_with) {
                return Err(AllowAllError::NotOneSlot);
            }
            if !names.insert(limiter.0.prefix.of(key.as_bytes())) {
                return Err(AllowAllError::SameQuotaTwice);
            }
            limiter.known(key.as_bytes(), *cost, self.now())?;
        }
        Ok(())
    }
}

/// The verdict of all: of the one that denies for longest, or else of the one that has the least left. What the fallback
/// of one has allowed is given back if another denies.
fn as_one(quotas: &[Asked<'_>], told: &[Option<SharedVerdict>]) -> Option<SharedVerdict> {
    let each = || quotas.iter().zip(told).filter_map(|(quota, told)| Some((quota, (*told)?)));
    let Some((_, denied)) = each().filter(|(_, told)| !told.is_allowed()).max_by_key(|(_, told)| told.retry_at())
    else {
        return each()
            .map(|((limiter, ..), told)| limiter.told(told.verdict, told.by))
            .min_by_key(|told| told.verdict.remaining);
    };
    for ((limiter, key, cost), told) in each() {
        if !told.is_allowed() {
            let _ = limiter.told(told.verdict, told.by);
        } else if told.by == By::Fallback {
            limiter.0.fallback.refund(key.as_bytes(), *cost);
        }
    }
    Some(denied)
}
