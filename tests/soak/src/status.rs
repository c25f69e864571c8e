//! How it goes: one line that is rewritten on a terminal, else a line at times.

use std::{
    io::{IsTerminal, stderr},
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{count::short, faults::Faults, load::Load, memory};

/// How often a line is written where none can be rewritten.
const EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Status {
    bar: Option<ProgressBar>,
    began: Instant,
    /// When the rates were taken last, and the counts then.
    last: Instant,
    counts: Vec<(&'static str, u64)>,
}

impl Status {
    pub(crate) fn new() -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner:.green} {wide_msg}");
            ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        Self { bar, began: Instant::now(), last: Instant::now(), counts: Vec::new() }
    }

    /// Tells how it goes, if it is time.
    pub(crate) fn tell(&mut self, loads: &[Arc<dyn Load>], faults: &Faults, whole: Duration) {
        let every = if self.bar.is_some() { Duration::from_millis(500) } else { EVERY };
        if let Some(bar) = &self.bar {
            bar.tick();
        }
        let since = self.last.elapsed();
        if since < every {
            return;
        }
        let counts = by_name(loads);
        let mut rates = String::new();
        for (name, count) in &counts {
            let before = self.counts.iter().find(|(other, _)| other == name).map_or(0, |(_, before)| *before);
            let rate = (count - before) as f64 / since.as_secs_f64();
            rates.push_str(&format!(" {name} {}", short(rate)));
        }
        self.last = Instant::now();
        self.counts = counts;
        let memory = memory::allocated() as f64 / f64::from(1 << 20);
        let resident = memory::resident().map_or(String::new(), |bytes| format!(" ({} resident)", bytes >> 20));
        let (gone, faults) = (self.began.elapsed().as_secs(), short(faults.sum() as f64));
        let line =
            format!("{gone} of {} s · {memory:.1} MiB{resident} · {faults} faults · a second:{rates}", whole.as_secs());
        self.say(line);
    }

    /// What is done now.
    pub(crate) fn say(&self, line: String) {
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None => anstream::eprintln!("{line}"),
        }
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How much was done, over the loads of one name.
pub(crate) fn by_name(loads: &[Arc<dyn Load>]) -> Vec<(&'static str, u64)> {
    let mut counts: Vec<(&'static str, u64)> = Vec::new();
    for load in loads {
        match counts.iter_mut().find(|(name, _)| *name == load.name()) {
            Some((_, count)) => *count += load.done(),
            None => counts.push((load.name(), load.done())),
        }
    }
    counts
}
