//! Reads an order, prints the answers, ends: all that it asks of a system are three calls, which `qemu-user` answers for
//! every processor, so that it needs no operating system, no C library and no board.
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "mips", feature(asm_experimental_arch))]

#[cfg(not(target_arch = "wasm32"))]
use core::arch::global_asm;
use core::{fmt, fmt::Write, panic::PanicInfo};

mod system;

use steadfast_answers::Order;
use system::{exit, read, write};

// The first instruction: the stack is there, nothing else is needed.
#[cfg(target_arch = "x86")]
global_asm!(".globl _start", "_start:", "and $-16, %esp", "call answers", options(att_syntax));
#[cfg(target_arch = "riscv32")]
global_asm!(".globl _start", "_start:", "andi sp, sp, -16", "j answers");
#[cfg(target_arch = "mips")]
global_asm!(".globl __start", "__start:", "addiu $sp, $sp, -32", "j answers", "nop");
#[cfg(target_arch = "s390x")]
global_asm!(".globl _start", "_start:", "aghi %r15, -160", "jg answers");

struct Out;

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let written = write(rest);
            rest = rest.get(written..).filter(|_| written > 0).ok_or(fmt::Error)?;
        }
        Ok(())
    }
}

// SAFETY: nothing else has this name.
#[unsafe(no_mangle)]
extern "C" fn answers() -> ! {
    let mut order = [0; 100];
    let len = read(&mut order);
    let text = order.get(..len).and_then(|order| str::from_utf8(order).ok()).unwrap_or_default();
    let order = Order::read(text).expect("OPERATIONS [MACHINE]");
    order.lines(|line| writeln!(Out, "{line}").expect("there is somebody to read it"));
    exit(0)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _nobody_reads_it = writeln!(Out, "{info}");
    exit(1)
}
