//! Who works: tasks and threads, and who interrupts them.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use steadfast::block_on;
use tokio::task::{self, JoinError};

use crate::{
    clock::Steps,
    dice::Dice,
    faults::{Fault, Faults},
    load::Load,
    worker::Worker,
};

/// How many tasks each load has.
const TASKS: usize = 3;

/// Everybody who works on the loads until they are told to stop.
pub(crate) struct Crew {
    stop: Arc<AtomicBool>,
    workers: Vec<Arc<Worker>>,
    threads: Vec<JoinHandle<()>>,
    /// What went wrong with whoever ended.
    broken: Arc<Mutex<Vec<String>>>,
}

type Loads = [Arc<dyn Load>];

impl Crew {
    /// Starts `TASKS` tasks for each load, `threads` threads that serve all of them, somebody who aborts tasks, and
    /// somebody who sets the clock. To be called in a runtime.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub(crate) fn start(
        loads: &Loads,
        threads: usize,
        steps: Steps,
        dice: &Dice,
        faults: &Arc<Faults>,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut crew = Self { stop, workers: Vec::new(), threads: Vec::new(), broken: Arc::default() };
        let mut tasks = Vec::new();
        for (index, load) in loads.iter().cycle().take(loads.len() * TASKS).enumerate() {
            let worker = crew.hire(format!("task {index}"), dice, faults);
            tasks.push(Task { load: load.clone(), worker, stop: crew.stop.clone() });
        }
        let interrupter = crew.hire("whoever aborts tasks".into(), dice, faults);
        drop(tokio::spawn(interrupt(tasks, interrupter, crew.stop.clone(), crew.broken.clone())));

        for index in 0..threads {
            let worker = crew.hire(format!("thread {index}"), dice, faults);
            let (loads, stop) = (loads.to_vec(), crew.stop.clone());
            crew.spawn(format!("worker {index}"), move || {
                while !stop.load(Relaxed) {
                    let load = &loads[worker.dice.below(loads.len() as u64) as usize];
                    block_on(load.turn(&worker));
                }
                worker.post.leave();
            })?;
        }
        let (stop, dice, faults) = (crew.stop.clone(), dice.fork(), faults.clone());
        crew.spawn("clock".into(), move || {
            while !stop.load(Relaxed) {
                steps.step(&dice);
                faults.hit(Fault::Step);
                thread::sleep(Duration::from_millis(1 + dice.below(20)));
            }
        })?;
        Ok(crew)
    }

    fn hire(&mut self, name: String, dice: &Dice, faults: &Arc<Faults>) -> Arc<Worker> {
        let worker = Arc::new(Worker::new(name, dice.fork(), faults.clone()));
        self.workers.push(worker.clone());
        worker
    }

    fn spawn(&mut self, name: String, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name).spawn(work)?);
        Ok(())
    }

    /// Tells everybody to end after the present turn.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// True once everybody has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
            && self.workers.iter().all(|worker| Arc::strong_count(worker) == 1)
    }

    /// Those who have been in one place for longer than `patience`.
    pub(crate) fn stuck(&self, patience: Duration) -> Vec<String> {
        self.workers.iter().filter_map(|worker| worker.post.stuck(patience)).collect()
    }

    /// What panicked, once all have ended.
    pub(crate) fn broken(self) -> Vec<String> {
        let mut broken = std::mem::take(&mut *self.broken.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in self.threads {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                broken.push(format!("{name} panicked"));
            }
        }
        broken
    }
}

/// One task on one load.
struct Task {
    load: Arc<dyn Load>,
    worker: Arc<Worker>,
    stop: Arc<AtomicBool>,
}

impl Task {
    fn start(&self) -> task::JoinHandle<()> {
        let (load, worker, stop) = (self.load.clone(), self.worker.clone(), self.stop.clone());
        tokio::spawn(async move {
            while !stop.load(Relaxed) {
                load.turn(&worker).await;
                task::yield_now().await;
            }
            worker.post.leave();
        })
    }
}

/// Aborts a task wherever it is, and starts it again, until all are to stop; then waits for them.
async fn interrupt(tasks: Vec<Task>, worker: Arc<Worker>, stop: Arc<AtomicBool>, broken: Arc<Mutex<Vec<String>>>) {
    let note = |ended: Result<(), JoinError>| {
        if ended.is_err_and(|error| error.is_panic()) {
            broken.lock().unwrap_or_else(PoisonError::into_inner).push("a task panicked".into());
        }
    };
    let mut running: Vec<_> = tasks.iter().map(Task::start).collect();
    // The last third is left alone: an abort would free whoever hangs, and nobody would know.
    let abortable = tasks.len() - tasks.len() / TASKS;
    while !stop.load(Relaxed) {
        let index = worker.dice.below(abortable as u64) as usize;
        running[index].abort();
        worker.hit(Fault::Dropped);
        note(worker.wait_out("an aborted task ends", (&mut running[index]).into_future()).await);
        running[index] = tasks[index].start();
        worker.wait_out("a pause", worker.pause(Duration::from_millis(2))).await;
    }
    for task in running {
        note(worker.wait_out("a task ends its turn", task).await);
    }
    worker.post.leave();
}
