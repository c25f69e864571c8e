//! The contracts on the host, under each kind of lock; `tests/firmware` runs the same ones on a microcontroller.

use std::sync::Mutex;

use steadfast_core::Lock;
use steadfast_tests::{Locks, RefCells, contracts};

struct Std<T>(Mutex<T>);

impl<T> Lock for Std<T> {
    type Target = T;

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().expect("no contract is broken"))
    }
}

struct Mutexes;

impl Locks for Mutexes {
    type Of<T> = Std<T>;

    fn lock<T>(content: T) -> Std<T> {
        Std(Mutex::new(content))
    }
}

struct Spins;

impl Locks for Spins {
    type Of<T> = spin::Mutex<T>;

    fn lock<T>(content: T) -> spin::Mutex<T> {
        spin::Mutex::new(content)
    }
}

fn every_contract_is_kept<L: Locks>() {
    for (name, contract) in contracts::<L>() {
        println!("{name}"); // shown if it fails
        contract();
    }
}

#[test]
fn every_contract_is_kept_in_a_ref_cell() {
    every_contract_is_kept::<RefCells>();
}

#[test]
fn every_contract_is_kept_behind_a_std_mutex() {
    every_contract_is_kept::<Mutexes>();
}

#[test]
fn every_contract_is_kept_behind_a_spin_lock() {
    every_contract_is_kept::<Spins>();
}
