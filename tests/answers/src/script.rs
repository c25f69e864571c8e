//! What the machines are asked: numbers from a seed, and a clock that nobody would want.

use core::{convert::Infallible, time::Duration};

use rand_core::{TryCryptoRng, TryRng};
use steadfast_core::Instant;

/// A source of choices, the same on every target.
#[derive(Debug)]
pub(crate) struct Script(u64);

impl Script {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    ///
    /// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014 (`SplitMix64`).
    pub(crate) fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: u32) -> u32 {
        (((self.any() >> 32) * u64::from(count)) >> 32) as u32
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// One of `choices`.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }

    /// Small, round, or at an end: what a span or an instant in nanoseconds is likely to go wrong with.
    pub(crate) fn nanos(&mut self) -> u64 {
        match self.below(5) {
            0 => u64::from(self.below(5)),
            1 => u64::from(self.below(100)) * SECOND,
            2 => u64::from(self.below(u32::MAX)) * 25,
            3 => u64::MAX - u64::from(self.below(3)),
            _ => self.any(),
        }
    }

    pub(crate) fn span(&mut self) -> Duration {
        Duration::from_nanos(self.nanos())
    }
}

/// Where a machine draws from a generator, it draws from the script.
impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.any() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.any())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.any().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

/// So that nonces are the same everywhere. No secret is sealed here.
impl TryCryptoRng for Script {}

pub(crate) const SECOND: u64 = 1_000_000_000;

/// A clock that stands still, ticks, steps back, and leaps as far as the end of time.
#[derive(Debug)]
pub(crate) struct HostileClock {
    now: u64,
    /// A span that deadlines of the machine lie at.
    unit: u64,
}

impl HostileClock {
    const START: u64 = 1_000 * SECOND;

    pub(crate) const fn new(unit: Duration) -> Self {
        Self { now: Self::START, unit: unit.as_nanos() as u64 }
    }

    pub(crate) const fn now(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    pub(crate) fn tick(&mut self, script: &mut Script) -> Instant {
        let unit = self.unit;
        let part = |script: &mut Script, units: u64| ((script.any() >> 32) * ((unit * units) >> 16)) >> 16;
        self.now = match script.below(64) {
            0..16 => self.now,
            16..42 => self.now.saturating_add(part(script, 1)),
            42..50 => self.now.saturating_add(unit),
            50..54 => self.now.saturating_add(part(script, 16)),
            54..58 => self.now.saturating_sub(part(script, 1)),
            58..60 => self.now.saturating_sub(part(script, 8)),
            60 => self.now.saturating_sub(1),
            61 => self.now.saturating_add(1),
            // Seldom: every span is over then, or none ever will be.
            62 if script.below(4) == 0 => script.nanos(),
            _ => Self::START.saturating_add(part(script, 64)),
        };
        self.now()
    }
}
