//! Measures, and prints the tables.

use std::time::Instant;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use steadfast_bench::{
    docs,
    options::{Options, USAGE},
    report::{Line, Named, aligned, table},
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
    if options.wants("missed duplicates") {
        parts.push(("missed", missed(&options)));
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

fn speed(options: &Options) -> anyhow::Result<Vec<Line>> {
    let plans: Vec<_> = rows::all(options).into_iter().filter(|plan| options.wants(&plan.work)).collect();
    let style = ProgressStyle::with_template("{elapsed:>4} {bar:30} {pos}/{len} {msg}")?;
    let bar = ProgressBar::new(plans.len() as u64).with_style(style);
    let mut lines = Vec::new();
    for plan in plans {
        bar.set_message(plan.work.clone());
        bar.tick();
        if bar.is_hidden() {
            eprintln!("{}", plan.work); // nobody sees the bar: say at least where it is
        }
        let row = (plan.build)();
        let named = |rival: &steadfast_bench::run::Rival| Named {
            name: rival.name,
            goal: rival.goal,
            is_floor: rival.is_floor,
        };
        let rivals = row.rivals.iter().map(named).collect();
        lines.push(Line { work: plan.work, rivals, measured: measure(row, options.effort()) });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(lines)
}

fn missed(options: &Options) -> String {
    let missed = rows::missed(options).into_iter().map(|(name, percent)| [name.to_owned(), format!("{percent:.1} %")]);
    let head = ["cache", "missed duplicates"].map(str::to_owned);
    aligned(&[head].into_iter().chain(missed).collect::<Vec<_>>())
}
