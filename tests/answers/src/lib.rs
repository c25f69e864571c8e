#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

mod fold;
mod hasher;
mod machines;
mod script;

use core::fmt;

use fold::Fold;
use script::{HostileClock, Script};

/// A machine of the core, and what it is asked.
#[derive(Clone, Copy, Debug)]
struct Machine {
    name: &'static str,
    /// It is asked once where others are asked so often.
    costs: u32,
    run: fn(&mut Fold, &mut Script, u32),
}

impl Machine {
    const fn share(&self, operations: u32) -> u32 {
        operations.div_ceil(self.costs)
    }

    /// All of its answers to the first `operations` of its script. A longer script begins with a shorter one.
    fn answers(&self, operations: u32) -> u64 {
        let mut fold = Fold::new();
        let mut script = Script::new(0x5eed);
        (self.run)(&mut fold, &mut script, operations);
        fold.get()
    }
}

const fn machine(name: &'static str, costs: u32, run: fn(&mut Fold, &mut Script, u32)) -> Machine {
    Machine { name, costs, run }
}

/// What an image is told to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Order<'a> {
    operations: u32,
    /// All, if none is named.
    machine: Option<&'a str>,
}

impl<'a> Order<'a> {
    /// `OPERATIONS [MACHINE]`: without a machine, each gets its share of so many; with one, it gets exactly so many.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let operations = words.next()?.parse().ok()?;
        let machine = words.next();
        let is_known = machine.is_none_or(|name| MACHINES.iter().any(|machine| machine.name == name));
        (is_known && words.next().is_none()).then_some(Self { operations, machine })
    }

    /// `MACHINE OPERATIONS ANSWERS`, a line for each.
    pub fn lines(&self, mut print: impl FnMut(fmt::Arguments<'_>)) {
        for machine in MACHINES {
            let operations = match self.machine {
                None => machine.share(self.operations),
                Some(name) if name == machine.name => self.operations,
                Some(_) => continue,
            };
            print(format_args!("{} {operations} {:016x}", machine.name, machine.answers(operations)));
        }
    }
}

/// Every machine of the core, what it is made of, and the wire format of the stash.
const MACHINES: &[Machine] = &[
    machine("rate_limiter", 1, machines::rate_limiter::full),
    machine("rate_limiter_with_room", 1, machines::rate_limiter::with_room),
    machine("sliding_log", 1, machines::rate_limiter::sliding_log),
    machine("cached_rate_limiter", 1, machines::cached::run),
    machine("circuit_breaker", 1, machines::circuit_breaker::single),
    machine("breakers", 1, machines::circuit_breaker::by_key),
    machine("retry", 1, machines::retry::run),
    machine("dedup_cache", 1, machines::dedup_cache::run),
    machine("correlator", 1, machines::correlator::numbered),
    machine("keyed_correlator", 1, machines::correlator::keyed),
    machine("batch_collector", 1, machines::batch::collector),
    machine("batch_queue", 2, machines::batch::queue),
    machine("quorum", 1, machines::quorum::run),
    machine("aggregate", 1, machines::aggregate::run),
    machine("logger", 4, machines::logger::run),
    machine("encryptor", 20, machines::encryptor::run),
    #[cfg(feature = "stash")]
    machine("stash_wire", 500, machines::stash_wire::run), // each of them signs
    #[cfg(feature = "stash")]
    machine("stash_serial", 4, machines::stash_wire::serial),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_of_every_machine_counts() {
        for machine in MACHINES {
            let mut last = machine.answers(0);
            for operations in 1..=machine.share(60) {
                let answers = machine.answers(operations);
                assert_ne!(answers, last, "{}, operation {operations}", machine.name);
                assert_eq!(answers, machine.answers(operations), "{} is asked the same again", machine.name);
                last = answers;
            }
        }
    }

    #[test]
    fn an_order_names_a_machine_or_all() {
        assert_eq!(Order::read("7"), Some(Order { operations: 7, machine: None }));
        assert_eq!(Order::read(" 7 logger\n"), Some(Order { operations: 7, machine: Some("logger") }));
        for wrong in ["", "logger", "7 toaster", "7 logger 7", "-1"] {
            assert_eq!(Order::read(wrong), None, "{wrong}");
        }
        let mut lines = 0;
        Order::read("40").expect("an order").lines(|_| lines += 1);
        assert_eq!(lines, MACHINES.len());
    }
}
