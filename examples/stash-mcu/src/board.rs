//! What is left of the board: its log, its sleep, its stack and its end.

use core::{panic::PanicInfo, ptr::addr_of};

use cortex_m_rt::{ExceptionFrame, STACK_PAINT_VALUE, exception};
use cortex_m_semihosting::{
    debug::{EXIT_FAILURE, EXIT_SUCCESS, exit},
    hprintln,
};
use embassy_futures::yield_now;
use steadfast_embassy::logger::{Level, NotWritten, Sink};

use crate::uart;

/// Lines of the log, on the standard output of the emulator. On a real board: `DefmtSink`.
pub struct Semihosting;

impl Sink for Semihosting {
    fn write(&mut self, _: Level, line: &str) -> Result<(), NotWritten> {
        hprintln!("{}", line);
        Ok(())
    }
}

/// Sleeps whenever there is nothing to do. QEMU does not in `wfe`, with which embassy waits, and keeps a core busy.
#[embassy_executor::task]
pub async fn sleep() {
    loop {
        // With interrupts off none comes between the question and the sleep; a pending one ends it all the same.
        cortex_m::interrupt::free(|_| {
            if uart::is_idle() {
                cortex_m::asm::wfi();
            }
        });
        yield_now().await;
    }
}

/// The most bytes of stack that were in use at once, and how many there are.
pub fn stack() -> [u32; 2] {
    unsafe extern "C" {
        static _stack_end: u32;
        static _stack_start: u32;
    }
    let (low, high) = (addr_of!(_stack_end), addr_of!(_stack_start));
    let words = (high as usize - low as usize) / size_of::<u32>();
    // SAFETY: all of it is RAM of the stack, painted before `main`; what is in use now is above what is looked at.
    let untouched = (0..words).take_while(|at| unsafe { low.add(*at).read_volatile() } == STACK_PAINT_VALUE).count();
    [words - untouched, words].map(|words| (words * size_of::<u32>()) as u32)
}

/// Leaves the emulator; on a real board, a reset.
pub fn leave() -> ! {
    exit(EXIT_SUCCESS);
    loop {
        cortex_m::asm::nop();
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    hprintln!("{}", info);
    exit(EXIT_FAILURE);
    loop {
        cortex_m::asm::nop();
    }
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    panic!("{frame:?}");
}
