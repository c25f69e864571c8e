//! The board in QEMU.

use std::{
    io::{self, ErrorKind, Write},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    select,
    task::JoinHandle,
    time::timeout,
};

const QEMU: &str = "qemu-system-arm";

/// Where the firmware is built: beside this example.
const BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../stash-mcu/build");

/// The longest time for QEMU to begin or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running emulator. It does not outlive this.
#[derive(Debug)]
pub struct Emulator {
    qemu: Child,
    log: JoinHandle<()>,
}

impl Emulator {
    /// Checks that QEMU is here.
    ///
    /// # Errors
    ///
    /// If it is not; the error says what is missing.
    pub async fn find() -> io::Result<()> {
        let found = Command::new(QEMU).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        if found.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        let text = format!("missing: {QEMU} (on Debian: apt-get install qemu-system-arm)");
        Err(io::Error::new(ErrorKind::NotFound, text))
    }

    /// Builds the image, and tells where it is.
    ///
    /// # Errors
    ///
    /// If what the build needs is missing, or it fails; the error says which.
    pub async fn build() -> io::Result<PathBuf> {
        let mut build = Command::new("bash");
        // A second compiler must not find the libraries of the one that `cargo run` names.
        build.arg(BUILD).env_remove("LD_LIBRARY_PATH").stdin(Stdio::null()).kill_on_drop(true);
        let built = build.output().await;
        let built = built.map_err(|error| io::Error::new(error.kind(), format!("missing: bash: {error}")))?;
        if !built.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&built.stderr).trim().to_owned()));
        }
        Ok(PathBuf::from(String::from_utf8_lossy(&built.stdout).trim()))
    }

    /// Starts an image, and gives its serial line. Its log goes to standard output.
    ///
    /// # Errors
    ///
    /// If QEMU does not start; the error has what it said.
    pub async fn start(image: &Path) -> io::Result<(Self, TcpStream)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut qemu = Command::new(QEMU)
            .args(["-machine", "mps2-an386", "-cpu", "cortex-m4", "-display", "none", "-monitor", "none"])
            .args(["-semihosting-config", "enable=on,target=native", "-serial"])
            .arg(format!("tcp:{},nodelay=on", listener.local_addr()?))
            .arg("-kernel")
            .arg(image)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let log = tokio::spawn(copy(qemu.stdout.take()));
        let accepted = timeout(PATIENCE, async {
            select! {
                accepted = listener.accept() => accepted,
                _ = qemu.wait() => Err(ErrorKind::BrokenPipe.into()),
            }
        });
        match accepted.await {
            Ok(Ok((line, _))) => {
                line.set_nodelay(true)?;
                Ok((Self { qemu, log }, line))
            }
            _ => {
                let _ = qemu.start_kill();
                let mut said = String::new();
                if let Some(mut stderr) = qemu.stderr.take() {
                    let _ = timeout(PATIENCE, stderr.read_to_string(&mut said)).await;
                }
                Err(io::Error::other(format!("{QEMU} does not start: {}", said.trim())))
            }
        }
    }

    /// Ends it as a power cut would, and waits until it is gone and its log is written.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub async fn kill(mut self) -> io::Result<ExitStatus> {
        self.qemu.start_kill()?;
        let status = timeout(PATIENCE, self.qemu.wait()).await??;
        let _ = timeout(PATIENCE, self.log).await;
        Ok(status)
    }
}

async fn copy(log: Option<impl tokio::io::AsyncRead + Unpin>) {
    let Some(log) = log else { return };
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = writeln!(io::stdout(), "{line}");
    }
}
