//! The RAM of every machine.
#![no_std]
#![no_main]

#[costs::entry]
fn main() -> ! {
    costs::scenarios::sizes::tell();
    costs::exit(costs::EXIT_SUCCESS);
    loop {}
}

costs::telling_panic_handler!();
