//! A gateway for HTTP and gRPC in front of two upstreams. See `README.md`.

mod audit;
mod client;
mod gateway;
mod grpc;
mod policies;
mod process;
mod settings;
mod shop;
mod story;
mod upstreams;

use std::{env, error::Error, io::Write, path::Path, process::ExitCode};

use gateway::Gateway;
use settings::Settings;
use shop::Shop;
use tokio::net::TcpListener;

const USAGE: &str = "\
usage: gateway                  starts it, with two upstreams that fail on command
       gateway serve SETTINGS   starts it alone
       gateway story            starts it as a process, and lets everything go wrong";

#[cfg(unix)]
#[tokio::main]
async fn main() -> ExitCode {
    // What happens to breakers is an event of `tracing`.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => demo(Path::new("examples/gateway/settings.toml")).await,
        ["serve", settings] => serve(Path::new(settings)).await,
        ["story"] => story::tell().await,
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("there are no SIGHUP and SIGTERM here");
    ExitCode::FAILURE
}

#[cfg(unix)]
async fn demo(file: &Path) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let settings = Settings::read(file)?;
    for (name, address) in [("orders", settings.orders), ("stock", settings.stock)] {
        drop(Shop::start(TcpListener::bind(address).await?));
        println!("{name} on {address}: curl -X POST {address}/mode/hang (or fail, stumble, mute, ok)");
    }
    println!("try: curl -i -H 'x-api-key: me' {}/stock/nuts", settings.listen);
    serve(file).await
}

/// Serves until SIGTERM or SIGINT, and reads its settings anew on SIGHUP.
#[cfg(unix)]
async fn serve(file: &Path) -> Result<bool, Box<dyn Error + Send + Sync>> {
    use tokio::signal::unix::{SignalKind, signal};

    // Before anything else: until then they end the process.
    let mut hangup = signal(SignalKind::hangup())?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let settings = Settings::read(file)?;
    let gateway = Gateway::new(&settings)?;
    let listener = TcpListener::bind(settings.listen).await?;
    say(&format!("gateway on {}", listener.local_addr()?));
    let end = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let reload = async {
        while hangup.recv().await.is_some() {
            // All of the file is read before anything changes.
            match Settings::read(file) {
                Ok(settings) => {
                    gateway.apply(&settings);
                    say("settings read anew");
                }
                Err(error) => say(&format!("{error}settings stay as they were")),
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        served = gateway.serve(listener, end) => served,
        never = reload => never,
    }
}

/// A line, at once: somebody may wait for it.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
