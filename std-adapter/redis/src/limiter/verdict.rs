//! A verdict, and who gave it.

use steadfast::{Instant, rate_limiter::Verdict};

/// A [`Verdict`], and who gave it. Its instants are those of [`Engine::now`](crate::Engine::now).
#[must_use = "a decision that is not acted on limits nothing"]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SharedVerdict {
    /// The decision, with what `RateLimit` headers tell. As the engine knew it a moment ago, or, of the
    /// [`Fallback`](By::Fallback), for this process alone.
    pub verdict: Verdict,
    /// Who gave it.
    pub by: By,
}

impl SharedVerdict {
    /// True if the request is let through.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        self.verdict.is_allowed()
    }

    /// When the same request is allowed if no other is before, `None` if it is allowed now.
    #[must_use]
    pub const fn retry_at(self) -> Option<Instant> {
        self.verdict.retry_at()
    }
}

/// Who decided.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum By {
    /// The engine, for all servers.
    Engine,
    /// A denial of the engine's that still holds, without a round trip.
    Denial,
    /// [`WhenDown`](crate::WhenDown), without the engine.
    Fallback,
    /// The quota alone: it is unlimited, or allows nothing.
    Quota,
}
