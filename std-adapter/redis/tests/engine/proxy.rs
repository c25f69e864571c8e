//! Between a client and an engine: it swallows replies, cuts connections, and can lead to another engine.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU16, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[derive(Clone)]
pub(crate) struct Proxy(Arc<State>);

struct State {
    port: u16,
    target: AtomicU16,
    swallows: AtomicBool,
    cuts: AtomicBool,
}

impl Proxy {
    pub(crate) async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let proxy = Self(Arc::new(State { port, target: target.into(), swallows: false.into(), cuts: false.into() }));
        let of = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(of.clone().serve(client));
            }
        });
        proxy
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }

    /// From now on whoever connects gets to that engine.
    pub(crate) fn lead_to(&self, target: u16) {
        self.0.target.store(target, Ordering::SeqCst);
    }

    /// Commands arrive and run; replies do not.
    pub(crate) fn swallow(&self, swallows: bool) {
        self.0.swallows.store(swallows, Ordering::SeqCst);
    }

    /// The next command arrives and runs; in the place of its reply the connection ends.
    pub(crate) fn cut_once(&self) {
        self.0.cuts.store(true, Ordering::SeqCst);
    }

    /// Whether that is still to come.
    pub(crate) fn cuts(&self) -> bool {
        self.0.cuts.load(Ordering::SeqCst)
    }

    async fn serve(self, client: TcpStream) {
        let Ok(engine) = TcpStream::connect(("127.0.0.1", self.0.target.load(Ordering::SeqCst))).await else { return };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_engine, mut to_engine) = engine.into_split();
        let there = async { _ = tokio::io::copy(&mut from_client, &mut to_engine).await };
        let back = async {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = from_engine.read(&mut buffer).await {
                if self.0.cuts.swap(false, Ordering::SeqCst) {
                    break;
                }
                if !self.0.swallows.load(Ordering::SeqCst) && to_client.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! { () = there => {}, () = back => {} }
    }
}
