//! Embassy's time, from the tick that every Cortex-M has. A real board's HAL brings a better one.

use core::task::Waker;

use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::exception;
use embassy_time_driver::{Driver, TICK_HZ, time_driver_impl};
use embassy_time_queue_utils::Queue;
use steadfast_embassy::{Lock, Mutex};

/// The clock of mps2-an386, in Hz.
const CORE_CLOCK: u32 = 25_000_000;

struct Ticker(Mutex<State>);

struct State {
    now: u64,
    sleepers: Queue,
}

time_driver_impl!(static TICKER: Ticker = Ticker(Mutex::new(State { now: 0, sleepers: Queue::new() })));

impl Driver for Ticker {
    fn now(&self) -> u64 {
        self.0.with(|state| state.now)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        // What is due already is woken by the next tick.
        self.0.with(|state| _ = state.sleepers.schedule_wake(at, waker));
    }
}

/// Lets the ticks begin.
pub fn start(syst: &mut SYST) {
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(CORE_CLOCK / TICK_HZ as u32 - 1);
    syst.clear_current();
    syst.enable_interrupt();
    syst.enable_counter();
}

#[exception]
fn SysTick() {
    TICKER.0.with(|state| {
        state.now += 1;
        state.sleepers.next_expiration(state.now);
    });
}
