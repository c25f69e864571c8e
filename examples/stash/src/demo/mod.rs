//! The story that `stash demo` tells: six peers, bad links, an attacker, and a file that comes back.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a play with a fixed cast: whatever goes wrong in it ends the play, and nothing else"
)]

mod attacks;
mod check;
mod mallory;
mod mcu;
mod peers;
mod story;
mod summary;

use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use steadfast::Logger;

pub use self::mallory::{Flood, Mallory};
use self::{
    check::Checks,
    mcu::McuStory,
    story::Story,
    summary::{Row, grouped},
};
use crate::bad_link::LinkCounts;

/// How much alice stores if the user names no file.
const LENGTH: usize = 256 * 1_024;

/// Plays the story with this file, or with one made for it. True if every check held, and every sum.
///
/// # Errors
///
/// If there are no sockets or folders to be had.
pub async fn run(file: Option<Vec<u8>>, logger: &Logger) -> io::Result<bool> {
    let started_at = Instant::now();
    let file = file.unwrap_or_else(|| made_up(LENGTH));
    let mut checks = Checks::new(logger);
    let mut story = Story::begin(file, logger).await?;
    let recovery = story.tell(&mut checks).await?;
    let (rows, links) = story.end().await;
    logger.flush();
    summarize(&checks, &rows, links, recovery, started_at)
}

/// Plays the story with a board among the confidants, whose image this is, and as [`run`] does in everything else.
///
/// # Errors
///
/// If there are no sockets or folders to be had, the board does not start or end, or the file is longer than what it
/// takes.
pub async fn run_mcu(file: Option<Vec<u8>>, image: &Path, logger: &Logger) -> io::Result<bool> {
    let started_at = Instant::now();
    let mut checks = Checks::new(logger);
    let mut story = McuStory::begin(file, image, logger).await?;
    let recovery = story.tell(&mut checks).await?;
    let (rows, links) = story.end().await;
    logger.flush();
    summarize(&checks, &rows, links, recovery, started_at)
}

/// Tells the sums, and whether all of it went as it should.
fn summarize(
    checks: &Checks,
    rows: &[Row],
    links: LinkCounts,
    recovery: Duration,
    started_at: Instant,
) -> io::Result<bool> {
    let sums = rows.iter().filter(|row| !row.adds_up()).count();
    let mut out = io::stdout().lock();
    writeln!(out, "\nWhat each utility has counted, as a whole and in its parts:\n")?;
    for row in rows {
        writeln!(out, "{row}")?;
    }
    let LinkCounts { seen, lost, doubled, .. } = links;
    writeln!(
        out,
        "\nThe links lost {} of {} datagrams and doubled {}.",
        grouped(lost),
        grouped(seen),
        grouped(doubled)
    )?;
    writeln!(
        out,
        "{} checks, {} failed; {} sums, {sums} wrong; the recovery took {} ms, all of it {:.1} s.",
        checks.made(),
        checks.failures(),
        rows.len(),
        recovery.as_millis(),
        started_at.elapsed().as_secs_f64(),
    )?;
    Ok(checks.failures() == 0 && sums == 0)
}

/// A text in which every line differs, so that a chunk in the wrong place would show.
fn made_up(length: usize) -> Vec<u8> {
    let lines =
        (1..).flat_map(|day: u32| format!("Day {day}: the garden is {} steps wide.\n", day * day % 997).into_bytes());
    lines.take(length).collect()
}
