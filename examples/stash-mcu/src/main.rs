//! A confidant of the stash on a microcontroller: the rules of `stash-protocol`, a UART, and memory that the linker
//! counts.
#![no_std]
#![no_main]

mod board;
mod clock;
mod keeper;
mod line;
mod uart;

use core::time::Duration;

use embassy_executor::Spawner;
use stash_protocol::RunSecret;
use steadfast_embassy::{HashSeed, Logger, Shared, shared};

use crate::{board::Semihosting, keeper::Keeper, line::Line, uart::Uart};

/// Up to eight groups of events at once; each becomes one line, after 300 ms without another one.
static LOGGER: Shared<Logger<8>> = shared(Logger::new().window(Duration::from_millis(300), Duration::from_secs(2)));

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let mut peripherals = cortex_m::Peripherals::take().expect("nobody else has them");
    clock::start(&mut peripherals.SYST);
    spawner.spawn(log().expect("the only one"));
    spawner.spawn(board::sleep().expect("the only one"));

    let mut line = Line::new(Uart::start());
    // A real board draws the random bytes from its own generator, and keeps its seed in its flash.
    let (seed, random) = line.start().await;
    let [run @ .., low, high] = random;
    LOGGER.with_lock(|logger| logger.reseed(HashSeed::new(u64::from_le_bytes(low), u64::from_le_bytes(high))));
    let mut secret = [0; 40];
    secret.copy_from_slice(run.as_flattened());

    line.serve(Keeper::new(&seed, &RunSecret::new(secret))).await;
    board::leave(); // somebody has left an emulator behind
}

/// Writes the log.
#[embassy_executor::task]
async fn log() {
    LOGGER.run(&mut Semihosting).await;
}
