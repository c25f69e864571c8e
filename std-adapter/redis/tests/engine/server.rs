//! A server of a test's own, on a free port, which dies with it.

use std::{
    env, fs,
    hash::{BuildHasher, RandomState},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, FromRedisValue, aio::MultiplexedConnection};

/// The engine's program: Valkey's if there is one, or else that of Redis.
pub(crate) fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let found = |name| env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found("valkey-server").or_else(|| found("redis-server"))
}

pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    settings: Vec<String>,
    folder: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start(settings: &[&str]) -> Self {
        let settings: Vec<String> = settings.iter().map(|&text| text.to_owned()).collect();
        // Another process may take a free port before the server does: then the next one.
        loop {
            let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder"));
            let child = spawn(port, &settings, &folder);
            let mut server = Self { child, port, settings: settings.clone(), folder };
            if server.is_up().await {
                return server;
            }
        }
    }

    /// Waits until it answers; false if it has ended.
    async fn is_up(&mut self) -> bool {
        loop {
            if self.child.try_wait().expect("a child").is_some() {
                return false;
            }
            if let Ok(mut connection) = self.client().get_multiplexed_async_connection().await
                && redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
            {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn client(&self) -> Client {
        client(self.port)
    }

    pub(crate) async fn connect(&self) -> MultiplexedConnection {
        connect(self.port).await
    }

    /// A command past every limiter.
    pub(crate) async fn run<T: FromRedisValue>(&self, words: &str) -> T {
        let mut words = words.split(' ');
        let mut cmd = redis::cmd(words.next().expect("a command"));
        words.for_each(|word| _ = cmd.arg(word));
        cmd.query_async(&mut self.connect().await).await.expect("an answer")
    }

    /// The engine's clock, in microseconds.
    pub(crate) async fn now(&self) -> u64 {
        let (secs, micros): (u64, u64) = self.run("TIME").await;
        secs * 1_000_000 + micros
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it ended");
    }

    pub(crate) async fn restart(&mut self) {
        self.child = spawn(self.port, &self.settings, &self.folder);
        assert!(self.is_up().await, "its port was taken");
    }

    /// `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }
}

pub(crate) fn signal(process: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status();
    assert!(status.expect("`kill`").success());
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Without a time limit of the client's own.
pub(crate) async fn connect(port: u16) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    client(port).get_multiplexed_async_connection_with_config(&config).await.expect("a connection")
}

pub(crate) fn client(port: u16) -> Client {
    Client::open(format!("redis://127.0.0.1:{port}/")).expect("an address")
}

/// Below those that connections get from the system: a client that tries to connect to a server that is gone must not get
/// the server's port for its own. A cluster's bus takes the port 10,000 above.
fn free_port() -> u16 {
    loop {
        let port = 10_000 + (RandomState::new().hash_one(0) % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn spawn(port: u16, settings: &[String], folder: &tempfile::TempDir) -> Child {
    let log = fs::File::create(folder.path().join("log")).expect("a log");
    Command::new(program().expect("looked for at the start"))
        .args(["--port", &port.to_string(), "--save", "", "--bind", "127.0.0.1", "--dir"])
        .arg(folder.path())
        .args(settings)
        .stdout(log)
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .spawn()
        .expect("the server")
}
