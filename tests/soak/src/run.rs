//! One soak, from the first turn to the last sum.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use steadfast::block_on;
use tokio::runtime::{Builder, Runtime};

use crate::{
    clock::{SoakClock, Steps},
    crew::Crew,
    dice::Dice,
    faults::{Fault, Faults},
    load::{self, Load},
    memory::{Memory, TOLERANCE},
    status::{Status, by_name},
    sums::{Sum, Sums},
    worker::Worker,
};

/// How long anybody may be in one place: no wait here is longer than a second, the rest is for a starved machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often the memory is read and the posts are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) took: Duration,
    pub(crate) done: u64,
    pub(crate) faults: Arc<Faults>,
    pub(crate) sums: Vec<Sum>,
    /// Who hangs, and who panicked.
    pub(crate) broken: Vec<String>,
}

/// Runs everything for the given time, or until `is_over`.
///
/// # Errors
///
/// If the system has no thread to give.
pub(crate) fn soak(settings: Settings) -> io::Result<Outcome> {
    let runtime = Builder::new_multi_thread().worker_threads(settings.threads).enable_all().build()?;
    let is_over = interrupted(&runtime);
    let (dice, faults) = (Dice::new(settings.seed), Arc::new(Faults::default()));
    let steps = Steps::new();
    let _entered = runtime.enter();
    let loads = load::all(&SoakClock::Steady, &steps.clock(), &dice, &faults)?;

    let began = Instant::now();
    let crew = Crew::start(&loads, settings.threads * 2, steps, &dice, &faults)?;
    let mut status = Status::new();
    let mut memory = Memory::default();
    let warm_after = (settings.time / 4).min(Duration::from_secs(10));
    let mut broken = Vec::new();
    while began.elapsed() < settings.time && !is_over.load(Relaxed) && broken.is_empty() {
        thread::sleep(LOOK_EVERY);
        memory.read(began.elapsed() >= warm_after);
        status.tell(&loads, &faults, settings.time);
        broken = crew.stuck(PATIENCE);
    }
    crew.stop();
    status.say("everybody comes to an end".into());
    while broken.is_empty() && !crew.has_ended() {
        thread::sleep(LOOK_EVERY);
        broken = crew.stuck(PATIENCE);
    }
    let took = began.elapsed();
    if broken.is_empty() {
        broken = crew.broken();
        status.say("everything has to work again".into());
        broken.extend(calm(&loads, &runtime, &dice, &faults));
    }
    drop(status);
    let done = by_name(&loads).iter().map(|(_, count)| count).sum();
    // What hangs would keep the runtime from ending.
    let sums = if broken.is_empty() { sums(&loads, &faults, memory) } else { Vec::new() };
    runtime.shutdown_background();
    Ok(Outcome { took, done, faults, sums, broken })
}

/// True once somebody has pressed Ctrl-C; the second time ends the process.
fn interrupted(runtime: &Runtime) -> Arc<AtomicBool> {
    let is_over = Arc::new(AtomicBool::new(false));
    let tell = is_over.clone();
    drop(runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            tell.store(true, Relaxed);
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    }));
    is_over
}

/// Every load has to work again, by turns on the runtime and on a thread; who does not is named.
fn calm(loads: &[Arc<dyn Load>], runtime: &Runtime, dice: &Dice, faults: &Arc<Faults>) -> Vec<String> {
    for (index, load) in loads.iter().enumerate() {
        let worker = Arc::new(Worker::new("whoever comes after the faults".into(), dice.fork(), faults.clone()));
        let (load, at_work) = (load.clone(), worker.clone());
        let has_ended: Box<dyn Fn() -> bool> = if index % 2 == 0 {
            let task = runtime.spawn(async move { load.calm(&at_work).await });
            Box::new(move || task.is_finished())
        } else {
            let thread = thread::spawn(move || block_on(load.calm(&at_work)));
            Box::new(move || thread.is_finished())
        };
        while !has_ended() {
            thread::sleep(Duration::from_millis(1));
            if let Some(stuck) = worker.post.stuck(PATIENCE) {
                return vec![stuck];
            }
        }
    }
    Vec::new()
}

fn sums(loads: &[Arc<dyn Load>], faults: &Faults, memory: Memory) -> Vec<Sum> {
    let mut sums = Sums::default();
    loads.iter().for_each(|load| load.sums(&mut sums));
    sums.of("faults");
    Fault::ALL.iter().for_each(|(fault, name)| sums.some(name, faults.count(*fault)));
    sums.of("memory");
    sums.at_most("bytes after warm-up", memory.later, memory.warm + TOLERANCE);
    sums.sums
}
