//! Real `stash` processes, and what the tests ask of them.
#![allow(dead_code, reason = "not every test file needs all of it")]

use std::{
    ffi::{OsStr, OsString},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use stash_protocol::PeerId;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
    time::{sleep, timeout},
};

/// Longer than anything here takes, on the slowest machine.
const FOREVER: Duration = Duration::from_secs(120);

/// A folder that goes with the test: files, seeds, and a folder for each peer.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a file of `length` bytes that do not repeat.
    pub(crate) fn file(&self, name: &str, length: usize) -> (PathBuf, Vec<u8>) {
        let mut random: u64 = 0x5eed + length as u64;
        let bytes = core::iter::repeat_with(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 56) as u8
        });
        let bytes: Vec<u8> = bytes.take(length).collect();
        std::fs::write(self.path(name), &bytes).unwrap();
        (self.path(name), bytes)
    }

    /// Gets the file of `seed` back to `out`, and asserts that it is these bytes.
    pub(crate) async fn assert_kept(&self, peers: &[SocketAddr], bytes: &[u8]) {
        let out = self.path("out");
        get(&out, &self.path("seed"), peers).await.assert_success();
        assert!(std::fs::read(out).unwrap() == bytes);
    }

    /// The names of what is in a folder of it.
    pub(crate) fn listing(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A `stash serve` process.
pub(crate) struct Peer {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    pub address: SocketAddr,
    pub id: PeerId,
}

impl Peer {
    /// Starts a peer on a free port, on the folder `name`, and waits until it serves.
    pub(crate) async fn start(place: &Place, name: &str) -> Self {
        Self::start_by(stash(), place, name, "127.0.0.1:0").await
    }

    /// The same by a command of one's own, at an address of one's own.
    pub(crate) async fn start_by(mut stash: Command, place: &Place, name: &str, listen: &str) -> Self {
        let mut child = stash
            .args(["serve", "--name", name, "--listen", listen, "--dir"])
            .arg(place.path(name))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (sender, mut lines) = mpsc::unbounded_channel();
        tokio::spawn(copy_lines(child.stdout.take().unwrap(), sender.clone()));
        tokio::spawn(copy_lines(child.stderr.take().unwrap(), sender));
        let line = timeout(FOREVER, lines.recv()).await.unwrap().unwrap_or_else(|| panic!("{name} did not start"));
        let mut words = line.split_whitespace().map(|word| word.trim_matches(','));
        let address = words.find_map(|word| word.parse().ok()).unwrap();
        let id = words.find_map(|word| word.parse().ok()).unwrap();
        Self { child, lines, address, id }
    }

    pub(crate) async fn start_all<const N: usize>(place: &Place, names: [&str; N]) -> [Self; N] {
        let mut peers = Vec::new();
        for name in names {
            peers.push(Self::start(place, name).await);
        }
        peers.try_into().ok().unwrap()
    }

    /// Ends it as a power cut would, with SIGKILL, and keeps its port silent while the result lives.
    pub(crate) async fn kill(mut self) -> UdpSocket {
        self.child.kill().await.unwrap();
        UdpSocket::bind(self.address).unwrap()
    }

    /// Waits for a line that contains `text`.
    pub(crate) async fn wait_for(&mut self, text: &str) -> String {
        loop {
            let line = timeout(FOREVER, self.lines.recv()).await.unwrap_or_else(|_| panic!("no line with {text:?}"));
            let line = line.unwrap_or_else(|| panic!("ended without a line with {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Panics if it has ended.
    pub(crate) fn assert_alive(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None);
    }
}

async fn copy_lines(from: impl AsyncRead + Unpin, to: mpsc::UnboundedSender<String>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = to.send(line);
    }
}

/// What became of a `stash` command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub success: bool,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub(crate) fn assert_success(&self) -> &Self {
        assert!(self.success, "{self:?}");
        self
    }

    /// A sensible failure: a status of its own, a word on standard error that contains `text`, and no panic.
    pub(crate) fn assert_failure(&self, text: &str) {
        assert!(!self.success && self.code.is_some_and(|code| code != 101), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        assert!(self.stderr.contains(text), "{text:?} is not in {self:?}");
    }
}

/// Runs `stash` with these arguments to its end.
pub(crate) async fn run(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ended {
    ended(stash().args(args)).await
}

/// The same by a command of one's own.
pub(crate) async fn run_by(mut stash: Command, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ended {
    ended(stash.args(args)).await
}

/// The same where no other program can be found.
pub(crate) async fn run_alone(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ended {
    ended(stash().args(args).env("PATH", "")).await
}

async fn ended(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(FOREVER, output).await.expect("it should end").unwrap();
    Ended {
        success: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) async fn put(file: &Path, seed: &Path, peers: &[SocketAddr]) -> Ended {
    run(owning("put", file, seed, peers)).await
}

pub(crate) async fn get(out: &Path, seed: &Path, peers: &[SocketAddr]) -> Ended {
    run(owning("get", out, seed, peers)).await
}

/// Starts a `put`, and lets the test watch it.
pub(crate) fn putting(file: &Path, seed: &Path, peers: &[SocketAddr]) -> Child {
    let mut command = stash();
    command.args(owning("put", file, seed, peers)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().unwrap()
}

pub(crate) fn owning(command: &str, file: &Path, seed: &Path, peers: &[SocketAddr]) -> [OsString; 6] {
    let peers = list(peers);
    [command.into(), file.into(), "--seed-file".into(), seed.into(), "--peers".into(), peers.into()]
}

/// Waits until it holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(FOREVER, wait).await.unwrap();
}

pub(crate) fn list(peers: &[SocketAddr]) -> String {
    peers.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
}

/// An address where nobody answers, for as long as the socket lives.
pub(crate) fn silent() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

pub(crate) fn stash() -> Command {
    Command::new(env!("CARGO_BIN_EXE_stash"))
}

/// The command where no file may have more than so many blocks of 512 bytes.
pub(crate) fn stash_with_blocks(blocks: u32) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -f {blocks} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_stash")]);
    shell
}
