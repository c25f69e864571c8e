//! A file in the making: chunks as they come, from whomever they come.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};

use stash_protocol::{CHUNK_BYTES, Chunk, Manifest, PeerId, Summary, Vault};

/// How many chunks one question asks for: few enough that all answers in flight fit into a socket's buffer.
const WINDOW: u32 = 16;

/// What is there of one version, what is missing, and who was asked for what.
#[derive(Debug)]
pub(super) struct Assembly {
    version: u64,
    summary: Summary,
    file: Vec<Option<Vec<u8>>>,
    /// Stretches of chunks that nobody is asked for at the moment: first index, and a bit for each of the next 32.
    open: VecDeque<Stretch>,
    fetches: HashMap<u64, Fetch>,
    /// Whom not to ask again for which chunk: it was damaged there, or not there at all.
    bad: HashSet<(PeerId, u32)>,
    /// How many chunks each has brought, those included that came too late for their question.
    brought: HashMap<PeerId, u64>,
    damaged: u64,
}

/// Chunks to be asked for: bit `i` of `want` stands for chunk `first + i`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stretch {
    pub(super) first: u32,
    pub(super) want: u32,
}

#[derive(Debug)]
struct Fetch {
    peer: PeerId,
    stretch: Stretch,
}

/// What to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// Ask for these.
    Ask(Stretch),
    /// Nothing is left that this peer could bring.
    Done,
    /// Others are asked for all that is left; if they fail it comes back.
    Wait,
}

/// What a chunk was good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    /// It does not open: changed, or not the one that was asked for. The fetch with this id may be over.
    Damaged { over: bool },
    /// It was there already, or nobody asked for it and it does not open.
    Spare { over: bool },
    /// It is in its place.
    Taken { over: bool },
}

impl Assembly {
    pub(super) fn new(manifest: &Manifest, summary: Summary) -> Self {
        let open = (0..manifest.chunks).step_by(WINDOW as usize).map(|first| {
            let many = manifest.chunks.saturating_sub(first).min(WINDOW);
            let want = u32::MAX.checked_shr(u32::BITS.saturating_sub(many)).unwrap_or(0);
            Stretch { first, want }
        });
        Self {
            version: manifest.version,
            summary,
            file: vec![None; manifest.chunks as usize],
            open: open.collect(),
            fetches: HashMap::new(),
            bad: HashSet::new(),
            brought: HashMap::new(),
            damaged: 0,
        }
    }

    /// What to ask `peer` for next.
    pub(super) fn next_for(&mut self, peer: PeerId) -> Next {
        for at in 0..self.open.len() {
            let Some(stretch) = self.open.get(at).copied() else { break };
            let good = |index| self.is_missing(index) && !self.bad.contains(&(peer, index));
            let want = stretch.bits().filter(|(_, index)| good(*index)).fold(0, |want, (bit, _)| want | bit);
            if want != 0 {
                self.open.remove(at);
                self.reopen(Stretch { want: stretch.want & !want, ..stretch });
                return Next::Ask(Stretch { want, ..stretch });
            }
        }
        if self.fetches.is_empty() { Next::Done } else { Next::Wait }
    }

    /// Notes that the message `id` asks `peer` for a stretch.
    pub(super) fn asked(&mut self, id: u64, peer: PeerId, stretch: Stretch) {
        self.fetches.insert(id, Fetch { peer, stretch });
    }

    /// Ends the fetch `id`: what it did not bring is open again.
    pub(super) fn end(&mut self, id: u64, asked: Stretch) {
        let rest = self.fetches.remove(&id).map_or(asked, |fetch| fetch.stretch);
        self.reopen(rest);
    }

    /// Opens a stretch again, but for what has come meanwhile.
    fn reopen(&mut self, stretch: Stretch) {
        let missing = stretch.bits().filter(|(_, index)| self.is_missing(*index));
        let want = missing.fold(0, |want, (bit, _)| want | bit);
        if want != 0 {
            self.open.push_back(Stretch { want, ..stretch });
        }
    }

    /// Takes a chunk that `peer` sent in reply to the fetch `id`, or to one that was given up too soon.
    pub(super) fn take(&mut self, vault: &Vault, id: u64, peer: PeerId, chunk: &Chunk<'_>) -> Piece {
        let asked = self.fetches.get_mut(&id).filter(|fetch| fetch.peer == peer).and_then(|fetch| {
            let (bit, _) = fetch.stretch.bits().find(|(_, index)| *index == chunk.index)?;
            fetch.stretch.want &= !bit;
            Some(fetch.stretch.want == 0)
        });
        let over = asked == Some(true);
        if !self.is_missing(chunk.index) {
            return Piece::Spare { over };
        }
        let plain = if chunk.version == self.version { vault.open_chunk(chunk) } else { None };
        let Some(plain) = plain.filter(|plain| plain.len() == self.length_of(chunk.index)) else {
            if asked.is_none() {
                return Piece::Spare { over };
            }
            self.bad.insert((peer, chunk.index));
            self.damaged = self.damaged.saturating_add(1);
            self.reopen(Stretch { first: chunk.index, want: 1 });
            return Piece::Damaged { over };
        };
        let brought = self.brought.entry(peer).or_default();
        *brought = brought.saturating_add(1);
        if let Some(place) = self.file.get_mut(chunk.index as usize) {
            *place = Some(plain.to_vec());
        }
        Piece::Taken { over }
    }

    /// How many chunks the fetch `id` has brought so far.
    pub(super) fn come(&self, id: u64, asked: Stretch) -> u32 {
        let rest = self.fetches.get(&id).map_or(asked.want, |fetch| fetch.stretch.want);
        (asked.want & !rest).count_ones()
    }

    /// How many chunks are there, and how many there will be.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.file.iter().flatten().count() as u64, self.file.len() as u64)
    }

    /// How many chunks `peer` has brought.
    pub(super) fn brought_by(&self, peer: PeerId) -> u64 {
        self.brought.get(&peer).copied().unwrap_or(0)
    }

    /// How many chunks were opened, and how many did not open.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.brought.values().sum(), self.damaged)
    }

    /// The file, if it is whole and is what the owner once sealed.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        let file: Vec<u8> = self.file.into_iter().collect::<Option<Vec<_>>>()?.concat();
        (Summary::of(&file) == self.summary).then_some(file)
    }

    fn is_missing(&self, index: u32) -> bool {
        self.file.get(index as usize).is_some_and(Option::is_none)
    }

    /// All chunks are full but the last one.
    fn length_of(&self, index: u32) -> usize {
        let from = u64::from(index).saturating_mul(CHUNK_BYTES as u64);
        usize::try_from(self.summary.length.saturating_sub(from)).map_or(CHUNK_BYTES, |rest| rest.min(CHUNK_BYTES))
    }
}

impl Stretch {
    /// Each wanted chunk as its bit and its index.
    fn bits(self) -> impl Iterator<Item = (u32, u32)> {
        (0..u32::BITS)
            .map(move |at| (1 << at, self.first.saturating_add(at)))
            .filter(move |(bit, _)| self.want & bit != 0)
    }
}
