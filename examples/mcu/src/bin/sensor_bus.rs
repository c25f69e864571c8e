//! A circuit breaker around a sensor bus: a bus that hangs costs three timeouts, then one probe now and again.
#![no_std]
#![no_main]

use core::time::Duration;

use cortex_m_semihosting::hprintln;
use embassy_executor::Spawner;
use embassy_time::{Instant, Ticker, Timer};
use emulator::{board, harness};
use steadfast_embassy::{
    CircuitBreaker, Reset, Shared, Trip,
    circuit_breaker::{BreakerError, BreakerState},
    shared,
};

/// Opens after three failures in a row; probes after one second, then after two, four, at most eight.
static BUS: Shared<CircuitBreaker> = shared(CircuitBreaker::new(
    Trip::consecutive(3),
    Reset::after(Duration::from_secs(1)).doubling().up_to(Duration::from_secs(8)),
));

#[derive(Debug)]
struct BusTimeout;

/// A sensor that hangs from second 2 to second 9. Each such read blocks the bus for 50 ms.
async fn read_sensor() -> Result<i16, BusTimeout> {
    if (2..9).contains(&Instant::now().as_secs()) {
        Timer::after_millis(50).await;
        return Err(BusTimeout);
    }
    Ok(215)
}

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    board::start();
    let (mut fresh, mut timeouts, mut spared) = (0, 0, 0);
    let mut temperature = 0;
    let mut ticker = Ticker::every(embassy_time::Duration::from_millis(100));
    for _ in 0..150 {
        match BUS.call(read_sensor()).await {
            Ok(reading) => {
                temperature = reading;
                fresh += 1;
            }
            Err(BreakerError::Inner(BusTimeout) | BreakerError::TimedOut) => {
                timeouts += 1;
                hprintln!("{} ms: the bus hangs, {:?}", Instant::now().as_millis(), BUS.state());
            }
            // It was not asked, so the last reading has to do.
            Err(_open) => spared += 1,
        }
        ticker.next().await;
    }
    hprintln!("{} readings, {} timeouts, {} spared; {} tenths of a degree", fresh, timeouts, spared, temperature);
    assert_eq!(BUS.state(), BreakerState::Closed, "the sensor is back");
    assert_eq!(timeouts, 3 + 2, "three to open it, and the probes after one second and two");
    assert_eq!((fresh + timeouts + spared, temperature), (150, 215));
    harness::leave();
}
