//! Lines of slots: of each key a fingerprint, and the instant from which on it is idle.
//!
//! Four neighbours are a line, one line of the caches on a server. A key is in the line that its fingerprint names, its
//! home, or, if there was no room, in one of 16 others. That somebody had to pass a line is the lowest bit of its first
//! fingerprint: where it is not set, one line is all that a look-up reads.

use core::fmt;

use crate::foundation::{
    storage::{Allocate, Lines as _, Storage},
    time::{Halves, Instant, Span},
};

/// A fingerprint: the upper bits of the hash, as many as a register has, less one.
#[cfg(target_pointer_width = "64")]
pub(super) type Print = u64;
#[cfg(not(target_pointer_width = "64"))]
pub(super) type Print = u32;

/// In the first slot of a line: the key of another slot has its home here.
const PASSED: Print = 1;

/// How many slots are neighbours.
pub(super) const LINE: usize = 4;

/// At how many lines beyond its home a key may be.
const FAR: usize = 16;

/// What has been idle for so long is so by any clock.
const LONG: Span = Span::from_nanos(10_000_000_000);

/// The fingerprint of a hash. Never zero, which is no key's.
pub(super) const fn print_of(hash: u64) -> Print {
    #[cfg(target_pointer_width = "64")]
    let print = hash & !PASSED;
    #[cfg(not(target_pointer_width = "64"))]
    let print = (hash >> 32) as u32 & !PASSED;
    if print == 0 { 2 } else { print }
}

/// Scales a fingerprint to the numbers below `count`, without a division.
pub(super) const fn scale(print: Print, count: usize) -> usize {
    #[cfg(target_pointer_width = "64")]
    let upper = (print >> 32) as u32;
    #[cfg(not(target_pointer_width = "64"))]
    let upper = print;
    scale_bits(upper, count)
}

/// Scales other bits of it, so that those of a share are everywhere in a table.
pub(super) const fn share_of(print: Print, whole: usize) -> usize {
    scale_bits(other_bits(print), whole)
}

/// Bits that name neither the shard nor, but for the lowest, the home.
const fn other_bits(print: Print) -> u32 {
    #[cfg(target_pointer_width = "64")]
    let bits = (print >> 8) as u32;
    #[cfg(not(target_pointer_width = "64"))]
    let bits = print.rotate_left(16);
    bits
}

const fn scale_bits(bits: u32, count: usize) -> usize {
    ((bits as u64).wrapping_mul(count as u64) >> 32) as usize
}

#[cfg_attr(target_pointer_width = "64", repr(align(16)))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    print: Print,
    idle_at: Halves,
}

impl Slot {
    pub(super) const VACANT: Self = Self { print: 0, idle_at: Halves::ZERO };

    /// One that lies there and is nobody's, ever.
    const NOWHERE: Self = Self { print: 0, idle_at: Halves::new(Instant::MAX) };

    /// The fingerprint, if a key has this slot.
    pub(super) const fn print(&self) -> Option<Print> {
        let print = self.print & !PASSED;
        if print == 0 { None } else { Some(print) }
    }

    pub(super) const fn idle_at(&self) -> Instant {
        self.idle_at.get()
    }

    #[inline]
    pub(super) const fn set_idle_at(&mut self, at: Instant) {
        self.idle_at = Halves::new(at);
    }

    const fn is_of(&self, print: Print) -> bool {
        self.print ^ print <= PASSED
    }
}

/// The lines in which a key may be, its home first.
#[derive(Clone, Copy)]
pub(super) struct Path {
    home: usize,
    lines: usize,
    stride: usize,
}

impl Path {
    const fn of(print: Print, lines: usize) -> Self {
        // The four groups of four begin at distances that are a multiple of the stride, and do not overlap.
        let longest = lines.saturating_sub(LINE + 1) / 3;
        let stride = scale_bits(other_bits(print), longest.saturating_sub(LINE - 1)).saturating_add(LINE);
        Self { home: scale(print, lines), lines, stride }
    }

    /// All of them, as [`line`](Self::line) numbers them, each found from the one before: in a full table that is a third of
    /// the time of a newcomer.
    pub(super) fn walk(self) -> impl Iterator<Item = usize> {
        let is_grouped = self.lines > FAR + 1;
        let mut line = self.home;
        (0..self.len()).map(move |step| {
            let here = line;
            let ahead =
                if is_grouped && step > 0 && step % LINE == 0 { self.stride.saturating_sub(LINE - 1) } else { 1 };
            line = line.saturating_add(ahead);
            if line >= self.lines {
                line = line.saturating_sub(self.lines);
            }
            here
        })
    }

    /// How many lines there are on it.
    pub(super) const fn len(self) -> usize {
        if self.lines <= FAR { self.lines } else { FAR + 1 }
    }

    /// The line at this step.
    pub(super) const fn line(self, step: usize) -> usize {
        let far = step.saturating_sub(1);
        let ahead = if self.lines <= FAR + 1 || step == 0 {
            step
        } else {
            (far / LINE).saturating_mul(self.stride).saturating_add(far % LINE).saturating_add(1)
        };
        let line = self.home.saturating_add(ahead);
        if line < self.lines { line } else { line.saturating_sub(self.lines) }
    }
}

/// All the lines of a limiter.
pub(super) struct Lines<S: Storage> {
    slots: S::Lines<Slot>,
    len: usize,
}

impl<const N: usize> Lines<crate::foundation::storage::Inline<N>> {
    pub(super) const fn new() -> Self {
        const { assert!(N > 0 && N < u16::MAX as usize, "a limiter has 1 to 65,534 slots") };
        Self { slots: [Slot::VACANT; N], len: 0 }
    }
}

impl<S: Allocate> Lines<S> {
    pub(super) fn allocate(slots: usize) -> Self {
        Self { slots: S::allocate_lines(slots, Slot::VACANT, Slot::NOWHERE), len: 0 }
    }
}

impl<S: Storage> Lines<S> {
    pub(super) fn capacity(&self) -> usize {
        self.slots.slots()
    }

    pub(super) fn show<'a, B: fmt::Debug>(&'a self, beside: &'a [B]) -> impl fmt::Debug + 'a {
        Shown(self, beside)
    }

    /// How many slots are a key's.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, slot: usize) -> Option<&Slot> {
        self.slots.get(slot)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Slot> {
        self.slots.get_mut(slot)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut()
    }

    /// What `look` sees in a line, given the number of its first slot.
    // With how many slots there are known, for all but a last line of fewer.
    #[inline(always)]
    fn in_line<R>(&self, line: usize, look: impl Fn(usize, &[Slot]) -> R) -> R {
        let first = line.saturating_mul(LINE);
        match self.slots.whole(line) {
            Some(whole) => look(first, whole),
            None => look(first, self.slots.rest()),
        }
    }

    pub(super) fn path(&self, print: Print) -> Path {
        Path::of(print, self.slots.lines())
    }

    /// The slot of a key with this fingerprint, if `is` agrees.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    pub(super) fn find(&self, print: Print, is: impl Fn(usize) -> bool) -> Option<usize> {
        let home = scale(print, self.slots.lines());
        let (found, is_passed) =
            self.in_line(home, |first, line| (among(line, first, print, &is), has_been_passed(line)));
        if found.is_some() || !is_passed { found } else { self.find_far(print, is) }
    }

    /// True if a key with this fingerprint is in its home.
    #[inline]
    pub(super) fn is_at_home(&self, print: Print) -> bool {
        self.in_line(scale(print, self.slots.lines()), |first, line| among(line, first, print, |_| true).is_some())
    }

    #[inline(never)]
    fn find_far(&self, print: Print, is: impl Fn(usize) -> bool) -> Option<usize> {
        let mut beyond = self.path(print).walk().skip(1);
        beyond.find_map(|line| self.in_line(line, |first, line| among(line, first, print, &is)))
    }

    /// A slot for a newcomer: a vacant one, or that of a key that is idle, for as long as can be; or when there is one.
    pub(super) fn room(&self, print: Print, now: Instant) -> Result<usize, Instant> {
        let path = self.path(print);
        // In a small table a vacant one as long as there is one: a key that has an entry is known after any step of the clock.
        if path.lines <= FAR && self.len < self.capacity() {
            let is_vacant = |slot: &Slot| slot.print().is_none() && slot.idle_at() < Instant::MAX;
            let vacant = path.walk().find_map(|line| {
                self.in_line(line, |first, line| line.iter().position(is_vacant).map(|slot| first.saturating_add(slot)))
            });
            if let Some(slot) = vacant {
                return Ok(slot);
            }
        }
        // A vacant one is idle since ever.
        let will_do = now.before(LONG);
        let mut least = (Instant::MAX, None);
        for line in path.walk() {
            least = self.in_line(line, |first, line| {
                line.iter().enumerate().fold(least, |least, (index, slot)| {
                    let idle_at = slot.idle_at();
                    if idle_at < least.0 { (idle_at, Some(first.saturating_add(index))) } else { least }
                })
            });
            if least.0 <= will_do {
                break;
            }
        }
        least.1.filter(|_| least.0 <= now).ok_or(least.0)
    }

    /// Gives a slot to a newcomer, and tells whether another key had it.
    pub(super) fn take(&mut self, slot: usize, print: Print, idle_at: Instant) -> bool {
        let home = scale(print, self.slots.lines());
        let Some(taken) = self.get_mut(slot) else { return false };
        let had_key = taken.print().is_some();
        *taken = Slot { print: print | taken.print & PASSED, idle_at: Halves::new(idle_at) };
        if !had_key {
            self.len = self.len.saturating_add(1);
        }
        if slot / LINE != home
            && let Some(first) = self.get_mut(home.saturating_mul(LINE))
        {
            first.print |= PASSED;
        }
        had_key
    }

    /// Makes a slot vacant.
    pub(super) fn vacate(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            self.len = self.len.saturating_sub(usize::from(slot.print().is_some()));
            *slot = Slot { print: slot.print & PASSED, idle_at: Halves::ZERO };
        }
    }

    /// Makes all of them vacant.
    pub(super) fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| *slot = Slot::VACANT);
        self.len = 0;
    }

    /// The slots that a newcomer may take from a key that is not idle: eight, of two lines on its path, one pair after
    /// the other as `hand` goes on. The first of them that `rank` puts lowest.
    pub(super) fn least(&self, print: Print, hand: u32, rank: impl Fn(usize, &Slot) -> Option<u64>) -> Option<usize> {
        let path = self.path(print);
        let mut step = scale_bits(hand, path.len());
        let mut least: Option<(u64, usize)> = None;
        for _ in 0..path.len().min(2) {
            least = self.in_line(path.line(step), |first, line| {
                line.iter().enumerate().fold(least, |least, (index, slot)| {
                    let number = first.saturating_add(index);
                    let rank = slot.print().and_then(|_| rank(number, slot));
                    let is_less = rank.is_some_and(|rank| least.is_none_or(|(least, _)| rank < least));
                    if is_less { rank.map(|rank| (rank, number)) } else { least }
                })
            });
            step = step.saturating_add(1);
            if step >= path.len() {
                step = 0;
            }
        }
        least.map(|(_, slot)| slot)
    }
}

/// Slots of keys with what lies beside them.
struct Shown<'a, S: Storage, B>(&'a Lines<S>, &'a [B]);

impl<S: Storage, B: fmt::Debug> fmt::Debug for Shown<'_, S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.1.iter().enumerate().filter_map(|(slot, beside)| Some((self.0.get(slot)?, beside)));
        f.debug_list().entries(entries.filter(|(slot, _)| slot.print().is_some())).finish()
    }
}

/// The slot of a line whose key has this fingerprint.
#[inline]
fn among(line: &[Slot], first: usize, print: Print, is: impl Fn(usize) -> bool) -> Option<usize> {
    // Without a jump for each slot, of which no processor could tell where it goes.
    let mut hits = line.iter().rev().fold(0_u32, |hits, slot| hits << 1 | u32::from(slot.is_of(print)));
    while hits != 0 {
        let slot = first.saturating_add(hits.trailing_zeros() as usize);
        if is(slot) {
            return Some(slot);
        }
        hits &= hits.saturating_sub(1);
    }
    None
}

fn has_been_passed(line: &[Slot]) -> bool {
    line.first().is_some_and(|first| first.print & PASSED != 0)
}
