//! The report in words.

use std::fmt;

use super::{Client, Headline, Report, bursts};
use crate::{
    limit::{Rate, grouped},
    reader::Counts,
    sweep::{Band, Point},
};

/// Clients that a terminal is shown.
const SHOWN: usize = 10;

/// A text of a log without what controls a terminal.
#[derive(Clone, Copy, Debug)]
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            if letter.is_control()
                || ('\u{200b}'..='\u{202f}').contains(&letter)
                || ('\u{2060}'..='\u{206f}').contains(&letter)
            {
                write!(f, "{}", letter.escape_unicode())?;
            } else {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

fn number(number: impl fmt::Display) -> String {
    grouped(number, ',')
}

/// `7`, or `7 to 9` where the whole seconds make a difference.
fn range<T: Copy + Ord>(band: Band<T>, show: impl Fn(T) -> String) -> String {
    let least = show(band.spread.map_or(band.at_start, |spread| spread.min(band.at_start)));
    let most = show(band.spread.map_or(band.at_start, |spread| spread.max(band.at_start)));
    if least == most { most } else { format!("{least} to {most}") }
}

fn percent(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 * 100.0 / of as f64 }
}

/// A part of all, to a tenth of a percent, and never rounded to nothing or to all.
fn share(part: u64, of: u64) -> String {
    let percent = percent(part, of);
    match percent {
        _ if part > 0 && percent < 0.1 => String::from("< 0.1 %"),
        _ if part < of && percent > 99.9 => String::from("> 99.9 %"),
        percent => format!("{percent:.1} %"),
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        _ if seconds >= 7_200.0 => format!("{:.1} h", seconds / 3_600.0),
        _ if seconds >= 120.0 => format!("{:.1} min", seconds / 60.0),
        _ if seconds >= 1.0 => format!("{seconds:.1} s"),
        _ => format!("{:.0} ms", seconds * 1_000.0),
    }
}

/// What a limit does, in a sentence.
pub(super) fn sentence(headline: &Headline) -> String {
    let Headline { limit, read, clients, denied, longest_wait, .. } = headline;
    let (requests, clients) = (read.requests, *clients as u64);
    let denied_requests =
        Band { at_start: denied.at_start.requests, spread: denied.spread.map(|denied| denied.requests) };
    let hit = Band { at_start: denied.at_start.clients, spread: denied.spread.map(|denied| denied.clients) };
    let millis = |seconds: f64| (seconds * 1_000.0).round() as u64;
    let wait = Band { at_start: millis(longest_wait.at_start), spread: longest_wait.spread.map(millis) };
    format!(
        "{}, burst {}: {} of {} requests denied ({}), {} of {} clients hit ({}), longest wait {}.",
        limit.rate,
        number(limit.burst),
        range(denied_requests, number),
        number(requests),
        range(denied_requests, |part| share(part, requests)),
        range(hit, number),
        number(clients),
        range(hit, |part| share(part, clients)),
        range(wait, |millis| duration(millis as f64 / 1_000.0)),
    )
}

/// What was not read, and what a log cannot tell.
pub(super) fn notes(read: &Counts) -> Vec<String> {
    let mut notes = Vec::new();
    for unread in &read.unread {
        let lines = if unread.lines == 1 { "line was" } else { "lines were" };
        notes.push(format!(
            "{} {lines} not read: {}. The first is line {}: {}",
            number(unread.lines),
            unread.why,
            number(unread.first),
            Plain(&unread.example),
        ));
    }
    if read.beyond > 0 {
        notes.push(format!("{} lines were not read: they are beyond the most that fit.", number(read.beyond)));
    }
    if read.whole_seconds > 0 {
        notes.push(format!(
            "{} of {} times are whole seconds. So there are two numbers: one with the requests of a client spread evenly \
             over each second, one with all of them at its start. The truth is most likely between them; bursts across \
             the edge of a second can lie above.",
            number(read.whole_seconds),
            number(read.requests),
        ));
    }
    if read.out_of_order > 0 {
        let count = number(read.out_of_order);
        notes.push(format!("{count} requests stood behind a later one; they were put in order of time."));
    }
    if read.limited_already > 0 {
        let count = number(read.limited_already);
        notes.push(format!("{count} requests were answered with 429: another limit denied them already."));
    }
    notes.push(String::from(
        "A log cannot tell what a client does that is denied. Here nobody comes again, beyond what is in the log.",
    ));
    notes
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, cells: impl Iterator<Item = String>) -> fmt::Result {
    write!(f, "  {name:<16}")?;
    cells.into_iter().try_for_each(|cell| write!(f, "{cell:>22}"))?;
    writeln!(f)
}

/// All of it, for a terminal.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { headline, least, tables, .. } = self;
        let limit = headline.limit;
        writeln!(f, "{}", headline.sentence)?;
        writeln!(f, "From {} to {} UTC.", headline.first, headline.last)?;
        for note in &headline.notes {
            writeln!(f, "- {note}")?;
        }

        let requests = headline.read.requests;
        let clients = headline.clients as u64;
        writeln!(f, "\nOther limits: requests denied, clients hit")?;
        let bursts = bursts(limit.burst);
        row(f, "", bursts.iter().map(|burst| format!("burst {}", number(burst))))?;
        let mut rates: Vec<_> = self.sweep.iter().map(|point| (point.per_second, point.limit.rate)).collect();
        rates.sort_by(|one, other| one.0.total_cmp(&other.0));
        rates.dedup_by_key(|(_, rate)| *rate);
        for (per_second, rate) in rates {
            let cell = |burst: &u32| {
                // A sweep of a burst ends where nothing changes any more.
                let slower = |point: &&Point| point.limit.burst == *burst && point.per_second <= per_second;
                self.sweep.iter().rfind(slower).map_or_else(String::new, |point| {
                    let denied = point.denied.at_start;
                    format!("{}, {}", share(denied.requests, requests), share(denied.clients, clients))
                })
            };
            row(f, &rate.to_string(), bursts.iter().map(cell))?;
        }
        if headline.denied.spread.is_some() {
            writeln!(f, "  (with the requests of a whole second at its start)")?;
        }

        writeln!(f, "\nThe least that hits at most {} of {} clients", number(least.may_be_hit), number(clients))?;
        // No rate is more than any.
        let number_or_none = |found: Option<u32>| found.unwrap_or(u32::MAX);
        let rate = |found: Option<Rate>| number_or_none(found.map(|rate| rate.count));
        let rate = Band { at_start: rate(least.rate.at_start), spread: least.rate.spread.map(rate) };
        let rate = range(rate, |count| match count {
            u32::MAX => String::from("no rate"),
            count => Rate { count, ..limit.rate }.to_string(),
        });
        writeln!(f, "  with a burst of {}: {rate}", number(limit.burst))?;
        let burst =
            Band { at_start: number_or_none(least.burst.at_start), spread: least.burst.spread.map(number_or_none) };
        let burst = range(burst, |burst| if burst == u32::MAX { String::from("none") } else { number(burst) });
        writeln!(f, "  with {}: a burst of {burst}", limit.rate)?;
        if least.may_be_less {
            writeln!(f, "  (requests have costs: a larger limit may deny more then)")?;
        }

        if !headline.hit.is_empty() {
            writeln!(f, "\nWho is hit, and what each would have needed")?;
            let heads = ["requests", "denied", "longest wait", "burst", "or rate"];
            write!(f, "  {:<40}", "client")?;
            heads.iter().try_for_each(|head| write!(f, "{head:>16}"))?;
            writeln!(f)?;
            headline.hit.iter().take(SHOWN).try_for_each(|client| client_row(f, client))?;
            let more = headline.denied.at_start.clients.saturating_sub(SHOWN as u64);
            if more > 0 {
                writeln!(f, "  and {} more", number(more))?;
            }
        }

        if let Some(log) = headline.sliding_log {
            let denied = Band {
                at_start: log.denied.at_start.requests,
                spread: log.denied.spread.map(|denied| denied.requests),
            };
            let window = duration(log.window);
            writeln!(f, "\nA sliding log of {} in {window} would deny {}", number(log.max), range(denied, number))?;
        }
        writeln!(f, "\nKeys in use at once: {}", range(tables.most_in_use, number))?;
        for full in &tables.full {
            writeln!(
                f,
                "  with room for {}: {} denied ({} wrongly), {} evicted, {} without an entry",
                number(full.capacity),
                number(full.denied),
                number(full.wrongly),
                number(full.evicted),
                number(full.overflowed),
            )?;
        }
        writeln!(f, "\n{}\n\n{}", self.rust(), self.settings())
    }
}

fn client_row(f: &mut fmt::Formatter<'_>, client: &Client) -> fmt::Result {
    let needed = |needed: Option<u32>| needed.map_or_else(|| String::from("none"), number);
    let denied = format!("{} ({})", number(client.denied), share(client.denied, client.requests));
    let wait = duration(client.longest_wait);
    let cells = [number(client.requests), denied, wait, needed(client.burst), needed(client.rate)];
    write!(f, "  {:<40}", Plain(&client.key).to_string())?;
    cells.iter().try_for_each(|cell| write!(f, "{cell:>16}"))?;
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_words() {
        assert_eq!(range(Band { at_start: 7, spread: None }, number), "7");
        assert_eq!(range(Band { at_start: 9_000, spread: Some(7) }, number), "7 to 9,000");
        assert_eq!(range(Band { at_start: 7, spread: Some(7) }, number), "7");
        assert_eq!(range(Band { at_start: 580, spread: Some(581) }, |part| share(part, 10_000)), "5.8 %");
        let shares = [(0, 9), (1, 9_999), (553, 3_116), (9_999, 10_000), (9, 9), (0, 0)];
        assert_eq!(
            shares.map(|(part, of)| share(part, of)),
            ["0.0 %", "< 0.1 %", "17.7 %", "> 99.9 %", "100.0 %", "0.0 %"]
        );
        assert_eq!([0.25, 1.5, 150.0, 9_000.0].map(duration), ["250 ms", "1.5 s", "2.5 min", "2.5 h"]);
    }

    #[test]
    fn no_log_controls_a_terminal() {
        assert_eq!(Plain("a\u{1b}[2Jé\n\u{202e}").to_string(), "a\\u{1b}[2Jé\\u{a}\\u{202e}");
    }
}
