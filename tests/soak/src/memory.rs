//! How much memory is in use.

use std::{alloc::System, fs};

use cap::Cap;

/// The system's allocator, counting bytes.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// How much more than after warm-up may be in use later: 1 MiB.
///
/// Everything under test is allocated before the first turn. What comes and goes is the turns: some hundred futures of a
/// few KiB, the keys as text (bounded by the capacities, some 40 bytes each), requests on their way, and what the runtime
/// keeps for tasks. A leak of a byte in ten operations is a multiple
/// of it within a minute.
pub(crate) const TOLERANCE: u64 = 1 << 20;

/// The bytes that are allocated now.
pub(crate) fn allocated() -> u64 {
    ALLOCATOR.allocated() as u64
}

/// The bytes of this process that are in memory, where the system tells.
pub(crate) fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}

/// What was in use over time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// The most during warm-up.
    pub(crate) warm: u64,
    /// The most since.
    pub(crate) later: u64,
}

impl Memory {
    /// Takes a reading.
    pub(crate) fn read(&mut self, is_warm: bool) {
        let level = if is_warm { &mut self.later } else { &mut self.warm };
        *level = allocated().max(*level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_above_the_tolerance_is_seen() {
        let mut memory = Memory::default();
        memory.read(false);
        let leak = vec![1_u8; 4 << 20];
        memory.read(true);
        assert!(memory.later > memory.warm + TOLERANCE, "{memory:?}");
        drop(leak);
    }
}
