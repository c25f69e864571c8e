//! The file with the settings.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use steadfast::settings::{
    BatchCollectorSettings, BreakerSettings, DedupSettings, LimitSettings, RetryBudgetSettings, RetrySettings,
};
use steadfast_tower::keys::{BadNetwork, PeerIp};

/// All of it: what is misspelt is refused here too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) orders: SocketAddr,
    pub(crate) stock: SocketAddr,
    pub(crate) audit_file: PathBuf,
    pub(crate) trusted_proxies: Vec<String>,
    #[serde(with = "steadfast::settings::duration")]
    pub(crate) deadline: Duration,
    pub(crate) limits: Limits,
    pub(crate) breakers: BreakerSettings,
    pub(crate) retry: RetrySettings,
    pub(crate) retry_budget: RetryBudgetSettings,
    pub(crate) idempotency: DedupSettings,
    pub(crate) audit: BatchCollectorSettings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) address: LimitSettings,
    pub(crate) api_key: LimitSettings,
}

impl Settings {
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let settings: Self = toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        settings.client().map_err(|error| format!("{}: trusted_proxies: {error}\n", file.display()))?;
        Ok(settings)
    }

    /// Who a client is, behind these proxies.
    pub(crate) fn client(&self) -> Result<PeerIp, BadNetwork> {
        PeerIp::trusted(self.trusted_proxies.iter().map(String::as_str))
    }
}
