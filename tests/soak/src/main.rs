//! Every utility of Steadfast at once, on real threads, with faults: peers that hang, fail, answer late, twice or in
//! another's name, floods of made-up keys, tasks that are dropped in the middle, callbacks that panic, a clock that
//! steps.
//!
//! It ends with what must add up, and fails if something does not, if somebody hangs, or if memory has grown.
#![forbid(unsafe_code)]

mod clock;
mod count;
mod crew;
mod dice;
mod faults;
mod load;
mod memory;
mod run;
mod status;
mod sums;
mod watch;
mod worker;

use std::{num::NonZeroUsize, process::ExitCode, thread, time::Duration};

use anstream::{eprintln, println};
use anstyle::{AnsiColor, Style};
use clap::Parser;

use count::grouped;
use faults::Fault;
use run::{Outcome, Settings, soak};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Run every utility at once, with faults, and see whether it all adds up
///
/// Ends early with Ctrl-C. The exit status is 1 if a sum does not add up, if somebody hangs, or if memory has grown.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// For how long
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// What all chance comes from; how the threads interleave does not [default: a random one]
    #[arg(long)]
    seed: Option<u64>,
    /// Threads of the runtime; twice as many work without one [default: one for each core]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let threads =
        cli.threads.map_or_else(|| thread::available_parallelism().map_or(2, NonZeroUsize::get), NonZeroUsize::get);
    let seed = cli.seed.unwrap_or_else(random);
    let settings = Settings { time: Duration::from_secs(cli.seconds), seed, threads };
    match soak(settings) {
        Ok(outcome) => report(&outcome, settings),
        Err(error) => {
            eprintln!("{BAD}error:{BAD:#} {error}");
            ExitCode::FAILURE
        }
    }
}

fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};

    RandomState::new().hash_one(0)
}

fn report(outcome: &Outcome, settings: Settings) -> ExitCode {
    let (done, seconds) = (grouped(outcome.done), outcome.took.as_secs_f64());
    println!("{done} operations in {seconds:.1} s, seed {}, {} threads", settings.seed, settings.threads);
    let faults: Vec<String> =
        Fault::ALL.iter().map(|(fault, name)| format!("{} {name}", grouped(outcome.faults.count(*fault)))).collect();
    println!("faults: {}", faults.join(", "));
    let width = outcome.sums.iter().map(|sum| sum.of.chars().count()).max().unwrap_or(0);
    let mut last = "";
    for sum in &outcome.sums {
        let of = if sum.of == last { "" } else { &sum.of };
        last = &sum.of;
        let (style, word) = if sum.holds { (GOOD, "ok ") } else { (BAD, "BAD") };
        println!("{style}{word}{style:#} {of:width$}  {}", sum.law);
    }
    for what in &outcome.broken {
        println!("{BAD}BAD{BAD:#} {what}");
    }
    let bad = outcome.sums.iter().filter(|sum| !sum.holds).count() + outcome.broken.len();
    if bad == 0 {
        println!("{GOOD}all {} sums add up, nobody hangs, memory is constant{GOOD:#}", outcome.sums.len());
        ExitCode::SUCCESS
    } else {
        println!("{BAD}{bad} of them are wrong{BAD:#}");
        ExitCode::FAILURE
    }
}
