//! Every state that small machines can reach, by stateright: what must never happen does not, and from every state
//! service comes back.
//!
//! The machines are the real ones. Small instances without optimization, large ones with `--release`.

mod circuit_breaker;
mod correlator;
mod explore;
mod rate_limiter;
