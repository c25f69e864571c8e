//! The operations, by machine.

/// Functions that are never inlined, and a list of their addresses: so the linker leaves all of them in an image that has
/// the list, and the optimizer can assume nothing about their arguments.
macro_rules! operations {
    ($(
        $(#[$attribute:meta])*
        fn $name:ident $(<$lifetime:lifetime>)? ($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block
    )*) => {
        $(
            $(#[$attribute])*
            #[inline(never)]
            pub fn $name $(<$lifetime>)? ($($argument: $type),*) $(-> $result)? $body
        )*

        pub static OPERATIONS: &[$crate::operations::Operation] =
            &[$($crate::operations::Operation($name as *const ())),*];
    };
}

pub mod aggregate;
pub mod batch_collector;
pub mod breakers;
pub mod cached_rate_limiter;
pub mod circuit_breaker;
pub mod correlator;
pub mod dedup_cache;
pub mod encryptor;
pub mod keyed_correlator;
pub mod logger;
pub mod quorum;
pub mod rate_limiter;
pub mod retry;
pub mod session;

use core::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

/// Where the code of one is.
pub struct Operation(pub *const ());

// SAFETY: nobody reads what it points to.
unsafe impl Sync for Operation {}

/// Xorshift: what a random number costs is the program's affair, so it costs next to nothing here.
pub struct Dice(pub u32);

impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        Ok(self.0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.try_next_u32()?) << 32 | u64::from(self.try_next_u32()?))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.try_next_u32()? as u8;
        }
        Ok(())
    }
}

/// No secret depends on it.
impl TryCryptoRng for Dice {}
