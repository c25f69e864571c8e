use core::num::NonZeroU32;
use std::{collections::BTreeSet, vec::Vec};

use super::*;
use crate::session::{CounterReserve, KeyRing, Replay, ReplayWindow};

const NODE: Sender = Sender::new(*b"node 7 to master");
const BLOCK: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// A packet as it goes through the air: the id of its key, the counter, the ciphertext, the tag.
#[derive(Clone, Copy, Debug)]
struct Packet(u8, u64, [u8; 4], Tag);

struct Node {
    keys: KeyRing<Encryptor>,
    counters: CounterReserve,
}

/// Where in a send the power fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cut {
    Never,
    BeforeStoring,
    BeforeTold,
    BeforeSending,
}

impl Node {
    fn boot(keys: KeyRing<Encryptor>, flash: u64) -> Self {
        Self { keys, counters: CounterReserve::restore(flash, BLOCK) }
    }

    /// `None` once the power has failed.
    fn send(&mut self, message: u32, flash: &mut u64, cut: Cut) -> Option<Packet> {
        let mut bytes = message.to_be_bytes();
        loop {
            let (id, key) = self.keys.current();
            match key.seal_counted(&mut bytes, &[id], &NODE, &mut self.counters) {
                Ok((counter, tag)) => return (cut != Cut::BeforeSending).then_some(Packet(id, counter, bytes, tag)),
                Err(error) => assert_eq!(error, EncryptorError::StoreCounter),
            }
            assert_eq!(bytes, message.to_be_bytes(), "left as it was");
            if cut == Cut::BeforeStoring {
                return None;
            }
            *flash = self.counters.to_store();
            if cut == Cut::BeforeTold {
                return None;
            }
            self.counters.stored(*flash).expect("it was written");
        }
    }
}

struct Master {
    keys: KeyRing<Encryptor>,
    window: ReplayWindow<4>,
}

impl Master {
    fn new() -> Self {
        Self { keys: ring(1), window: ReplayWindow::new() }
    }

    fn receive(&mut self, Packet(id, counter, mut bytes, tag): Packet) -> Result<u32, EncryptorError> {
        let sealed = bytes;
        let key = self.keys.get(id).ok_or(EncryptorError::Decrypt)?;
        let opened = key.open_counted(counter, &mut bytes, &tag, &[id], &NODE, &mut self.window);
        assert!(opened.is_ok() || bytes == sealed, "left as it was");
        opened.map(|()| u32::from_be_bytes(bytes))
    }
}

fn ring(id: u8) -> KeyRing<Encryptor> {
    KeyRing::new(id, key(id))
}

fn key(id: u8) -> Encryptor {
    Encryptor::from_key(&[id; 32])
}

fn replayed(replay: Replay) -> Result<u32, EncryptorError> {
    Err(EncryptorError::Replay(replay))
}

#[test]
fn a_key_is_the_one_that_a_seed_yields() {
    let encryptor = Encryptor::from_key(&Domain::STASH.key(&[3; 32]));
    let mut message = *b"data";
    let mut counters = CounterReserve::restore(0, BLOCK);
    counters.stored(4).unwrap();
    let (counter, tag) = encryptor.seal_counted(&mut message, b"aad", &NODE, &mut counters).unwrap();
    let seeded = Encryptor::from_seed(&[3; 32], Domain::STASH);
    assert_eq!(seeded.open_detached(&NODE.nonce(counter), &mut message, &tag, b"aad"), Ok(()));
    assert_eq!(&message, b"data");
}

#[test]
fn a_nonce_is_the_sender_and_the_counter() {
    assert_eq!(&NODE.nonce(0x0102_0304_0506_0708), b"node 7 to master\x01\x02\x03\x04\x05\x06\x07\x08");
}

#[test]
fn each_packet_is_taken_once_in_any_order_and_no_forged_one_moves_the_window() {
    let (mut node, mut master, mut flash) = (Node::boot(ring(1), 0), Master::new(), 0);
    let packets: Vec<Packet> = (0..90).map(|message| node.send(message, &mut flash, Cut::Never).unwrap()).collect();
    // The far future, made up: it must not make the rest too old.
    for counter in [90, 1_000, u64::MAX - 1] {
        assert_eq!(master.receive(Packet(1, counter, [0; 4], Tag::default())), Err(EncryptorError::Decrypt));
    }
    assert_eq!(master.receive(Packet(1, u64::MAX, [0; 4], Tag::default())), replayed(Replay::Exhausted));
    // 37 has no divisor in common with 90: each packet once, far from its place.
    for message in (0..90).map(|step| step * 37 % 90) {
        let packet = packets[message as usize];
        let Packet(id, counter, bytes, tag) = packet;
        let mut flipped = (bytes, tag);
        flipped.0[0] ^= 1;
        flipped.1[15] ^= 0x80;
        for forged in [
            Packet(id, counter, flipped.0, tag),
            Packet(id, counter, bytes, flipped.1),
            Packet(id, counter + 1_000, bytes, tag),
            Packet(2, counter, bytes, tag),
        ] {
            assert_eq!(master.receive(forged), Err(EncryptorError::Decrypt));
        }
        assert_eq!(master.receive(packet), Ok(message));
        assert_eq!(master.receive(packet), replayed(Replay::Duplicate));
    }
    for message in 90..190 {
        let packet = node.send(message, &mut flash, Cut::Never).unwrap();
        assert_eq!(master.receive(packet), Ok(message));
    }
    assert_eq!(master.receive(packets[0]), replayed(Replay::TooOld));
}

/// Another sender with the same key has other nonces, and its packets are not the node's.
#[test]
fn a_packet_of_one_sender_does_not_open_as_anothers() {
    let (mut node, mut flash) = (Node::boot(ring(1), 0), 0);
    let Packet(id, counter, mut bytes, tag) = node.send(7, &mut flash, Cut::Never).unwrap();
    let other = Sender::new(*b"master to node 7");
    let opened = key(1).open_counted(counter, &mut bytes, &tag, &[id], &other, &mut ReplayWindow::<2>::new());
    assert_eq!(opened, Err(EncryptorError::Decrypt));
}

#[test]
fn while_keys_change_packets_of_both_are_taken_once_and_after_it_none_of_the_old_one() {
    let (mut node, mut master, mut flash) = (Node::boot(ring(1), 0), Master::new(), 0);
    let early = node.send(0, &mut flash, Cut::Never).unwrap();
    let late = node.send(1, &mut flash, Cut::Never).unwrap();
    let lost = node.send(2, &mut flash, Cut::Never).unwrap();
    assert_eq!(master.receive(early), Ok(0));

    // The node is ahead of the master, which has the next key and does not seal with it.
    assert!(master.keys.add(2, key(2)).is_ok() && node.keys.add(2, key(2)).is_ok());
    assert!(node.keys.promote().is_ok());
    let new = node.send(3, &mut flash, Cut::Never).unwrap();
    assert_eq!(new.0, 2);
    assert_eq!(master.receive(new), Ok(3));
    assert!(master.keys.promote().is_ok());

    assert_eq!(master.receive(late), Ok(1), "on its way while the key changed");
    for packet in [early, late, new] {
        assert_eq!(master.receive(packet), replayed(Replay::Duplicate));
    }
    // Under the other key's id, and after the old key is gone.
    assert_eq!(master.receive(Packet(2, lost.1, lost.2, lost.3)), Err(EncryptorError::Decrypt));
    assert!(master.keys.retire(1).is_ok());
    assert_eq!(master.receive(lost), Err(EncryptorError::Decrypt));
    assert_eq!(master.receive(node.send(4, &mut flash, Cut::Never).unwrap()), Ok(4));
}

/// Power fails at each point of each of the first sends, once or again and again.
#[test]
fn no_nonce_repeats_and_the_link_goes_on_wherever_the_power_fails() {
    for cut in [Cut::BeforeStoring, Cut::BeforeTold, Cut::BeforeSending] {
        for at in 0..12 {
            for times in [1, 3] {
                let (mut node, mut master, mut flash) = (Node::boot(ring(1), 0), Master::new(), 0);
                let mut nonces = BTreeSet::new();
                for message in 0..24 {
                    let cut = if (at..at + times).contains(&message) { cut } else { Cut::Never };
                    let packet = node.send(message, &mut flash, cut).or_else(|| {
                        node = Node::boot(ring(1), flash);
                        node.send(message, &mut flash, Cut::Never)
                    });
                    let packet = packet.expect("the power is back");
                    assert!(nonces.insert(packet.1), "{cut:?} {at}: {packet:?}");
                    assert_eq!(master.receive(packet), Ok(message), "{cut:?} {at}");
                }
                assert!(nonces.last() < Some(&64), "few are skipped");
            }
        }
    }
}

#[test]
fn at_the_end_of_its_counters_nothing_is_sealed() {
    let mut counters = CounterReserve::restore(u64::MAX, BLOCK);
    let mut message = *b"data";
    let sealed = key(1).seal_counted(&mut message, b"", &NODE, &mut counters);
    assert_eq!((sealed, &message), (Err(EncryptorError::CountersExhausted), b"data"));
}
