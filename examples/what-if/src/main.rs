//! The `what-if` command: see `what-if --help`.

mod page;

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{ArgGroup, Parser};
use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use what_if::{
    key::KeyBy,
    limit::{Limit, Per, Rate},
    log::Log,
    reader::Reader,
    report::Report,
};

/// What a rate limit would have done to the traffic of an access log
///
/// Reads the combined and common formats of nginx and Apache, JSON lines (Caddy, Traefik, nginx), logs of AWS load
/// balancers, and `time,key[,cost]` with commas, semicolons or tabs; each of them also with gzip. Nothing is sent
/// anywhere.
#[derive(Debug, Parser)]
#[command(version, group = ArgGroup::new("rate").required(true))]
struct Cli {
    /// The logs; `-` is the standard input
    #[arg(required = true)]
    logs: Vec<PathBuf>,
    /// So many requests of a client a second
    #[arg(long, value_name = "N", group = "rate", value_parser = clap::value_parser!(u32).range(1..))]
    per_second: Option<u32>,
    /// So many a minute
    #[arg(long, value_name = "N", group = "rate", value_parser = clap::value_parser!(u32).range(1..))]
    per_minute: Option<u32>,
    /// So many an hour
    #[arg(long, value_name = "N", group = "rate", value_parser = clap::value_parser!(u32).range(1..))]
    per_hour: Option<u32>,
    /// So many at once; as many as the rate by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    burst: Option<u32>,
    /// What tells clients apart: `address`, `address/24/56` (bits of IPv4 and IPv6), `user`, `path`, or the name of a
    /// header or field
    #[arg(long, value_name = "KEY", default_value = "address", value_parser = KeyBy::read)]
    key: KeyBy,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
    /// Also write the report as a page, with its pictures
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// The most requests that are read, at 16 bytes each, and 16 more where times are whole seconds
    #[arg(long, value_name = "N", default_value_t = 50_000_000)]
    most: usize,
}

impl Cli {
    fn limit(&self) -> Limit {
        let rates = [(self.per_second, Per::Second), (self.per_minute, Per::Minute), (self.per_hour, Per::Hour)];
        let given = rates.into_iter().find_map(|(count, per)| Some(Rate { count: count?, per }));
        let rate = given.unwrap_or(Rate { count: 1, per: Per::Second }); // clap wants one of them
        Limit { rate, burst: self.burst.unwrap_or(rate.count) }
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "what-if: {error}"); // there is nowhere else to say it
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), String> {
    let mut reader = Reader::new(cli.key.clone(), cli.most);
    for path in &cli.logs {
        read(path, &mut reader).map_err(|error| format!("{}: {error}", path.display()))?;
        reader.end_line(); // a file's last line may lack its end
    }
    let log = reader.finish();
    if log.at_start.is_empty() {
        return Err(nothing(&log));
    }
    let report = Report::of(&log, &cli.key, cli.limit());
    if let Some(path) = &cli.html {
        let page = page::of(&report).map_err(|error| error.to_string())?;
        fs::write(path, page).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let text = if cli.json {
        serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?
    } else {
        report.to_string()
    };
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        // Who reads it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| error.to_string()),
    }
}

/// Why there is nothing to tell of.
fn nothing(log: &Log) -> String {
    let mut text = format!("none of {} lines is a request", log.counts.lines);
    for unread in &log.counts.unread {
        text =
            format!("{text}\n  {} lines: {}; line {} is {:?}", unread.lines, unread.why, unread.first, unread.example);
    }
    text
}

/// Reads one log, with gzip or without.
fn read(path: &Path, reader: &mut Reader) -> io::Result<()> {
    if path == Path::new("-") {
        return read_any(io::stdin().lock(), reader);
    }
    let file = File::open(path)?;
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
    // Not shown where nobody looks.
    let bar =
        ProgressBar::new(file.metadata()?.len()).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let read = read_any(BufReader::with_capacity(1 << 17, bar.wrap_read(file)), reader);
    bar.finish_and_clear();
    read
}

fn read_any(mut from: impl BufRead, reader: &mut Reader) -> io::Result<()> {
    if from.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        read_plain(BufReader::with_capacity(1 << 17, MultiGzDecoder::new(from)), reader)
    } else {
        read_plain(from, reader)
    }
}

fn read_plain(mut from: impl BufRead, reader: &mut Reader) -> io::Result<()> {
    loop {
        let bytes = from.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        reader.push(bytes);
        let count = bytes.len();
        from.consume(count);
    }
}
