//! The encryptor.

use core::num::NonZeroU32;

use steadfast_core::{CounterReserve, ReplayWindow};

use crate::operations::{
    Dice,
    encryptor::{counted, from_seed, open, seal},
};

use super::meter::{By, Meter};

const MACHINE: &str = "encryptor";

pub fn encryptor(meter: &Meter) {
    let mut made = meter.row(MACHINE, "from_seed");
    let mut dice = Dice(0x5eed);
    let encryptor = made.count(By::Chance, || from_seed(&[7; 32]));
    made.print();
    messages::<64>(meter, ["seal 64 B", "open 64 B", "open 64 B, forged"], &encryptor, &mut dice);
    messages::<1_024>(meter, ["seal 1 KiB", "open 1 KiB", "open 1 KiB, forged"], &encryptor, &mut dice);
}

pub fn packets(meter: &Meter) {
    let mut made = meter.row(MACHINE, "from_key");
    let mut sealed = meter.row(MACHINE, "seal_counted 32 B");
    let mut opened = meter.row(MACHINE, "open_counted 32 B");
    let mut replayed = meter.row(MACHINE, "open_counted 32 B, a replay");
    let encryptor = made.count(By::Chance, || counted::from_key(&[7; 32]));
    let mut counters = CounterReserve::restore(0, NonZeroU32::MAX);
    assert!(counters.stored(counters.to_store()).is_ok());
    let mut window = ReplayWindow::new();
    for byte in [0, 0x55, 0xff] {
        let mut message = [byte; 32];
        let (counter, tag) =
            sealed.count(By::Chance, || counted::seal(&encryptor, &mut message, &mut counters)).expect("stored");
        assert!(opened.count(By::Chance, || counted::open(&encryptor, counter, &mut message, &tag, &mut window)));
        assert_eq!(message, [byte; 32]);
        assert!(!replayed.count(By::Chance, || counted::open(&encryptor, counter, &mut message, &tag, &mut window)));
    }
    for row in [made, sealed, opened, replayed] {
        row.print();
    }
}

fn messages<const LEN: usize>(
    meter: &Meter,
    [sealing, opening, forging]: [&'static str; 3],
    encryptor: &steadfast_core::Encryptor,
    dice: &mut Dice,
) {
    let mut sealed = meter.row(MACHINE, sealing);
    let mut opened = meter.row(MACHINE, opening);
    let mut forged = meter.row(MACHINE, forging);
    for byte in [0, 0x55, 0xff] {
        let mut message = [byte; LEN];
        let (nonce, tag) = sealed.count(By::Chance, || seal(encryptor, &mut message, dice)).expect("room");
        let mut forgery = message;
        forgery[0] ^= 1;
        assert!(!forged.count(By::Chance, || open(encryptor, &nonce, &mut forgery, &tag)));
        assert!(opened.count(By::Chance, || open(encryptor, &nonce, &mut message, &tag)));
        assert_eq!(message, [byte; LEN]);
    }
    for row in [sealed, opened, forged] {
        row.print();
    }
}
