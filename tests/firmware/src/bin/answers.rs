//! The answers of every machine, to compare them with those of other targets: see `tests/answers`.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use cortex_m_semihosting::{hprintln, nr, syscall1};
use firmware_tests::harness;
use steadfast_answers::Order;

#[entry]
fn main() -> ! {
    let mut line = [0; 300];
    let block = [line.as_mut_ptr() as usize, line.len()];
    // SAFETY: it writes into the line only, at most as much as it holds.
    assert_eq!(unsafe { syscall1(nr::GET_CMDLINE, block.as_ptr() as usize) }, 0, "there is no command line");
    let text = line.split(|byte| *byte == 0).next().and_then(|line| str::from_utf8(line).ok()).expect("it is text");
    // What comes first is the name of the image.
    let order = text.split_once(' ').and_then(|(_, order)| Order::read(order)).expect("OPERATIONS [MACHINE]");
    order.lines(|line| hprintln!("{line}"));
    harness::leave()
}
