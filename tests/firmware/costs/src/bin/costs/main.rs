//! Counts the instructions and the stack of every operation, and tells the size of every machine, on an emulated Cortex-M4.
//!
//! Each line is a row of `budgets.toml`: its kind, the machine, what is measured, and the figures, with tabs between.
//! Every run gives the same figures: see [`meter`].
#![no_std]
#![no_main]
#![expect(unused_must_use, reason = "some calls are made for what they cost alone")]

mod aggregates;
mod batches;
mod breakers;
mod calls;
mod encryption;
mod ids;
mod keys;
mod limiters;
mod lines;
mod meter;
mod retries;
mod sizes;

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use cortex_m_semihosting::{
    debug::{EXIT_FAILURE, EXIT_SUCCESS, exit},
    hprintln,
};

use meter::Meter;

#[entry]
fn main() -> ! {
    let meter = Meter::start();
    limiters::gcra(&meter);
    limiters::sliding_log(&meter);
    limiters::cached(&meter);
    ids::dedup_cache(&meter);
    breakers::consecutive(&meter);
    breakers::call_window(&meter);
    breakers::time_window(&meter);
    breakers::by_key(&meter);
    retries::retry(&meter);
    aggregates::functions(&meter);
    aggregates::quorum(&meter);
    batches::batch_collector(&meter);
    calls::correlator(&meter);
    calls::keyed_correlator(&meter);
    lines::logger(&meter);
    encryption::encryptor(&meter);
    sizes::tell();
    leave(EXIT_SUCCESS)
}

fn leave(status: Result<(), ()>) -> ! {
    exit(status);
    loop {
        cortex_m::asm::nop();
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    leave(EXIT_FAILURE)
}
