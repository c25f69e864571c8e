//! Each utility in a `static`, once as it is, and once made at boot.
#![no_std]
#![no_main]

use core::time::Duration;

use static_cell::StaticCell;
use steadfast_embassy::{
    BatchCollector, BatchSettings, CachedRateLimiter, CircuitBreaker, Correlator, DedupCache, Gcra, KeyedCorrelator,
    Logger, RateLimiter, Reset, Shared, SlidingLog, Trip, circuit_breaker::Consecutive, dedup_cache::OnFull, shared,
};

macro_rules! statics {
    ($($name:ident, $at_boot:ident: $type:ty = $new:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            pub static $name: Shared<$type> = shared($new);

            #[unsafe(no_mangle)]
            #[inline(never)]
            pub fn $at_boot() -> &'static Shared<$type> {
                static CELL: StaticCell<Shared<$type>> = StaticCell::new();
                CELL.init_with(|| shared($new))
            }
        )*

        #[costs::entry]
        fn main() -> ! {
            $(
                _ = core::hint::black_box(&$name);
                _ = core::hint::black_box($at_boot());
            )*
            loop {}
        }
    };
}

// Each expression is evaluated where it stands: a constant would be copied from the flash at boot.
statics! {
    STATIC_GCRA, at_boot_gcra: RateLimiter<u64, Gcra, 32> = RateLimiter::new(Gcra::per_minute(5));
    STATIC_SLIDING_LOG, at_boot_sliding_log: RateLimiter<u64, SlidingLog<5>, 32> =
        RateLimiter::new(SlidingLog::per_minute());
    STATIC_CACHED, at_boot_cached: CachedRateLimiter<u64, u32, Gcra, 32> =
        CachedRateLimiter::new(Gcra::per_minute(1), Duration::from_secs(5));
    STATIC_DEDUP_CACHE, at_boot_dedup_cache: DedupCache<[u8; 16], 64> =
        DedupCache::new(Duration::from_secs(60), OnFull::Refuse);
    STATIC_BREAKER, at_boot_breaker: CircuitBreaker<Consecutive> =
        CircuitBreaker::new(Trip::consecutive(3), Reset::after(Duration::from_secs(30)));
    STATIC_BATCH, at_boot_batch: BatchCollector<u32, 16> =
        BatchCollector::new(BatchSettings::new(Duration::from_secs(5)));
    STATIC_CORRELATOR, at_boot_correlator: Correlator<u32, [u8; 8], 8> = Correlator::new(0);
    STATIC_KEYED, at_boot_keyed: KeyedCorrelator<[u8; 16], [u8; 8], 8> = KeyedCorrelator::new();
    STATIC_LOGGER, at_boot_logger: Logger<8> = Logger::new();
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
