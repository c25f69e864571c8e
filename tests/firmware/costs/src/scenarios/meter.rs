//! Instructions, counted by the emulator's clock, and stack, by what a call leaves of a painted one.
//!
//! The emulator advances its clock by 1,024 ns an instruction (`-icount shift=10`), and SysTick counts 40 ns: so each
//! instruction is 25.6 ticks, and one call is counted to the instruction. The image proves it at the start, by instructions
//! whose number is known.

use core::{
    arch::asm,
    sync::atomic::{Ordering, compiler_fence},
};

use cortex_m::peripheral::{Peripherals, SYST, syst::SystClkSource};
use cortex_m_semihosting::hprintln;

/// Ten ticks are that many 256ths of an instruction.
const TICKS_IN_TEN_INSTRUCTIONS: u32 = 256;

/// How much stack is painted, in bytes.
const PAINTED: usize = 8_192;

const PAINT: u32 = 0xc0a7_5eed;

/// Counts single calls.
pub struct Meter {
    /// What counting nothing counts.
    instructions: u32,
}

/// One row of the table: the calls of one operation.
pub struct Row<'a> {
    meter: &'a Meter,
    machine: &'static str,
    operation: &'static str,
    typical: heapless::Vec<u32, 4_096>,
    worst: u32,
    stack: usize,
}

/// Who chooses the keys, the times and the filling of a call.
#[derive(Clone, Copy, PartialEq)]
pub enum By {
    /// Nobody: it counts for the typical figure, and for the worst.
    Chance,
    /// A peer who wants it to be expensive: it counts for the worst only.
    Enemy,
}

impl Meter {
    /// Lets the clock run.
    pub fn start() -> Self {
        let mut peripherals = Peripherals::take().expect("nobody else has them");
        peripherals.SYST.set_clock_source(SystClkSource::Core);
        peripherals.SYST.set_reload(0x00ff_ffff);
        peripherals.SYST.clear_current();
        peripherals.SYST.enable_counter();
        let mut meter = Self { instructions: 0 };
        meter.instructions = meter.count(|| ()).1;
        // SAFETY: does nothing.
        let ((), thousand, _) = meter.count(|| unsafe { asm!(".rept 1000", "nop", ".endr") });
        assert_eq!(thousand, 1_000, "this emulator does not count instructions");
        meter
    }

    pub fn row(&self, machine: &'static str, operation: &'static str) -> Row<'_> {
        Row { meter: self, machine, operation, typical: heapless::Vec::new(), worst: 0, stack: 0 }
    }

    /// The instructions and the stack of a call.
    #[inline(never)]
    fn count<R>(&self, call: impl FnOnce() -> R) -> (R, u32, usize) {
        let end = paint();
        let before = ticks();
        compiler_fence(Ordering::SeqCst);
        let result = call();
        compiler_fence(Ordering::SeqCst);
        let after = ticks();
        let stack = used(end);
        let ticks = before.wrapping_sub(after) & 0x00ff_ffff;
        let instructions = (ticks * 10 + TICKS_IN_TEN_INSTRUCTIONS / 2) / TICKS_IN_TEN_INSTRUCTIONS;
        (result, instructions.saturating_sub(self.instructions), stack)
    }
}

impl Row<'_> {
    /// Counts a call of the operation.
    #[inline(always)]
    pub fn count<R>(&mut self, by: By, call: impl FnOnce() -> R) -> R {
        let (result, instructions, stack) = self.meter.count(call);
        self.worst = self.worst.max(instructions);
        self.stack = self.stack.max(stack);
        if by == By::Chance {
            self.typical.push(instructions).expect("room for every call");
        }
        result
    }

    /// Prints the row: the median of the typical calls, the worst of all, the deepest stack of all.
    pub fn print(mut self) {
        self.typical.sort_unstable();
        let typical = self.typical[self.typical.len() / 2];
        hprintln!("call\t{}\t{}\t{}\t{}\t{}", self.machine, self.operation, typical, self.worst, self.stack);
    }
}

fn ticks() -> u32 {
    SYST::get_current()
}

/// Paints the stack that is free, and tells where that begins.
#[inline(always)]
fn paint() -> usize {
    let end: usize;
    // SAFETY: what is below the stack pointer belongs to nobody, and no interrupt is on; the linker script leaves more than
    // is painted.
    unsafe {
        asm!(
            "mov {end}, sp",
            "sub {place}, {end}, {painted}",
            "2: str {paint}, [{place}], #4",
            "cmp {place}, {end}",
            "blo 2b",
            end = out(reg) end,
            place = out(reg) _,
            painted = in(reg) PAINTED,
            paint = in(reg) PAINT,
        );
    }
    end
}

/// How many bytes below `end` were used since they were painted.
#[inline(always)]
fn used(end: usize) -> usize {
    let place: usize;
    // SAFETY: reads what `paint` wrote.
    unsafe {
        asm!(
            "sub {place}, {end}, {painted}",
            "2: ldr {word}, [{place}], #4",
            "cmp {word}, {paint}",
            "bne 3f",
            "cmp {place}, {end}",
            "bne 2b",
            "add {place}, #4",
            "3:",
            end = in(reg) end,
            place = out(reg) place,
            painted = in(reg) PAINTED,
            paint = in(reg) PAINT,
            word = out(reg) _,
        );
    }
    let used = end.saturating_sub(place.saturating_sub(4));
    assert!(used < PAINTED, "more stack than was painted");
    used
}
