//! A service under load that reads its settings anew on SIGHUP. See `README.md`.

mod load;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{PoisonError, RwLock},
};

use serde::Deserialize;
use steadfast::{
    Breakers, Gcra, RateLimiter, RetryPolicy,
    circuit_breaker::AnyTrip,
    settings::{BreakerSettings, LimitSettings, RetrySettings},
};

/// The whole file: what is misspelt is refused here too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    limit: LimitSettings,
    breaker: BreakerSettings,
    retry: RetrySettings,
}

impl Settings {
    fn read(file: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
    }
}

/// What a request meets on its way.
struct Service {
    limiter: RateLimiter<u64, Gcra>,
    breakers: Breakers<u64, AnyTrip>,
    /// A request copies it once, so all its attempts go by the same policy.
    retry: RwLock<RetryPolicy>,
}

impl Service {
    fn new(settings: &Settings) -> Self {
        Self {
            limiter: settings.limit.builder().build(),
            breakers: settings.breaker.builder().build(),
            retry: RwLock::new(settings.retry.policy()),
        }
    }

    /// Each keeps what it knows: quotas that are used, breakers that are open.
    fn apply(&self, settings: &Settings) {
        self.limiter.set_quota(settings.limit.quota());
        self.limiter.set_on_full(settings.limit.on_full());
        self.limiter.set_enforce(settings.limit.enforce());
        self.breakers.set_settings(settings.breaker.trip(), settings.breaker.reset());
        *self.retry.write().unwrap_or_else(PoisonError::into_inner) = settings.retry.policy();
    }

    fn retry(&self) -> RetryPolicy {
        *self.retry.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
#[tokio::main]
async fn main() -> ExitCode {
    let file = env::args_os().nth(1).map_or_else(|| PathBuf::from("examples/reload/settings.toml"), PathBuf::from);
    match run(&file).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("there is no SIGHUP here");
    ExitCode::FAILURE
}

#[cfg(unix)]
async fn run(file: &Path) -> Result<ExitCode, String> {
    use tokio::signal::unix::{SignalKind, signal};

    // Before anything else: until then a SIGHUP ends the process.
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let settings = Settings::read(file)?;
    let load = load::Load::start(Service::new(&settings), &settings);
    println!("settings {} decide", load.in_force().await);
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(load.summary()),
            _ = hangup.recv() => read_anew(file, &load).await,
        }
    }
}

/// Reads the whole file before anything changes.
async fn read_anew(file: &Path, load: &load::Load) {
    match Settings::read(file) {
        Ok(settings) => {
            load.change(&settings, |service| service.apply(&settings));
            println!("settings {} decide", load.in_force().await);
        }
        Err(error) => println!("settings {} stay: {error}", load.in_force().await),
    }
}
