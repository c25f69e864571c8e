//! Counts what is allocated; a program of its own, because counting would slow down what the other one times.
//!
//! `memory bytes INDEX KEYS` prints how many bytes a key takes in the holder of this index, `memory allocations` prints for
//! every row how often each allocates in one operation.

use std::{
    alloc::System,
    time::{Duration, Instant},
};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use steadfast_bench::{memory::HOLDERS, options::Options, rows, slice::Work};

/// The longest time for one row.
const MOST: Duration = Duration::from_millis(500);

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> anyhow::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bytes", index, keys] => bytes(index.parse()?, keys.parse()?)?,
        ["allocations"] => allocations(),
        _ => anyhow::bail!("see the first lines of its source"),
    }
    Ok(())
}

fn bytes(index: usize, keys: usize) -> anyhow::Result<()> {
    let holder = HOLDERS.get(index).ok_or_else(|| anyhow::anyhow!("there is no holder {index}"))?;
    let region = Region::new(ALLOCATOR);
    let held = (holder.fill)(keys);
    let change = region.change();
    let bytes = change.bytes_allocated as i64 - change.bytes_deallocated as i64;
    println!("{}", bytes as f64 / keys as f64);
    drop(held);
    Ok(())
}

fn allocations() {
    let options = Options { is_quick: true, ..Options::default() };
    for plan in rows::all(&options) {
        let mut row = (plan.build)();
        println!("{}\t\t{}", plan.work, an_operation(&mut row.ours, row.step));
        for rival in &mut row.rivals {
            println!("{}\t{}\t{}", plan.work, rival.name, an_operation(&mut rival.work, row.step));
        }
    }
}

/// How often one operation allocates, once it has warmed up. What a slice allocates however long it is, as the thread that it
/// starts, does not count.
fn an_operation(work: &mut Work, step: u64) -> f64 {
    let mut took = || {
        let begun = Instant::now();
        work(step);
        begun.elapsed().as_nanos()
    };
    // The least of three: others have the processor too.
    let least = took().min(took()).min(took()).max(1);
    // What waits for its turn is not asked so often that it takes minutes.
    let steps = (MOST.as_nanos() / least).clamp(1, 20_000) as u64;
    let n = steps.saturating_mul(step).min(20_000).next_multiple_of(step);
    let mut allocated = |n| {
        let region = Region::new(ALLOCATOR);
        work(n);
        let change = region.change();
        (change.allocations + change.reallocations) as f64
    };
    allocated(n);
    let once = allocated(n);
    (allocated(2 * n) - once).max(0.0) / n as f64
}
