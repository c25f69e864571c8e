//! One rate limiter in a `static`: five answers a minute for each peer, whoever else is asking.
#![no_std]
#![no_main]

use cortex_m_semihosting::hprintln;
use embassy_executor::Spawner;
use embassy_time::Timer;
use emulator::{board, harness};
use steadfast_embassy::{RateLimiter, Shared, SlidingLog, rate_limiter::Decision, shared};

type PeerId = u32;

/// For tasks and interrupt handlers, in memory that the linker counts.
static LIMITER: Shared<RateLimiter<PeerId, SlidingLog<5>, 32>> = shared(RateLimiter::new(SlidingLog::per_minute()));

const CHATTY: PeerId = 1;
const QUIET: PeerId = 2;

/// What a radio would call for each frame; true if the peer gets its answer.
fn on_frame(from: PeerId) -> bool {
    match LIMITER.allow(&from) {
        Decision::Allow => true,
        Decision::Deny { .. } => false,
    }
}

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    board::start();
    let frames = [CHATTY; 8].into_iter().chain([QUIET]);
    let mut answers = 0;
    for from in frames {
        let answered = on_frame(from);
        hprintln!("peer {}: {}", from, if answered { "answered" } else { "too many this minute" });
        answers += u32::from(answered);
        Timer::after_secs(1).await;
    }
    assert_eq!(answers, 5 + 1);

    Timer::after_secs(60).await;
    assert!(on_frame(CHATTY), "a minute later there is room again");
    let stats = LIMITER.stats();
    hprintln!("{} answered, {} refused", stats.allowed, stats.denied);
    harness::leave();
}
