//! The images of `tests/firmware/costs`: built, run and measured.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use indicatif::ProgressBar;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

use crate::{
    budgets::{Budgets, Call, Size},
    place,
};

const TARGET: &str = "thumbv7em-none-eabi";

/// The images that run, in the order of the table.
const RUNS: [&str; 17] = [
    "calls_rate_limiter_gcra",
    "calls_rate_limiter_sliding_log",
    "calls_cached_rate_limiter",
    "calls_dedup_cache",
    "calls_breaker_consecutive",
    "calls_breaker_call_window",
    "calls_breaker_time_window",
    "calls_breakers",
    "calls_retry",
    "calls_aggregates",
    "calls_quorum",
    "calls_batch_collector",
    "calls_correlator",
    "calls_keyed_correlator",
    "calls_logger",
    "calls_encryptor",
    "sizes",
];

/// The images that hold one part each, and what that is.
const PARTS: [(&str, &str, &str); 20] = [
    ("rate_limiter_gcra", "rate limiter, GCRA", "allow"),
    ("rate_limiter_sliding_log", "rate limiter, sliding log", "allow"),
    ("cached_rate_limiter", "cached rate limiter", "allow_or_cached, complete"),
    ("dedup_cache", "dedup cache", "check"),
    ("breaker_consecutive", "breaker, consecutive", "try_acquire, record"),
    ("breaker_call_window", "breaker, of 32 calls", "try_acquire, record"),
    ("breaker_time_window", "breaker, of 10 s", "try_acquire, record"),
    ("breakers", "breakers of 8 keys", "try_acquire, record"),
    ("retry", "retry", "start, next"),
    ("retry_budget", "retry: budget", "deposit, withdraw"),
    ("trimmed_mean", "aggregate", "trimmed_mean"),
    ("quorum", "quorum", "vote, result by trimmed_mean"),
    ("batch_collector", "batch collector", "push, on_timeout"),
    ("correlator", "correlator", "begin, resolve, take, on_timeout"),
    ("keyed_correlator", "keyed correlator", "begin, resolve, take, on_timeout"),
    ("logger", "logger", "service, record, on_timeout, a line formatted"),
    ("encryptor", "encryptor", "from_seed, seal, open"),
    ("one_of_each", "one of each utility", "GCRA, consecutive, trimmed_mean; without aead"),
    ("one_of_each_with_aead", "one of each utility", "the same with aead"),
    ("everything", "everything", "all operations above, of all kinds"),
];

/// What stands for a machine in the names of the image with a `static` of each.
const STATICS: [(&str, &str, &str); 9] = [
    ("gcra", "rate limiter, GCRA", "32 keys of 8 B"),
    ("sliding_log", "rate limiter, sliding log", "32 keys of 8 B, 5 requests"),
    ("cached", "cached rate limiter", "32 keys of 8 B, values of 4 B"),
    ("dedup_cache", "dedup cache", "64 ids of 16 B"),
    ("breaker", "breaker, consecutive", "the whole"),
    ("batch", "batch collector", "16 items of 4 B"),
    ("correlator", "correlator", "8 calls, peers of 4 B, replies of 8 B"),
    ("keyed", "keyed correlator", "8 calls, ids of 16 B, replies of 8 B"),
    ("logger", "logger", "8 groups"),
];

/// A whole program, which has these rows in its README too.
pub const STASH: &str = "`examples/stash-mcu`";

/// Measures everything, telling what it is at.
pub fn measure() -> Result<Budgets, Box<dyn Error>> {
    let folder = place("tests/firmware");
    run(Command::new(folder.join("emulate")).arg("--check"))?;
    let compiler = run(Command::new(folder.join("build")).args(["--compiler", TARGET]))?;

    let building = format!("building {} images; two minutes, the first time", RUNS.len() + PARTS.len() + 1);
    let images = during(&building, |_| build(&folder))?;
    let mut budgets = Budgets { compiler: compiler.trim().to_owned(), ..Budgets::default() };
    during("counting the instructions of every call", |bar| {
        bar.wrap_iter(RUNS.iter()).try_for_each(|image| {
            // One instruction every 2^10 ns, which the image's clock can tell apart.
            let mut emulate = Command::new(folder.join("emulate"));
            let report = run(emulate.args(["mps2-an386", "cortex-m4", "10"]).arg(images.join(image)))?;
            report.lines().try_for_each(|line| take(&mut budgets, line))
        })
    })?;
    if budgets.call.is_empty() || budgets.ram.is_empty() {
        return Err("the images told nothing".into());
    }

    let nothing = flash(&images.join("flash_nothing"))?;
    for (image, machine, part) in PARTS {
        let bytes = flash(&images.join(format!("flash_{image}")))?;
        let bytes = bytes.checked_sub(nothing).ok_or("less than nothing")?;
        budgets.flash.push(Size { machine: machine.to_owned(), part: part.to_owned(), bytes, goal: None });
    }

    let statics = fs::read(images.join("statics"))?;
    for (name, machine, what) in STATICS {
        let rows = [
            (format!("STATIC_{}", name.to_uppercase()), SectionKind::Data, format!("in a `static`: {what}")),
            (format!("at_boot_{name}"), SectionKind::Text, "made at boot instead, in a `StaticCell`".to_owned()),
        ];
        for (symbol, kind, part) in rows {
            let bytes = size_of_symbol(&statics, &symbol, kind)?;
            budgets.flash.push(Size { machine: machine.to_owned(), part, bytes, goal: None });
        }
    }

    let stash = during("building examples/stash-mcu", |_| run(&mut Command::new(place("examples/stash-mcu/build"))))?;
    let stash = Path::new(stash.trim());
    let whole = |part: &str, bytes| Size { machine: STASH.to_owned(), part: part.to_owned(), bytes, goal: None };
    budgets.flash.push(whole("all of it, ed25519 and the UART included", flash(stash)?));
    budgets.ram.push(whole("all of it but the stack, 26 chunks of 1,000 B included", ram(stash)?));
    Ok(budgets)
}

/// Builds all of them, and tells where they are.
fn build(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    // The paths in an image must not differ from machine to machine, since they are part of its flash.
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let repository = fs::canonicalize(place("."))?;
    let flags = [(home.ok_or("no home folder")?, "cargo"), (repository, "steadfast")]
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .join("\u{1f}");
    let mut build = Command::new(folder.join("build"));
    build.args([TARGET, "--profile", "costs", "-p", "costs", "--bins"]).env("CARGO_ENCODED_RUSTFLAGS", flags);
    Ok(folder.join(run(&mut build)?.trim()).join("costs"))
}

/// Does something while a bar shows that it goes on.
fn during<R>(what: &str, work: impl FnOnce(&ProgressBar) -> R) -> R {
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    if bar.is_hidden() {
        eprintln!("{what}");
    }
    let result = work(&bar);
    bar.finish_and_clear();
    result
}

/// What a command prints.
fn run(command: &mut Command) -> Result<String, Box<dyn Error>> {
    // Debian's compiler must not find the libraries of the one that runs this.
    let output = command.env_remove("LD_LIBRARY_PATH").output()?;
    let text = String::from_utf8(output.stdout)?;
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)).trim().into())
}

/// A line of the image's report.
fn take(budgets: &mut Budgets, line: &str) -> Result<(), Box<dyn Error>> {
    match line.split('\t').collect::<Vec<_>>()[..] {
        ["call", machine, operation, typical, worst, stack] => budgets.call.push(Call {
            machine: machine.to_owned(),
            operation: operation.to_owned(),
            typical: typical.parse()?,
            worst: worst.parse()?,
            stack: stack.parse()?,
            goal: None,
        }),
        ["ram", machine, part, bytes] => budgets.ram.push(Size {
            machine: machine.to_owned(),
            part: part.to_owned(),
            bytes: bytes.parse()?,
            goal: None,
        }),
        _ => return Err(format!("not a row: {line}").into()),
    }
    Ok(())
}

/// The bytes of an image that lie in flash: its code, its constants, and what its variables begin with.
fn flash(image: &Path) -> Result<u64, Box<dyn Error>> {
    sum(image, &[SectionKind::Text, SectionKind::ReadOnlyData, SectionKind::ReadOnlyString, SectionKind::Data])
}

/// The bytes of what has this name in an image, and has to lie in sections of one kind.
fn size_of_symbol(image: &[u8], name: &str, kind: SectionKind) -> Result<u64, Box<dyn Error>> {
    let file = object::File::parse(image)?;
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name)).ok_or_else(|| format!("no {name}"))?;
    let section = file.section_by_index(symbol.section_index().ok_or_else(|| format!("{name} lies nowhere"))?)?;
    if section.kind() != kind {
        return Err(format!("{name} lies in {}", section.name()?).into());
    }
    Ok(symbol.size())
}

/// The bytes of an image that lie in RAM from the start: its variables.
fn ram(image: &Path) -> Result<u64, Box<dyn Error>> {
    sum(image, &[SectionKind::Data, SectionKind::UninitializedData])
}

fn sum(image: &Path, kinds: &[SectionKind]) -> Result<u64, Box<dyn Error>> {
    let data = fs::read(image)?;
    let file = object::File::parse(&*data)?;
    let sections =
        file.sections().filter(|section| kinds.contains(&section.kind()) && section.address() < u64::from(u32::MAX));
    Ok(sections.map(|section| section.size()).sum())
}
