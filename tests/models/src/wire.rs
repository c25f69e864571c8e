//! The stash's datagrams: whatever arrives is refused, or means what its sender signed.

use ed25519_dalek::{Signer, SigningKey};
use stash_protocol::{
    Identity,
    wire::{self, MAX_DATAGRAM, Opened, WireError},
};

use crate::Script;

const LABEL: &[u8] = b"steadfast stash\x01";
const ALICE: [u8; 32] = [1; 32];

/// Bytes as they are; or as a message that alice signs, though no honest peer would write it.
pub fn fuzz(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let kind = script.below(4);
    let bytes = script.rest();
    match kind {
        0 => open(bytes),
        1 => open(&signed(bytes)), // whoever it says it is from
        _ => open(&signed(&[Identity::from_seed(&ALICE).id().as_bytes(), bytes].concat())),
    }
}

fn signed(payload: &[u8]) -> Vec<u8> {
    let signed = [LABEL, payload].concat();
    let signature = SigningKey::from_bytes(&ALICE).sign(&signed).to_bytes();
    [&signed[..], &signature].concat()
}

fn open(datagram: &[u8]) {
    let (alice, bob) = (Identity::from_seed(&ALICE), Identity::from_seed(&[2; 32]).id());
    let kept = Opened::new(datagram, &bob);
    let message = match wire::open(datagram, &bob) {
        Ok(message) => message,
        Err(error) => {
            assert_eq!(kept, Err(error));
            return assert_eq!(error == WireError::TooLong, datagram.len() > MAX_DATAGRAM);
        }
    };
    assert_eq!(kept.expect("it is open").message().as_ref(), Some(&message));
    assert_eq!(message.from, alice.id(), "nobody else signs here");
    assert!(message.to.map_or(message.body.may_greet(), |to| to == bob), "meant for another");
    assert_eq!(message.in_reply_to.is_some(), message.body.is_reply());
    assert!(wire::open(datagram, &alice.id()).is_err(), "taken by its own sender");

    // Numbers may be written longer than they need to be, so the bytes may differ; what they say does not.
    let mut buffer = [0; MAX_DATAGRAM];
    let again = wire::seal(&message, &alice, &mut buffer).expect("it fitted before");
    assert!(again.len() <= datagram.len());
    assert_eq!(wire::open(again, &bob).as_ref(), Ok(&message));

    let mut changed = again.to_vec();
    for at in [again.len() / 3, again.len() - 1] {
        changed[at] ^= 1;
        assert!(wire::open(&changed, &bob).is_err(), "byte {at} may be changed");
        changed[at] ^= 1;
    }
}
