//! The board: a tick every millisecond, which is embassy's time and an interrupt for whoever asks.

use core::{cell::Cell, task::Waker};

use cortex_m::peripheral::{Peripherals, syst::SystClkSource};
use cortex_m_rt::exception;
use embassy_time_driver::{Driver, time_driver_impl};
use embassy_time_queue_utils::Queue;
use steadfast_embassy::{Lock, Mutex};

/// 12.5 MHz, the board's clock at reset, for 1 kHz.
const RELOAD: u32 = 12_500 - 1;

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

/// What runs in the interrupt handler, besides time.
static ON_TICK: Mutex<Cell<Option<fn()>>> = Mutex::new(Cell::new(None));

/// Lets the ticks begin.
pub fn start() {
    let mut peripherals = Peripherals::take().expect("nobody else has them");
    peripherals.SYST.set_clock_source(SystClkSource::Core);
    peripherals.SYST.set_reload(RELOAD);
    peripherals.SYST.clear_current();
    peripherals.SYST.enable_interrupt();
    peripherals.SYST.enable_counter();
}

/// Runs `handler` in the interrupt handler, once a tick, while `thread` runs.
pub fn interrupted_by<R>(handler: fn(), thread: impl FnOnce() -> R) -> R {
    ON_TICK.with(|on_tick| on_tick.set(Some(handler)));
    let result = thread();
    ON_TICK.with(|on_tick| on_tick.set(None));
    result
}

#[exception]
fn SysTick() {
    TICKER.0.with(|state| {
        state.now += 1;
        state.sleepers.next_expiration(state.now);
    });
    if let Some(handler) = ON_TICK.with(|on_tick| on_tick.get()) {
        handler();
    }
}
