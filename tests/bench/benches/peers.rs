//! Measures, prints the tables, draws the plots.

use std::{fs, process::Command, time::Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use steadfast_bench::{
    curves, docs,
    memory::HOLDERS,
    options::{Options, USAGE},
    plot::{self, Line, Picture},
    report::{self, Named, aligned, table},
    rows,
    run::measure,
};

fn main() -> anyhow::Result<()> {
    let options = Options::parse(std::env::args().skip(1)).context(USAGE)?;
    if options.help {
        println!("{USAGE}");
        return Ok(());
    }
    let is_whole = options.filter.is_none() && !options.is_quick;
    anyhow::ensure!(is_whole || !options.write, "only all rows, and not the quick ones, are worth writing down");
    let start = Instant::now();
    let mut parts = Vec::new();
    let lines = speed(&options)?;
    if !lines.is_empty() {
        parts.push(("speed", table(&lines)));
    }
    for (name, make) in [("missed duplicates", missed as fn(&_) -> _), ("allocations", allocations)] {
        if options.wants(name) {
            parts.push((name, make(&options)?));
        }
    }
    if options.plots || options.is_quick && options.filter.is_none() {
        growth(&options)?;
        parts.push(("memory", memory(&options)?));
    }
    anyhow::ensure!(!parts.is_empty(), "no row has this in its name");
    for (name, content) in &parts {
        println!("{content}");
        if options.write {
            docs::write(name, content)?;
        }
    }
    println!("{} rows in {} s", lines.len(), start.elapsed().as_secs());
    Ok(())
}

/// A bar where there is a terminal, else a line for each step.
struct Progress(ProgressBar);

impl Progress {
    fn new(steps: u64) -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{elapsed:>4} {bar:30} {pos}/{len} {msg}")?;
        Ok(Self(ProgressBar::new(steps).with_style(style)))
    }

    /// Another step begins.
    fn step(&self, name: String) {
        if self.0.is_hidden() {
            eprintln!("{name}");
        }
        self.0.inc(1);
        self.0.set_message(name);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn speed(options: &Options) -> anyhow::Result<Vec<report::Line>> {
    let plans: Vec<_> = rows::all(options).into_iter().filter(|plan| options.wants(&plan.work)).collect();
    let progress = Progress::new(plans.len() as u64)?;
    let mut lines = Vec::new();
    for plan in plans {
        progress.step(plan.work.clone());
        let row = (plan.build)();
        let named: Vec<_> = row.rivals.iter().map(Named::from).collect();
        let rivals = named.into_iter().zip(measure(row, options.effort())).collect();
        lines.push(report::Line { work: plan.work, rivals });
    }
    Ok(lines)
}

fn missed(options: &Options) -> anyhow::Result<String> {
    let missed = rows::missed(options).into_iter().map(|(name, percent)| [name.to_owned(), format!("{percent:.1} %")]);
    let head = ["cache", "missed duplicates"].map(str::to_owned);
    Ok(aligned(&[head].into_iter().chain(missed).collect::<Vec<_>>()))
}

/// Runs the program that counts what is allocated.
fn counted(args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_memory")).args(args).output().context("cannot count allocations")?;
    anyhow::ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Where a key's state is found by its hash, and where a call waits, nothing may be allocated.
const WITHOUT: [&str; 6] =
    ["keyed check", "dedup check", "breaker", "retry", "correlator, one task, own", "trimmed mean"];

fn allocations(_: &Options) -> anyhow::Result<String> {
    let mut rows = vec![["work", "ours", "beside", "theirs"].map(str::to_owned)];
    let (text, mut ours, mut shown) = (counted(&["allocations"])?, String::new(), "");
    for line in text.lines() {
        let [work, name, count] = line.split('\t').collect::<Vec<_>>()[..] else { anyhow::bail!("what is {line:?}?") };
        let count = format!("{:.2}", count.parse::<f64>()?);
        if name.is_empty() {
            let may_allocate = !WITHOUT.iter().any(|kind| work.starts_with(kind));
            anyhow::ensure!(may_allocate || count == "0.00", "{work}: ours allocates {count} times");
            ours = count;
        } else if count != "0.00" || ours != "0.00" {
            let [first, ours] = if shown == work { ["", ""] } else { [work, &ours] };
            rows.push([first.to_owned(), ours.to_owned(), name.to_owned(), count]);
            shown = work;
        }
    }
    Ok(aligned(&rows))
}

/// Draws the curves over the number of keys.
fn growth(options: &Options) -> anyhow::Result<()> {
    let progress = Progress::new(curves::steps(options))?;
    for curves in curves::all(options, |name| progress.step(name)) {
        let captions = ["from one thread", "from two threads"].map(str::to_owned);
        let charts = captions.into_iter().zip(curves.panels).collect();
        save(options, curves.file, &Picture { title: curves.title.to_owned(), unit: "ns an operation", charts })?;
    }
    Ok(())
}

/// Draws the memory of a key, and tells it for the most keys.
fn memory(options: &Options) -> anyhow::Result<String> {
    let sizes = curves::sizes(options);
    let progress = Progress::new(HOLDERS.len() as u64)?;
    let (mut charts, mut rows) = (Vec::<(String, Vec<Line>)>::new(), Vec::new());
    for (index, holder) in HOLDERS.iter().enumerate() {
        progress.step(format!("{}: {}", holder.kind, holder.name));
        let mut points = Vec::new();
        for keys in sizes.iter().filter(|keys| **keys <= holder.most) {
            let bytes = counted(&["bytes", &index.to_string(), &keys.to_string()])?.trim().parse()?;
            points.push((*keys, bytes));
        }
        let at =
            |wanted| points.iter().find(|(keys, _)| *keys == wanted).map_or("".to_owned(), |at| format!("{:.0}", at.1));
        let is_first = charts.last().is_none_or(|(kind, _)| kind != holder.kind);
        let kind = if is_first { holder.kind } else { "" };
        rows.push([kind.to_owned(), holder.name.to_owned(), at(1_000), at(1_000_000), at(10_000_000)]);
        if is_first {
            charts.push((holder.kind.to_owned(), Vec::new()));
        }
        let line = Line { name: holder.name, points };
        charts.last_mut().into_iter().for_each(|(_, lines)| lines.push(line.clone()));
    }
    save(options, "memory", &Picture { title: "Memory of a key".to_owned(), unit: "bytes a key", charts })?;
    let head = ["bytes a key", "", "of 1 k", "of 1 M", "of 10 M"].map(str::to_owned);
    Ok(aligned(&[head].into_iter().chain(rows).collect::<Vec<_>>()))
}

/// A picture for the README, unless nobody is to read it.
fn save(options: &Options, name: &str, picture: &Picture) -> anyhow::Result<()> {
    let svg = plot::draw(picture)?;
    let folder = if options.is_quick { std::env::temp_dir() } else { docs::folder().join("plots") };
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.svg"));
    fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
    if !options.is_quick {
        println!("{}", path.display());
    }
    Ok(())
}
