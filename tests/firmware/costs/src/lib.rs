//! Every operation of every machine as a function of its own, and the images in `bin` that measure them.
//!
//! Those named `calls_…` count the instructions and the stack of the operations of one machine, and `sizes` tells the RAM of
//! each machine; they print rows of `budgets.toml`, with tabs between the figures. Those named `flash_…` only hold
//! operations, for their flash. An image for each machine, so that a change of one leaves the figures of the others alone.
#![no_std]

pub mod operations;
pub mod scenarios;

#[doc(hidden)]
pub use cortex_m_rt::entry;
#[doc(hidden)]
pub use cortex_m_semihosting::{
    debug::{EXIT_FAILURE, EXIT_SUCCESS, exit},
    hprintln,
};

/// An image that runs the given one of [`scenarios`]; it needs the lists of the [`operations`] that this calls.
#[macro_export]
macro_rules! calls_image {
    ($scenario:path: $($operations:path),*) => {
        #[$crate::entry]
        fn main() -> ! {
            // So the optimizer has to think that anybody calls them with anything.
            $(_ = core::hint::black_box($operations);)*
            $scenario(&$crate::scenarios::meter::Meter::start());
            $crate::exit($crate::EXIT_SUCCESS);
            loop {}
        }

        $crate::telling_panic_handler!();
    };
}

/// Prints the panic and leaves the emulator.
#[macro_export]
macro_rules! telling_panic_handler {
    () => {
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::hprintln!("{}", info);
            $crate::exit($crate::EXIT_FAILURE);
            loop {}
        }
    };
}

/// An image that holds the given lists of [`operations`] with what they need, and does nothing.
#[macro_export]
macro_rules! flash_image {
    ($($operations:path),*) => {
        #[$crate::entry]
        fn main() -> ! {
            $(_ = core::hint::black_box($operations);)*
            loop {}
        }

        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            loop {}
        }
    };
}
