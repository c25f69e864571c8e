//! "I keep these": what other peers are told, many in one datagram.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use stash_protocol::{Body, Holding};
use steadfast::{
    BatchCollector,
    batch_collector::{Batch, BatchQueueStats},
    runtime::{Lock, Mutex},
};
use tokio::{sync::Notify, task::JoinSet};

use crate::link::{Link, PeerAddress};

/// As many as one datagram takes.
const BATCH: usize = 16;

/// The longest time that news wait for more.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// After how much quiet they wait no longer.
const QUIET: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Announcer {
    me: SocketAddr,
    collector: BatchCollector<Holding>,
    peers: Arc<Mutex<Arc<[PeerAddress]>>>,
    introduced: Notify,
}

/// No peer could be told.
#[derive(Debug)]
struct Unheard;

impl Announcer {
    pub(super) fn new(link: Arc<Link>, peers: Vec<PeerAddress>) -> io::Result<Self> {
        let me = link.address()?;
        let peers = Arc::new(Mutex::new(others(peers, me)));
        let told = peers.clone();
        let flush = move |batch: Batch<Holding>| send(link.clone(), told.with(|peers| Arc::clone(peers)), batch);
        let collector = BatchCollector::builder(BATCH, MAX_WAIT).idle_gap(QUIET).build(flush)?;
        Ok(Self { me, collector, peers, introduced: Notify::new() })
    }

    /// Tells one; if too much is to be told already, it is told with all the rest later.
    pub(super) fn tell(&self, holding: Holding) {
        if !self.is_alone() {
            let _ = self.collector.try_add(holding);
        }
    }

    pub(super) async fn tell_all(&self, holdings: Vec<Holding>) {
        if self.is_alone() {
            return;
        }
        for holding in holdings {
            let Ok(()) = self.collector.add(holding).await else { return };
        }
    }

    pub(super) fn set_peers(&self, peers: Vec<PeerAddress>) {
        self.peers.with(|known| *known = others(peers, self.me));
        self.introduced.notify_one();
    }

    /// Waits for new peers.
    pub(super) async fn introduced(&self) {
        self.introduced.notified().await;
    }

    /// Tells what is left, and nothing more.
    pub(super) async fn stop(&self) {
        self.collector.stop().await;
    }

    pub(super) fn stats(&self) -> BatchQueueStats {
        self.collector.stats()
    }

    fn is_alone(&self) -> bool {
        self.peers.with(|peers| peers.is_empty())
    }
}

/// A list of all peers of a network may name this one too.
fn others(peers: Vec<PeerAddress>, me: SocketAddr) -> Arc<[PeerAddress]> {
    peers.into_iter().filter(|peer| peer.address != me).collect()
}

/// Greets each peer, since a greeting brings the cookie without which it would not listen, and tells it.
async fn send(link: Arc<Link>, peers: Arc<[PeerAddress]>, batch: Batch<Holding>) -> Result<(), Unheard> {
    let body = Arc::new(Body::Holding(batch.iter().copied().take(BATCH).collect()));
    let mut told = JoinSet::new();
    for peer in peers.iter().copied() {
        let (link, body) = (link.clone(), body.clone());
        told.spawn(async move {
            let Ok(greeting) = link.greet(peer).await else { return false };
            link.tell(greeting.contact, &body).await.is_ok()
        });
    }
    if told.join_all().await.contains(&true) { Ok(()) } else { Err(Unheard) }
}
