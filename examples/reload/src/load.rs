//! The load, and the check of every request: the settings before a change decided it, or those after.

use std::{
    num::NonZeroU32,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use steadfast::{RetryExt, RetryPolicy, circuit_breaker::BreakerError};

use crate::{Service, Settings};

/// How many tasks make requests.
const TASKS: u64 = 4;
/// How many clients they speak for.
const CLIENTS: u64 = 100;

pub(crate) struct Load(Arc<Inner>);

struct Inner {
    service: Service,
    history: Mutex<History>,
}

/// All settings so far, the oldest first.
struct History {
    all: Vec<Marks>,
    /// How many of them are in force, or were.
    done: usize,
    /// Requests that none of those decided which were in force while they ran.
    strange: u64,
}

/// By what one sees which settings decided.
struct Marks {
    burst: u32,
    open_for: Duration,
    policy: RetryPolicy,
    decided: u64,
}

impl Marks {
    fn new(settings: &Settings) -> Self {
        // A new breaker that is told of failures only says how long it opens.
        let probe = settings.breaker.build();
        let open_for = (0..100_000).find_map(|_| {
            let before = probe.now(); // no later than it opens, so that this is no less than the open time
            probe.record_failure();
            probe.try_acquire().err().map(|open| open.retry_at.saturating_duration_since(before))
        });
        Self {
            burst: steadfast::rate_limiter::Quota::limit(&settings.limit.quota()),
            open_for: open_for.unwrap_or_default(),
            policy: settings.retry.policy(),
            decided: 0,
        }
    }
}

impl Load {
    pub(crate) fn start(service: Service, settings: &Settings) -> Self {
        let history = History { all: vec![Marks::new(settings)], done: 1, strange: 0 };
        let inner = Arc::new(Inner { service, history: Mutex::new(history) });
        for task in 0..TASKS {
            let inner = inner.clone();
            drop(tokio::spawn(async move {
                for request in task.. {
                    inner.request(request % CLIENTS).await;
                    tokio::task::yield_now().await;
                }
            }));
        }
        Self(inner)
    }

    /// Puts other settings in force.
    pub(crate) fn change(&self, settings: &Settings, apply: impl FnOnce(&Service)) {
        let marks = Marks::new(settings);
        self.0.history().all.push(marks);
        apply(&self.0.service);
        let mut history = self.0.history();
        history.done = history.all.len();
    }

    /// The number of the settings in force, once they have decided a request.
    pub(crate) async fn in_force(&self) -> usize {
        while self.0.history().all.last().is_none_or(|marks| marks.decided == 0) {
            tokio::task::yield_now().await;
        }
        self.0.history().done
    }

    pub(crate) fn summary(&self) -> ExitCode {
        let history = self.0.history();
        for (index, marks) in history.all.iter().enumerate() {
            println!("settings {} decided {} requests", index.saturating_add(1), marks.decided);
        }
        println!("none that were in force decided {} requests", history.strange);
        if history.strange == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl Inner {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn request(&self, client: u64) {
        let first = self.history().done.saturating_sub(1);
        let Service { limiter, breakers, .. } = &self.service;
        let Ok(verdict) = limiter.allow_verdict(&client, NonZeroU32::MIN) else { return };
        // Every second client speaks to a service that is down.
        let called = breakers.call_blocking(&client, || if client.is_multiple_of(2) { Ok(()) } else { Err("down") });
        let refused_for = match called {
            Err(BreakerError::Open { retry_at }) => Some(retry_at.saturating_duration_since(breakers.now())),
            _ => None,
        };
        let policy = self.service.retry();
        let retried = policy.call(async || Ok::<(), ()>(())).await;

        let mut history = self.history();
        let in_force = history.all.get_mut(first..).unwrap_or_default();
        let is_known = refused_for.is_none_or(|wait| in_force.iter().any(|marks| wait <= marks.open_for))
            && in_force.iter().any(|marks| marks.policy == policy)
            && retried.is_ok();
        match in_force.iter_mut().find(|marks| marks.burst == verdict.limit) {
            Some(marks) if is_known => marks.decided = marks.decided.saturating_add(1),
            _ => history.strange = history.strange.saturating_add(1),
        }
    }
}
