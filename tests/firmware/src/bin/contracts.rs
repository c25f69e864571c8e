//! The contracts of `tests/host`, under the locks of a microcontroller.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use firmware_tests::{board, harness};
use steadfast_embassy::{
    Mutex,
    raw::{CriticalSectionRawMutex, ThreadModeRawMutex},
};
use steadfast_tests::{Locks, RefCells, contracts};

/// Interrupts are off.
struct CriticalSections;

impl Locks for CriticalSections {
    type Of<T> = Mutex<T, CriticalSectionRawMutex>;

    fn lock<T>(content: T) -> Self::Of<T> {
        Mutex::new(content)
    }
}

/// Nobody is in an interrupt handler.
struct ThreadModes;

impl Locks for ThreadModes {
    type Of<T> = Mutex<T, ThreadModeRawMutex>;

    fn lock<T>(content: T) -> Self::Of<T> {
        Mutex::new(content)
    }
}

fn run<L: Locks>(group: &str) {
    for (name, contract) in contracts::<L>() {
        harness::test(group, name, contract);
    }
}

#[entry]
fn main() -> ! {
    board::start();
    run::<RefCells>("ref_cell");
    run::<CriticalSections>("critical_section");
    run::<ThreadModes>("thread_mode");
    harness::finish()
}
