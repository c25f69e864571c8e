//! What a request meets on its way, as the settings say it.

use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
};

use http::{HeaderValue, uri::Authority};
use steadfast::{Breakers, DedupCache, Gcra, RateLimiter, RetryBudget, circuit_breaker::AnyTrip, observe::publish};
use steadfast_tower::{
    idempotency::{Id, IdempotencyLayer, Kept},
    keys::{Header, PeerIp},
    limit::{LimitLayer, With},
    retry::RetryLayer,
};

use crate::{settings::Settings, upstreams::Upstreams};

/// A client says by this header who it is. Here anybody may make one up; in a service of your own, what authenticates
/// stands outside of these layers, and refuses an unknown one.
const API_KEY: Header = Header("x-api-key");

type ByAddressAndKey = With<With<(), PeerIp, IpAddr>, Header, HeaderValue>;

/// Handles: whoever has a clone of one shares its state.
pub(crate) struct Policies {
    by_address: RateLimiter<IpAddr, Gcra>,
    by_key: RateLimiter<HeaderValue, Gcra>,
    client: PeerIp,
    answered: DedupCache<Id<HeaderValue>, Kept>,
    retries: RetryLayer,
    budget: RetryBudget,
    breakers: Breakers<Authority, AnyTrip>,
}

impl Policies {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let budget = settings.retry_budget.build();
        Ok(Self {
            by_address: settings.limits.address.builder().build(),
            by_key: settings.limits.api_key.builder().build(),
            client: settings.client()?,
            answered: settings.idempotency.builder().keeping().build(),
            retries: RetryLayer::new(settings.retry.policy(), &budget),
            budget,
            breakers: settings.breakers.builder().build(),
        })
    }

    /// Other settings: all keep what they know, such as quotas that are used and breakers that are open.
    pub(crate) fn apply(&self, settings: &Settings) {
        self.by_address.set_quota(settings.limits.address.quota());
        self.by_address.set_on_full(settings.limits.address.on_full());
        self.by_address.set_enforce(settings.limits.address.enforce());
        self.by_key.set_quota(settings.limits.api_key.quota());
        self.by_key.set_on_full(settings.limits.api_key.on_full());
        self.by_key.set_enforce(settings.limits.api_key.enforce());
        let dedup = &settings.idempotency;
        self.answered.set_settings(dedup.ttl(), dedup.lease(), dedup.on_full());
        self.retries.set_policy(settings.retry.policy());
        self.budget.set_settings(&settings.retry_budget.build());
        self.breakers.set_settings(settings.breakers.trip(), settings.breakers.reset());
    }

    /// Both limits as one decision: what one of them denies has taken nothing from the other.
    pub(crate) fn limits(&self) -> LimitLayer<ByAddressAndKey> {
        LimitLayer::all().quota("address", &self.by_address, self.client.clone()).quota("key", &self.by_key, API_KEY)
    }

    /// A POST needs an `Idempotency-Key`, which counts for one API key.
    pub(crate) fn only_once(&self) -> IdempotencyLayer<HeaderValue, Header> {
        IdempotencyLayer::new(&self.answered).scope(API_KEY).required()
    }

    /// Hands all counts to the recorder of metrics.
    pub(crate) fn publish(&self) {
        publish("address", &self.by_address);
        publish("key", &self.by_key);
        publish("orders", &self.answered);
        publish("upstreams", &self.budget);
        publish("upstreams", &self.breakers);
    }

    pub(crate) fn upstreams(&self, orders: SocketAddr, stock: SocketAddr) -> Upstreams {
        Upstreams::new(&self.retries, &self.breakers, orders, stock)
    }
}
