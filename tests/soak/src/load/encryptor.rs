//! The encryptor: blobs that come back, and blobs with a bit turned over that do not.

use steadfast::{Encryptor, encryptor::Domain};

use super::{Load, Turn};
use crate::{count::Counter, faults::Fault, sums::Sums, worker::Worker};

pub(crate) struct Sealing {
    encryptor: Encryptor,
    sealed: Counter,
    opened: Counter,
    refused: Counter,
    forged: Counter,
}

impl Sealing {
    pub(crate) fn new() -> Self {
        Self {
            encryptor: Encryptor::from_seed(&[7; 32], Domain::STASH),
            sealed: Counter::default(),
            opened: Counter::default(),
            refused: Counter::default(),
            forged: Counter::default(),
        }
    }

    fn seal(&self, worker: &Worker) {
        let message = worker.dice.roll().to_le_bytes();
        let Ok(mut blob) = self.encryptor.seal(&message, b"alice, version 3") else { return };
        self.sealed.add(1);
        self.opened.add(u64::from(self.encryptor.open(&blob, b"alice, version 3").is_ok_and(|open| open == message)));

        worker.hit(Fault::Forged);
        self.forged.add(1);
        let bit = worker.dice.below(blob.len() as u64 * 8) as usize;
        blob[bit / 8] ^= 1 << (bit % 8);
        self.refused.add(u64::from(self.encryptor.open(&blob, b"alice, version 3").is_err()));
    }
}

impl Load for Sealing {
    fn name(&self) -> &'static str {
        "seal"
    }

    fn done(&self) -> u64 {
        self.sealed.get()
    }

    fn turn<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("encryptor: seal and open");
            (0..8).for_each(|_| self.seal(worker));
        })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async { self.seal(worker) })
    }

    fn sums(&self, sums: &mut Sums) {
        sums.of("encryptor");
        sums.adds_up(("sealed", self.sealed.get()), &[("came back", self.opened.get())]);
        sums.adds_up(("with a bit turned over", self.forged.get()), &[("refused", self.refused.get())]);
    }
}
