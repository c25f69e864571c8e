//! Where an id is to be found: two cells for each id, by the upper bits of its hash.
//!
//! Linear probing from a home that those bits name. No cell is ever marked as deleted: what lies behind one that is taken
//! out moves up, so a look-up does not grow longer with time. As at most half of the cells are occupied, a look-up of an id
//! whose hash nobody could choose meets 1.5 of them on average if it is there, and 2.5 if it is not; of ids that share their
//! bits it meets all.

use crate::foundation::storage::{Allocate, Inline, Link, Storage};

/// The upper bits of a hash.
pub(super) type Tag<S> = <<S as Storage>::Link as Link>::Fingerprint;

/// In which place the id of a cell lies, and what the cell knows of its tag. Vacant if it leads to none.
#[derive(Clone, Copy, Debug)]
struct Cell<L: Link> {
    hint: L::Hint,
    link: L,
}

impl<L: Link> Cell<L> {
    const VACANT: Self = Self { hint: L::NO_HINT, link: L::NONE };

    fn is_vacant(self) -> bool {
        self.link == L::NONE
    }
}

pub(super) struct Index<S: Storage>(S::Of<[Cell<S::Link>; 2]>);

impl<const N: usize> Index<Inline<N>> {
    pub(super) const fn new() -> Self {
        Self([[Cell::VACANT; 2]; N])
    }
}

impl<S: Allocate> Index<S> {
    pub(super) fn allocate(places: usize) -> Self {
        Self(S::allocate(places, || [Cell::VACANT; 2]))
    }
}

impl<S: Storage> Index<S> {
    /// True if a look-up may have to wait for memory, so that it is worth asking in advance.
    pub(super) const IS_FAR: bool = size_of::<<S::Link as Link>::Hint>() > 0;

    fn cells(&self) -> &[Cell<S::Link>] {
        self.0.as_ref().as_flattened()
    }

    /// Where the search for a tag begins.
    fn home(&self, tag: Tag<S>) -> usize {
        let pair = S::Link::scale(tag, self.0.as_ref().len());
        pair.wrapping_mul(2) | usize::from(S::Link::is_odd(tag))
    }

    /// The cell of the tag whose place `is` the one that is looked for, and that place.
    #[inline]
    pub(super) fn find(&self, tag: Tag<S>, is: impl Fn(usize) -> bool) -> Option<(usize, usize)> {
        let cells = self.cells();
        let hint = S::Link::hint(tag);
        let mut cell = self.home(tag);
        loop {
            let content = *cells.get(cell)?;
            if content.is_vacant() {
                return None;
            }
            if content.hint == hint && is(content.link.index()) {
                return Some((cell, content.link.index()));
            }
            cell = next(cell, cells.len());
        }
    }

    /// Puts in a place that is not there. There has to be a vacant cell beside the one that it takes.
    #[inline]
    pub(super) fn insert(&mut self, tag: Tag<S>, place: usize) {
        let mut cell = self.home(tag);
        let cells = self.0.as_mut().as_flattened_mut();
        let count = cells.len();
        while let Some(content) = cells.get_mut(cell) {
            if content.is_vacant() {
                *content = Cell { hint: S::Link::hint(tag), link: S::Link::to(place) };
                return;
            }
            cell = next(cell, count);
        }
    }

    /// Makes a cell vacant, and lets those move up that are not at home. `tag_in` tells the tag of the id in a place.
    #[inline]
    pub(super) fn remove(&mut self, cell: usize, tag_in: impl Fn(usize) -> Option<Tag<S>>) {
        let count = self.cells().len();
        let (mut vacant, mut cell) = (cell, next(cell, count));
        while let Some(&content) = self.cells().get(cell)
            && !content.is_vacant()
            && let Some(tag) = S::Link::hinted(content.hint).or_else(|| tag_in(content.link.index()))
        {
            if distance(self.home(tag), cell, count) >= distance(vacant, cell, count) {
                self.set(vacant, content);
                vacant = cell;
            }
            cell = next(cell, count);
        }
        self.set(vacant, Cell::VACANT);
    }

    pub(super) fn clear(&mut self) {
        self.0.as_mut().fill([Cell::VACANT; 2]);
    }

    fn set(&mut self, cell: usize, content: Cell<S::Link>) {
        if let Some(cell) = self.0.as_mut().as_flattened_mut().get_mut(cell) {
            *cell = content;
        }
    }
}

/// The cell behind one, going round.
const fn next(cell: usize, count: usize) -> usize {
    let next = cell.wrapping_add(1);
    if next == count { 0 } else { next }
}

/// How many steps it is from one cell to another, going round.
const fn distance(from: usize, to: usize, count: usize) -> usize {
    let steps = to.wrapping_sub(from);
    if to < from { steps.wrapping_add(count) } else { steps }
}

impl<S: Storage> Clone for Index<S>
where
    S::Of<[Cell<S::Link>; 2]>: Clone,
{
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use core::num::NonZero;
    use std::{collections::HashMap, vec::Vec};

    use super::*;
    use crate::{
        foundation::storage::Heap,
        test_util::{Simulator, seeds},
    };

    /// Whatever was put in and taken out, each place is found by its tag, and nothing else.
    fn it_finds_what_is_in_it<S: Storage>(mut index: Index<S>, places: usize, tag: impl Fn(u64) -> Tag<S>, seed: u64) {
        let mut random = Simulator::new(seed);
        let mut held: HashMap<usize, Tag<S>> = HashMap::new();
        // Few tags, so that many share one, at both ends of the cells and in the middle.
        let tags: Vec<Tag<S>> = (0..4).map(|_| tag(random.next_random())).chain([tag(0), tag(u64::MAX)]).collect();
        for _ in 0..200 {
            let place = random.next_random() as usize % places;
            match held.remove(&place) {
                Some(tag) => {
                    let (cell, _) = index.find(tag, |other| other == place).expect("it is there");
                    index.remove(cell, |place| held.get(&place).copied());
                }
                None => {
                    let chosen = random.next_random() as usize;
                    let tag = tags.get(chosen % 12).copied().unwrap_or_else(|| tag(random.next_random()));
                    index.insert(tag, place);
                    held.insert(place, tag);
                }
            }
            for place in 0..places {
                let tag = held.get(&place).copied();
                let is = |tag: Tag<S>, it: usize| it == place && held.get(&it) == Some(&tag);
                let found = tags.iter().chain(&tag).find_map(|tag| Some((tag, index.find(*tag, |it| is(*tag, it))?.1)));
                assert_eq!(found.map(|(tag, place)| (*tag, place)), tag.map(|tag| (tag, place)), "seed {seed}");
            }
            assert_eq!(index.cells().iter().filter(|cell| !cell.is_vacant()).count(), held.len());
        }
    }

    #[test]
    fn it_finds_what_is_in_it_and_nothing_else() {
        let narrow = |hash| <u16 as Link>::fingerprint(hash);
        for seed in seeds(200) {
            it_finds_what_is_in_it(Index::<Inline<1>>::new(), 1, narrow, seed);
            it_finds_what_is_in_it(Index::<Inline<2>>::new(), 2, narrow, seed);
            it_finds_what_is_in_it(Index::<Inline<13>>::new(), 13, narrow, seed);
            it_finds_what_is_in_it(Index::<Heap>::allocate(5), 5, <u32 as Link>::fingerprint, seed);
        }
    }

    /// Linear probing at half load: 1.5 cells for what is there, 2.5 for what is not, by Knuth.
    #[test]
    fn a_full_index_is_searched_in_few_steps() {
        const PLACES: usize = 100_000;
        let tag = |number: u64| {
            let hash = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number >> 7).wrapping_mul(0xd6e8_feb8_6659_fd93);
            NonZero::new((hash >> 32) as u32).unwrap_or(NonZero::<u32>::MIN)
        };
        let mut index = Index::<Heap>::allocate(PLACES);
        let steps = |index: &Index<Heap>, number: u64| {
            let home = index.home(tag(number));
            let cells = index.cells();
            (0..).take_while(|step| !cells[(home + step) % cells.len()].is_vacant()).count()
        };
        // The ring of the last so many: each goes out as another comes.
        for number in 0..5 * PLACES as u64 {
            if let Some(gone) = number.checked_sub(PLACES as u64) {
                let place = gone as usize % PLACES;
                let (cell, _) = index.find(tag(gone), |other| other == place).unwrap();
                index.remove(cell, |_| None);
            }
            index.insert(tag(number), number as usize % PLACES);
        }
        let strangers = (0..PLACES).map(|number| steps(&index, u64::MAX / 2 + number as u64)).sum::<usize>();
        let mean = strangers as f64 / PLACES as f64 + 1.0;
        assert!((2.3..2.7).contains(&mean), "{mean} cells for an id that is not there");
        let held = 4 * PLACES as u64..5 * PLACES as u64;
        let known = held.map(|number| {
            let (cell, _) = index.find(tag(number), |place| place == number as usize % PLACES).unwrap();
            distance(index.home(tag(number)), cell, index.cells().len()) + 1
        });
        let mean = known.sum::<usize>() as f64 / PLACES as f64;
        assert!((1.4..1.6).contains(&mean), "{mean} cells for an id that is there");
    }
}
