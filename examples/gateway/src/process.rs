//! The gateway as a process of the story.

use std::{
    env,
    error::Error,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// A folder that goes with the story.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> std::io::Result<Self> {
        let folder = env::temp_dir().join(format!("steadfast-gateway-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// It ends with the story, whatever happens.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) address: SocketAddr,
}

impl Process {
    pub(crate) async fn start(settings: &Path) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut command = Command::new(env::current_exe()?);
        let mut child = command
            .arg("serve")
            .arg(settings)
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("it has no output")?).lines();
        let line = lines.next_line().await?.ok_or("the gateway did not start")?;
        let address = line.strip_prefix("gateway on ").ok_or_else(|| line.clone())?.parse()?;
        Ok(Self { child, lines, address })
    }

    /// Sends a signal, by its name.
    async fn signal(&self, signal: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        let id = self.child.id().ok_or("the gateway has ended")?.to_string();
        let status = Command::new("kill").args([signal, &id]).status().await?;
        if status.success() { Ok(()) } else { Err(format!("kill {signal}: {status}").into()) }
    }

    /// Tells it to read its settings anew, and says what it makes of them.
    pub(crate) async fn reload(&mut self) -> Result<String, Box<dyn Error + Send + Sync>> {
        self.signal("-HUP").await?;
        let mut said = String::new();
        while !said.contains("settings stay") && !said.contains("settings read") {
            said.push_str(&self.lines.next_line().await?.ok_or("the gateway has ended")?);
            said.push('\n');
        }
        Ok(said)
    }

    /// Tells it to end.
    pub(crate) async fn terminate(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.signal("-TERM").await
    }

    /// True if it has ended by itself and says that all is well.
    pub(crate) async fn wait(&mut self) -> Result<bool, Box<dyn Error + Send + Sync>> {
        Ok(self.child.wait().await?.success())
    }
}
