use heapless::Vec;
use steadfast_core::{Encryptor, encryptor::Domain};

use crate::{Fold, Script};

/// Keys, ciphertexts under nonces of the script, and what is opened.
pub(crate) fn run(fold: &mut Fold, script: &mut Script, operations: u32) {
    for _ in 0..operations {
        let (mut seed, mut text, mut aad) = ([0; 32], [0; 150], [0; 40]);
        fill(script, &mut seed);
        fill(script, &mut text);
        fill(script, &mut aad);
        let text = &text[..script.below(151) as usize];
        let aad = &aad[..script.below(41) as usize];
        let domain = Domain::new(&seed[..script.below(33) as usize], aad);
        let encryptor = Encryptor::from_seed(&seed, domain);
        let mut blob: Vec<u8, 200> = encryptor.seal(text, aad, script).expect("there is room");
        fold.bytes(&blob);
        let opened: Vec<u8, 150> = encryptor.open(&blob, aad).expect("it was sealed so");
        fold.bytes(&opened);
        let at = script.below(blob.len() as u32) as usize;
        blob[at] ^= 1 << script.below(8);
        fold.answer(&encryptor.open::<150>(&blob, aad).is_ok());
    }
}

pub(super) fn fill(script: &mut Script, bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&script.any().to_le_bytes()[..chunk.len()]);
    }
}
