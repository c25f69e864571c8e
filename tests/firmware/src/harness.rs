//! One line a test, and the sum at the end; the first failure ends it.

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};
use cortex_m_semihosting::{
    debug::{EXIT_FAILURE, EXIT_SUCCESS, exit},
    hprint, hprintln,
};
use steadfast_embassy::{Lock, Mutex};

static PASSED: Mutex<u32> = Mutex::new(0);

/// Begins a test.
pub fn begin(group: &str, name: &str) {
    hprint!("test {}::{} ... ", group, name);
}

/// The test that was begun last has passed.
pub fn passed() {
    PASSED.with(|passed| *passed += 1);
    hprintln!("ok");
}

/// Runs a test that does not wait.
pub fn test(group: &str, name: &str, test: impl FnOnce()) {
    begin(group, name);
    test();
    passed();
}

/// Leaves the emulator: everything has passed.
pub fn finish() -> ! {
    hprintln!("{} passed, 0 failed", PASSED.with(|passed| *passed));
    leave()
}

/// Leaves the emulator, without a sum.
pub fn leave() -> ! {
    leave_with(EXIT_SUCCESS)
}

fn leave_with(status: Result<(), ()>) -> ! {
    exit(status);
    loop {
        cortex_m::asm::nop();
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    hprintln!("FAILED\n{}", info);
    hprintln!("{} passed, 1 failed", PASSED.with(|passed| *passed));
    leave_with(EXIT_FAILURE)
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    panic!("{frame:?}");
}
