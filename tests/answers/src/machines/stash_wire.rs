use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use heapless::Vec;
use stash_protocol::{
    Body, CHUNK_BYTES, Chunk, Holding, Identity, Message, Name, PeerId, Refusal, Sealed, Summary, Vault,
    serial::{self, Frame, MAX_FRAME, Reader},
    wire::{self, MAX_DATAGRAM},
};

use super::encryptor::fill;
use crate::{Fold, Script};

/// Datagrams of the stash, signatures included, and what their receiver makes of them.
pub(crate) fn run(fold: &mut Fold, script: &mut Script, operations: u32) {
    for _ in 0..operations {
        let mut seeds = [[0; 32]; 2];
        seeds.iter_mut().for_each(|seed| fill(script, seed));
        let (alice, bob) = (Identity::from_seed(&seeds[0]), Identity::from_seed(&seeds[1]).id());
        let vault = Vault::from_seed(&seeds[0]);
        let mut file = [0; CHUNK_BYTES];
        fill(script, &mut file);
        let file = &file[..script.below(200) as usize];
        let place = (script.any(), 1 + script.below(9), script.below(9));
        let sealed = vault.seal_chunk(place, file, script).expect("it fits");
        let (version, chunks, index) = place;
        let chunk = Chunk { version, chunks, index, sealed: Sealed::new(&sealed).expect("it fits") };
        let body = match script.below(8) {
            0 => Body::Store(chunk),
            1 => Body::Chunk(chunk),
            2 => Body::Commit(vault.seal_manifest(version, &Summary::of(file), script).expect("it fits")),
            3 => Body::Welcome {
                name: Name::new("Zoë").expect("a name"),
                held: Some(script.nanos()),
                room: script.flag(),
            },
            4 => Body::Response { manifest: None, elsewhere: (0..script.below(4)).map(|_| address(script)).collect() },
            5 => Body::Fetch { version, first: script.below(u32::MAX), want: script.any() as u32 },
            6 => Body::Refused(Refusal::OutOfRange),
            _ => Body::Holding(Vec::from([Holding { owner: bob, version: script.nanos() }])),
        };
        let in_reply_to = body.is_reply().then(|| script.nanos());
        let message =
            Message { from: alice.id(), to: Some(bob), id: script.any(), in_reply_to, cookie: script.any(), body };
        let mut buffer = [0; MAX_DATAGRAM];
        let datagram = wire::seal(&message, &alice, &mut buffer).expect("it fits");
        fold.bytes(datagram);
        assert_eq!(*wire::open(datagram, &bob).expect("it was sealed so"), message);
        if let Body::Store(chunk) | Body::Chunk(chunk) = &message.body {
            fold.bytes(&vault.open_chunk(chunk).expect("it was sealed so"));
        }
    }
}

/// Frames of the serial line, and what is read where some bytes are lost.
pub(crate) fn serial(fold: &mut Fold, script: &mut Script, operations: u32) {
    let mut reader = Reader::new();
    let mut buffer = [0; MAX_FRAME];
    for _ in 0..operations {
        let mut bytes = [0; 96];
        fill(script, &mut bytes);
        let bytes = &bytes[..script.below(97) as usize];
        let mut seed = [0; 32];
        fill(script, &mut seed);
        let frame = match script.below(6) {
            0 => Frame::Start { seed, random: [script.any().to_le_bytes(); 7] },
            1 => Frame::Started { id: PeerId::new(seed), max_chunks: script.any() as u32 },
            2 => Frame::Taken,
            3 => Frame::Ask { token: script.any() as u32 },
            _ => Frame::Datagram { peer: address(script), bytes },
        };
        let written = serial::write(&frame, &mut buffer).expect("it fits");
        fold.bytes(written);
        let lost = if script.below(8) == 0 { script.below(written.len() as u32) as usize } else { 0 };
        let mut rest = &written[lost..];
        while !rest.is_empty() {
            match reader.read(&mut rest) {
                Some(frame) => fold.answer(&frame),
                None => fold.number(rest.len() as u64),
            }
        }
        fold.answer(&reader.stats());
    }
}

fn address(script: &mut Script) -> SocketAddr {
    let ip = match script.flag() {
        true => IpAddr::V4(Ipv4Addr::from_bits(script.any() as u32)),
        false => IpAddr::V6(Ipv6Addr::from_bits(u128::from(script.any()) << 64 | u128::from(script.any()))),
    };
    SocketAddr::new(ip, script.any() as u16)
}
