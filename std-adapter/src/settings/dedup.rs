//! Settings of dedup caches.

use core::{hash::Hash, time::Duration};

use steadfast_core::dedup_cache::OnFull;

use super::{
    form::{form, required, settings},
    values::{Capacity, FullCache, Positive},
};
use crate::dedup_cache::{DedupCache, DedupCacheBuilder};

form! {
    DedupForm {
        ttl: Positive,
        lease: Positive,
        on_full: FullCache,
        capacity: Capacity,
    }
}

/// Settings of a [`DedupCache`]: `ttl`, `on_full`, `lease`, `capacity`.
///
/// ```
/// use steadfast::settings::DedupSettings;
///
/// let orders: DedupSettings = toml::from_str(r#"
///     ttl = "10m"
///     on_full = "refuse"   # or "forget-oldest"
///     lease = "30s"
/// "#)?;
/// let cache = orders.builder::<String>().build();
/// cache.set_settings(orders.ttl(), orders.lease(), orders.on_full()); // when they are read anew
/// # assert!(cache.check("order 7").is_fresh());
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DedupSettings {
    form: DedupForm,
    ttl: Duration,
    on_full: OnFull,
}

impl DedupSettings {
    fn check(form: DedupForm) -> Result<Self, String> {
        let ttl = required(&form.ttl, "ttl: expected how long an id is known, such as \"10m\"")?.get();
        let on_full = required(&form.on_full, "on_full: expected \"refuse\" or \"forget-oldest\"")?.0;
        Ok(Self { form, ttl, on_full })
    }

    /// How long an id is known.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// After how long a claim is given up; the TTL, if it is not said.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.form.lease.map_or(self.ttl, Positive::get)
    }

    /// What to do with a new id when there is no room.
    #[must_use]
    pub const fn on_full(&self) -> OnFull {
        self.on_full
    }

    /// The builder of a cache with these settings.
    #[must_use]
    pub fn builder<K: Eq + Hash>(&self) -> DedupCacheBuilder<K> {
        let builder = DedupCache::builder(self.ttl, self.on_full).lease(self.lease());
        match self.form.capacity {
            Some(capacity) => builder.capacity(capacity.to_usize()),
            None => builder,
        }
    }
}

settings!(DedupSettings: DedupForm);
