//! Links only if no panic can be reached: the panic handler calls what does not exist.
//!
//! Every machine does here whatever it can do, with keys, times and texts that the compiler cannot know, overflow checks
//! included; so do the calls of `Shared` that do not wait. The optimizer has to prove each bounds check, each unwrap and
//! each check of an addition away, so this is linked with the profile `proof` only.
//!
//! `tests/host` compiles the same probes for the host, and asks the compiler which functions of which types they call: so
//! it finds what nobody calls here.
//!
//! The encryptor is not here: its ciphers, which are not ours, unwrap what cannot fail, and the optimizer cannot see that.
//! Nor are `async` functions: whoever polls one again after its end panics, and the compiler keeps that check.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod batches;
mod breakers;
mod calls;
mod guards;
mod ids;
mod leases;
mod limiters;
mod lines;
mod retries;
mod shared;
mod values;
mod votes;

use core::{convert::Infallible, hint::black_box, time::Duration};

use rand_core::TryRng;
use steadfast_core::{
    HashSeed, Instant,
    observe::{Attributes, Instrument, Observe, Visitor},
};

fn probes() {
    batches::probe();
    breakers::probe();
    calls::probe();
    guards::probe();
    ids::probe();
    leases::probe();
    limiters::probe();
    lines::probe();
    retries::probe();
    shared::probe();
    values::probe();
    votes::probe();
}

#[cfg(target_os = "none")]
mod image {
    use core::panic::PanicInfo;

    use cortex_m_rt::entry;

    unsafe extern "C" {
        safe fn a_panic_can_be_reached() -> !;
    }

    #[panic_handler]
    fn panic(_: &PanicInfo<'_>) -> ! {
        a_panic_can_be_reached()
    }

    #[entry]
    fn main() -> ! {
        loop {
            crate::probes();
            #[cfg(feature = "canary")]
            crate::see(crate::any::<u32>() + 1);
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    probes();
}

/// A number that the compiler cannot know.
fn any<T: Default>() -> T {
    black_box(T::default())
}

/// Does something with a result that the compiler cannot know.
fn see<T>(result: T) {
    _ = black_box(result);
}

fn see_all<T>(results: impl Iterator<Item = T>) {
    results.for_each(see);
}

/// Looks at all that is told.
struct Look;

impl Visitor for Look {
    fn counter(&mut self, instrument: &'static Instrument, attributes: Attributes, count: u64) {
        see((instrument.name, attributes, count));
    }

    fn gauge(&mut self, instrument: &'static Instrument, attributes: Attributes, value: u64) {
        see((instrument.unit, attributes, value));
    }

    fn duration(&mut self, instrument: &'static Instrument, attributes: Attributes, value: Duration) {
        see((instrument.description, attributes, value));
    }
}

fn look_at(observed: &impl Observe) {
    observed.visit(&mut Look);
}

fn now() -> Instant {
    Instant::from_nanos(any())
}

fn span() -> Duration {
    Duration::from_nanos(any())
}

fn seed() -> HashSeed {
    HashSeed::new(any(), any())
}

fn text() -> &'static str {
    black_box("")
}

struct Dice;

impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(any())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(any())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.iter_mut().for_each(|byte| *byte = any());
        Ok(())
    }
}
