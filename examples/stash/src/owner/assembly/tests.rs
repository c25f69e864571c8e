use stash_protocol::Sealed;
use steadfast::runtime::SystemRng;

use super::*;

const BOB: PeerId = PeerId::new([1; 32]);
const CAROL: PeerId = PeerId::new([2; 32]);

/// A file of 40 chunks, the last of them short, and what its owner has.
struct World {
    vault: Vault,
    file: Vec<u8>,
    manifest: Manifest,
    assembly: Assembly,
}

impl World {
    fn new() -> Self {
        let vault = Vault::from_seed(&[7; 32]);
        let file: Vec<u8> = (0..39 * CHUNK_BYTES + 10).map(|at| at as u8).collect();
        let summary = Summary::of(&file);
        let manifest = vault.seal_manifest(5, &summary, &mut SystemRng).unwrap();
        let assembly = Assembly::new(&manifest, summary);
        Self { vault, file, manifest, assembly }
    }

    /// A chunk as a good confidant sends it.
    fn sealed(&self, index: u32) -> Vec<u8> {
        let plain = self.file.chunks(CHUNK_BYTES).nth(index as usize).unwrap();
        self.vault.seal_chunk((5, self.manifest.chunks, index), plain, &mut SystemRng).unwrap().to_vec()
    }

    fn take(&mut self, id: u64, peer: PeerId, index: u32, sealed: &[u8]) -> Piece {
        let chunk = Chunk { version: 5, chunks: 40, index, sealed: Sealed::new(sealed).unwrap() };
        self.assembly.take(&self.vault, id, peer, &chunk)
    }

    fn bring(&mut self, id: u64, peer: PeerId, index: u32) -> Piece {
        let sealed = self.sealed(index);
        self.take(id, peer, index, &sealed)
    }

    fn ask(&mut self, id: u64, peer: PeerId) -> Stretch {
        let Next::Ask(stretch) = self.assembly.next_for(peer) else { panic!("something is missing") };
        self.assembly.asked(id, peer, stretch);
        stretch
    }
}

fn indexes(stretch: Stretch) -> Vec<u32> {
    stretch.bits().map(|(_, index)| index).collect()
}

#[test]
fn a_file_is_put_together_from_all_stretches() {
    let mut world = World::new();
    for (id, expected) in [(1, 0..16), (2, 16..32), (3, 32..40)] {
        let stretch = world.ask(id, BOB);
        assert_eq!(indexes(stretch), expected.clone().collect::<Vec<_>>());
        for index in expected.clone().rev() {
            let over = index == expected.start;
            assert_eq!(world.bring(id, BOB, index), Piece::Taken { over });
        }
        assert_eq!(world.assembly.come(id, stretch), expected.len() as u32);
        world.assembly.end(id, stretch);
    }
    assert_eq!(world.assembly.next_for(BOB), Next::Done);
    assert_eq!(world.assembly.progress(), (40, 40));
    assert_eq!(world.assembly.finish(), Some(world.file));
}

#[test]
fn what_did_not_come_is_asked_again_and_nothing_else() {
    let mut world = World::new();
    let stretch = world.ask(1, BOB);
    for index in (0..16).filter(|index| *index != 3) {
        world.bring(1, BOB, index);
    }
    world.assembly.end(1, stretch);
    world.ask(2, BOB);
    world.ask(3, BOB);
    assert_eq!(indexes(world.ask(4, CAROL)), [3]);
    assert_eq!(world.assembly.next_for(BOB), Next::Wait, "others are asked for all of it");
}

#[test]
fn a_damaged_chunk_is_asked_of_another_peer_only() {
    let mut world = World::new();
    let stretch = world.ask(1, BOB);
    let mut sealed = world.sealed(0);
    sealed[50] ^= 1;
    assert_eq!(world.take(1, BOB, 0, &sealed), Piece::Damaged { over: false });
    // Another chunk in its place is no better.
    let other = world.sealed(9);
    assert_eq!(world.take(1, BOB, 1, &other), Piece::Damaged { over: false });
    world.assembly.end(1, stretch);
    assert_eq!(world.assembly.counts(), (0, 2));
    let mut asked_of_bob = Vec::new();
    while let Next::Ask(stretch) = world.assembly.next_for(BOB) {
        asked_of_bob.extend(indexes(stretch));
    }
    asked_of_bob.sort_unstable();
    assert_eq!(asked_of_bob, (2..40).collect::<Vec<_>>());
    assert_eq!(world.assembly.next_for(BOB), Next::Done);
    let mut asked_of_carol = Vec::new();
    while let Next::Ask(stretch) = world.assembly.next_for(CAROL) {
        asked_of_carol.extend(indexes(stretch));
    }
    asked_of_carol.sort_unstable();
    assert_eq!(asked_of_carol, [0, 1]);
}

#[test]
fn a_chunk_that_comes_late_is_taken_if_it_is_good() {
    let mut world = World::new();
    let stretch = world.ask(1, BOB);
    world.assembly.end(1, stretch); // given up too soon
    assert_eq!(world.bring(1, BOB, 2), Piece::Taken { over: false });
    assert_eq!(world.bring(1, BOB, 2), Piece::Spare { over: false });
    // What nobody asked for speaks against nobody.
    assert_eq!(world.take(8, CAROL, 4, &[9; 1_000]), Piece::Spare { over: false });
    assert_eq!(world.assembly.counts(), (1, 0));
    world.ask(2, BOB);
    world.ask(3, BOB);
    let again = world.ask(4, BOB);
    assert!(!indexes(again).contains(&2) && indexes(again).len() == 15);
}

#[test]
fn a_file_with_a_hole_is_no_file() {
    let mut world = World::new();
    for id in 1..=3 {
        let stretch = world.ask(id, BOB);
        for index in indexes(stretch).into_iter().filter(|index| *index != 20) {
            world.bring(id, BOB, index);
        }
    }
    assert_eq!(world.assembly.progress(), (39, 40));
    assert_eq!(world.assembly.finish(), None);
}

#[test]
fn what_comes_too_late_speaks_for_its_peer_all_the_same() {
    let mut world = World::new();
    let stretch = world.ask(1, BOB);
    world.assembly.end(1, stretch);
    assert_eq!(world.assembly.brought_by(BOB), 0);
    assert_eq!(world.bring(1, BOB, 3), Piece::Taken { over: false });
    assert_eq!((world.assembly.brought_by(BOB), world.assembly.brought_by(CAROL)), (1, 0));
}
