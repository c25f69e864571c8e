//! The `stash` command: see `stash --help`.

mod progress;
mod terminal;

use std::{
    fmt,
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};
use clap::{Args, Parser, Subcommand, ValueEnum};
use progress::Bar;
use stash::{
    MAX_FILE, NO_NAME,
    board::Emulator,
    demo, durable,
    link::{Greeting, PeerAddress},
    node::{Node, NodeConfig},
    owner::Owner,
    seed,
};
use stash_protocol::{Capacity, Identity, Name};
use steadfast::Logger;
use terminal::Terminal;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Peers that keep each other's sealed files
///
/// Without a command it plays the demo.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a story: six peers, bad links, an attacker, and a file that comes back
    Demo(Demo),
    /// Keep others' files, until interrupted
    ///
    /// What was acknowledged is on the disk, however this ends.
    Serve(Serve),
    /// Seal a file and have several peers keep it
    ///
    /// If the seed file is missing it is made. Keep it: whoever has it can get the file, and without it nobody can.
    Put(Put),
    /// Get back the newest file that was put with a seed
    ///
    /// A majority of the peers has to answer. The whole verified file is written, readable for its owner alone, or nothing.
    Get(Get),
}

#[derive(Args, Debug, Default)]
struct Demo {
    /// What is stored and recovered [default: a text that is made up]
    file: Option<PathBuf>,
    /// One of the confidants is a microcontroller, in QEMU
    #[arg(long)]
    mcu: bool,
}

#[derive(Args, Debug)]
struct Serve {
    /// What the peer calls itself: up to 32 bytes
    #[arg(long, value_parser = name)]
    name: String,
    /// Where it listens; port 0 for any free one
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where it keeps its key and the files [default: stash-NAME]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// From how many owners it takes files: 5, 20 or 50
    #[arg(long, value_enum, default_value = "low")]
    capacity: CapacityArg,
    /// Other peers, to be told whose files are here
    #[arg(long, value_delimiter = ',')]
    peers: Vec<PeerAddress>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CapacityArg {
    Low,
    Medium,
    High,
}

/// What an owner needs to speak with peers.
#[derive(Args, Debug)]
struct Owning {
    /// The owner's secret, as 64 hexadecimal digits
    #[arg(long, value_name = "FILE")]
    seed_file: PathBuf,
    /// The peers: ADDRESS, or KEY@ADDRESS where the key is known
    #[arg(long, required = true, value_delimiter = ',')]
    peers: Vec<PeerAddress>,
    /// What the peers' logs call the owner [default: the first digits of its key]
    #[arg(long, value_parser = name)]
    name: Option<String>,
}

#[derive(Args, Debug)]
struct Put {
    /// What to store: up to 64 MiB
    file: PathBuf,
    #[command(flatten)]
    owning: Owning,
    /// How many peers are to keep the file, at least; all of them if there are fewer
    #[arg(long, default_value_t = 3)]
    copies: usize,
}

#[derive(Args, Debug)]
struct Get {
    /// Where to write the file: it is replaced as a whole, or left as it is; `-` for standard output
    ///
    /// Devices, pipes and symbolic links are refused.
    out: PathBuf,
    #[command(flatten)]
    owning: Owning,
}

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(error) = bear_full_files() {
        return fail(&error);
    }
    let done = match Cli::parse().command.unwrap_or_else(|| Command::Demo(Demo::default())) {
        Command::Demo(args) => demo(args).await,
        Command::Serve(args) => serve(args).await,
        Command::Put(args) => put(args).await,
        Command::Get(args) => get(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &io::Error) -> ExitCode {
    complain(format_args!("{ERROR}error:{ERROR:#} {error}"));
    ExitCode::FAILURE
}

/// Where the system limits how long a file may be (`ulimit -f`), it ends who writes more. A handler, though it does nothing,
/// makes it an error of that write instead: the same as a full disk.
fn bear_full_files() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // The number of SIGXFSZ wherever there is one, but on MIPS. The handler stays for as long as the process does.
        const FILE_TOO_LONG: SignalKind = SignalKind::from_raw(if cfg!(target_arch = "mips") { 31 } else { 25 });
        drop(signal(FILE_TOO_LONG)?);
    }
    Ok(())
}

async fn demo(args: Demo) -> io::Result<()> {
    let file = args.file.as_deref().map(read).transpose()?;
    let quiet = Duration::from_millis(300);
    let logger = Logger::builder().window(quiet, Duration::from_secs(2)).build(Terminal::new())?;
    let play = async {
        if !args.mcu {
            return demo::run(file, &logger).await;
        }
        Emulator::find().await?;
        say(format_args!("building the microcontroller's image, which takes two minutes the first time"))?;
        demo::run_mcu(file, &Emulator::build().await?, &logger).await
    };
    let all_well = tokio::select! {
        played = play => played?,
        interrupted = until_interrupted() => {
            interrupted?;
            return Err(ErrorKind::Interrupted.into());
        }
    };
    if all_well { Ok(()) } else { Err(io::Error::other("not everything went as it should")) }
}

async fn serve(args: Serve) -> io::Result<()> {
    let Serve { name, listen, dir, capacity, peers } = args;
    let logger = Logger::builder().build(Terminal::new())?;
    let log = logger.service("stash").prefix("📦");
    let folder = dir.unwrap_or_else(|| PathBuf::from(format!("stash-{}", name.replace(['/', '\\'], "-"))));
    let kept_in = folder.display().to_string();
    let capacity = match capacity {
        CapacityArg::Low => Capacity::Low,
        CapacityArg::Medium => Capacity::Medium,
        CapacityArg::High => Capacity::High,
    };
    let config = NodeConfig { name: name.clone(), listen, folder, capacity, peers, logger: logger.clone() };
    let node = Node::start(config).await?;
    log.info(format_args!("{name} listens at {}, key {}, folder {kept_in}", node.addr, node.id));
    logger.flush();
    for trouble in node.trouble() {
        log.error(format_args!("cannot serve from {trouble}"));
    }
    until_interrupted().await?;
    node.stop().await;
    log.info(format_args!("{name} has stopped"));
    logger.shutdown();
    Ok(())
}

async fn until_interrupted() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminated.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

async fn put(args: Put) -> io::Result<()> {
    let Put { file: path, owning, copies } = args;
    let file = read(&path)?;
    let (seed, is_new) = seed::read_or_make(&owning.seed_file)?;
    let owner = owning.owner(&seed).await?;
    if is_new {
        let seed_file = owning.seed_file.display();
        say(format_args!("made {seed_file}: whoever has it can get the file, and without it nobody can"))?;
    }
    let (started_at, bar) = (Instant::now(), Bar::new("sealing and sending"));
    let stored = owner.put(&file, &owning.peers, copies, bar.teller()).await;
    bar.clear();
    let stored = stored.map_err(|error| in_file(&path, io::Error::other(error)))?;
    for (peer, error) in &stored.failed {
        warn(format_args!("{} {error}", peer.address));
    }
    let (names, seconds) = (names(&stored.kept_by), started_at.elapsed().as_secs_f64());
    say(format_args!("stored {} bytes as version {} with {names} in {seconds:.2} s", file.len(), stored.version))
}

async fn get(args: Get) -> io::Result<()> {
    let Get { out, owning } = args;
    let seed = seed::read(&owning.seed_file)?;
    let to_stdout = out.as_os_str() == "-";
    if !to_stdout {
        check_place(&out, &owning.seed_file).map_err(|error| in_file(&out, error))?;
    }
    let owner = owning.owner(&seed).await?;
    let (started_at, bar) = (Instant::now(), Bar::new("asking and opening"));
    let recovered = owner.get(&owning.peers, bar.teller()).await;
    bar.clear();
    let recovered = recovered.map_err(io::Error::other)?;
    for version in &recovered.broken {
        warn(format_args!("version {version} is newer, but nobody gave all of it"));
    }
    for (peer, version) in &recovered.stale {
        warn(format_args!("{} offered the older version {version}", peer.name));
    }
    for peer in &recovered.forged {
        warn(format_args!("{} offered what was not sealed with this seed", peer.name));
    }
    if recovered.damaged > 0 {
        warn(format_args!("{} chunks came damaged, and were had elsewhere", recovered.damaged));
    }
    let written = if to_stdout {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&recovered.file).and_then(|()| stdout.flush())
    } else {
        durable::replace(&out, &recovered.file)
    };
    written.map_err(|error| in_file(&out, error))?;
    let (length, version, seconds) = (recovered.file.len(), recovered.version, started_at.elapsed().as_secs_f64());
    let from = names(&recovered.kept_by);
    let text = format!("recovered {length} bytes, version {version}, from {from} in {seconds:.2} s");
    if to_stdout {
        complain(format_args!("{text}"));
        Ok(())
    } else {
        say(format_args!("{text}"))
    }
}

impl Owning {
    async fn owner(&self, seed: &[u8; 32]) -> io::Result<Owner> {
        let any = match self.peers.first() {
            Some(PeerAddress { address: SocketAddr::V6(_), .. }) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        };
        let name = self.name.clone().unwrap_or_else(|| format!("{:.8}", Identity::from_seed(seed).id()));
        Owner::bind(SocketAddr::new(any, 0), seed, &name).await
    }
}

fn name(text: &str) -> Result<String, &'static str> {
    Name::new(text).map(|name| name.to_string()).ok_or(NO_NAME)
}

/// All of a file that is not too long, even if it has no end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let read = || {
        let file = File::open(path)?;
        let mut bytes = Vec::new();
        if file.metadata()?.len() <= MAX_FILE as u64 {
            file.take((MAX_FILE as u64).saturating_add(1)).read_to_end(&mut bytes)?;
            if bytes.len() <= MAX_FILE {
                return Ok(bytes);
            }
        }
        let text = format!("too long: a file has at most {MAX_FILE} bytes");
        Err(io::Error::new(ErrorKind::FileTooLarge, text))
    };
    read().map_err(|error| in_file(path, error))
}

/// Whether a file can be written there, before anybody is asked for one. The seed is not to be lost to it.
fn check_place(out: &Path, seed_file: &Path) -> io::Result<()> {
    durable::check_replaceable(out)?;
    let is_seed = fs::canonicalize(out).is_ok_and(|out| fs::canonicalize(seed_file).is_ok_and(|seed| seed == out));
    if is_seed { Err(io::Error::new(ErrorKind::InvalidInput, "this is the seed file")) } else { Ok(()) }
}

fn in_file(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn warn(text: fmt::Arguments<'_>) {
    complain(format_args!("{WARNING}warning:{WARNING:#} {text}"));
}

/// A line on standard error; if nobody can read it, nobody does.
fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A line on standard output, which may be full as any file may be.
fn say(text: fmt::Arguments<'_>) -> io::Result<()> {
    let said = writeln!(anstream::stdout(), "{text}");
    said.map_err(|error| io::Error::new(error.kind(), format!("standard output: {error}")))
}

/// "bob, carol and dave".
fn names(peers: &[Greeting]) -> String {
    let names: Vec<_> = peers.iter().map(|peer| peer.name.as_str()).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}
