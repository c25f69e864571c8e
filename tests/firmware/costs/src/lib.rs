//! Every operation of every machine as a function of its own, for the images in `bin` to measure.
//!
//! `bin/costs` runs them and counts their instructions; each of the others only holds those of one utility, for its flash.
#![no_std]

pub mod operations;

/// An image that holds the given lists of [`operations`] with what they need, and does nothing.
#[macro_export]
macro_rules! flash_image {
    ($($operations:path),*) => {
        #[cortex_m_rt::entry]
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
