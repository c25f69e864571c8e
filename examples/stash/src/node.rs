//! A peer that keeps others' files: a confidant with a socket and a folder.

mod announcer;
mod keeper;

use std::{
    fmt,
    io::{self, ErrorKind},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use stash_protocol::{
    Body, Capacity, ConfidantStats, Holding, Identity, Name, PeerId, Reply,
    wire::{self, MAX_DATAGRAM, Verified},
};
use steadfast::{BatchQueueStats, DedupStats, Logger, RateLimiterStats, SystemTimer, Timer};
use tokio::{
    select,
    sync::Notify,
    task::{JoinHandle, spawn_blocking},
    time::{Duration, sleep},
};

use self::{announcer::Announcer, keeper::Keeper};
use crate::{
    NO_NAME,
    disk::Disk,
    link::{Link, LinkStats, PeerAddress},
    seed,
};

/// What a [`Node`] is to be.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// What it calls itself: 1 to 32 bytes, no control characters.
    pub name: String,
    /// Where it listens; port 0 for a free one.
    pub listen: SocketAddr,
    /// Where it keeps its key and the others' files.
    pub folder: PathBuf,
    /// From how many owners it takes files.
    pub capacity: Capacity,
    /// Whom it tells what it keeps.
    pub peers: Vec<PeerAddress>,
    /// What it reports to, as service `stash`.
    pub logger: Logger,
}

/// A peer that serves for as long as this lives.
///
/// What it has acknowledged is on its disk. Dropping it is as sudden as a power cut; [`stop`](Self::stop) is polite.
#[derive(Debug)]
pub struct Node {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its key, which is the same after a restart from the same folder.
    pub id: PeerId,
    link: Arc<Link>,
    keeper: Arc<Keeper>,
    announcer: Arc<Announcer>,
    stopping: Arc<Notify>,
    serving: JoinHandle<()>,
    repeating: JoinHandle<()>,
}

/// What a [`Node`] did since its start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NodeStats {
    /// Messages, by what became of them.
    pub confidant: ConfidantStats,
    /// Ids of messages: each is handled once.
    pub dedup: DedupStats,
    /// Recoveries of those whose files are kept here, and of all others.
    pub limits: [RateLimiterStats; 2],
    /// How many owners have a place here.
    pub owners: usize,
    /// Datagrams, and questions to other peers.
    pub link: LinkStats,
    /// What the others were told is kept here.
    pub announcements: BatchQueueStats,
}

impl Node {
    /// Opens the folder, adopts what was committed there, and serves.
    ///
    /// # Errors
    ///
    /// If the name is none, the folder or the address cannot be used, or more is kept in the folder than the capacity
    /// allows. The error says which.
    pub async fn start(config: NodeConfig) -> io::Result<Self> {
        let NodeConfig { name, listen, folder, capacity, peers, logger } = config;
        let no_name = || io::Error::new(ErrorKind::InvalidInput, NO_NAME);
        let valid_name = Name::new(&name).ok_or_else(no_name)?;
        let at = |place: &dyn fmt::Display, error: io::Error| io::Error::new(error.kind(), format!("{place}: {error}"));
        let in_folder = |error| at(&folder.display(), error);
        let (disk, found) = Disk::open(&folder).map_err(in_folder)?;
        let (seed, _) = seed::read_or_make(&folder.join("key"))?;
        let keeper = Arc::new(Keeper::new(valid_name, capacity, disk, &found, &logger).map_err(in_folder)?);

        let identity = Identity::from_seed(&seed);
        let id = identity.id();
        let link = Arc::new(Link::bind(listen, identity, &name).await.map_err(|error| at(&listen, error))?);
        let addr = link.address()?;
        let announcer = Arc::new(Announcer::new(link.clone(), peers)?);
        let stopping = Arc::new(Notify::new());
        let server = Server { link: link.clone(), keeper: keeper.clone(), announcer: announcer.clone() };
        let serving = tokio::spawn(server.run(stopping.clone()));
        let repeating = tokio::spawn(repeat(keeper.clone(), announcer.clone()));
        Ok(Self { addr, id, link, keeper, announcer, stopping, serving, repeating })
    }

    /// Names the peers that are told what is kept here, from now on, and tells them at once.
    pub fn introduce(&self, peers: Vec<PeerAddress>) {
        self.announcer.set_peers(peers);
    }

    /// Tells the peers what they have not heard yet, and ends; the folder and the address are free then. Gives what it did.
    pub async fn stop(mut self) -> NodeStats {
        self.repeating.abort();
        self.announcer.stop().await;
        self.stopping.notify_one();
        let _ = (&mut self.serving).await;
        self.stats()
    }

    /// The version that is kept for `owner`.
    #[must_use]
    pub fn held(&self, owner: &PeerId) -> Option<u64> {
        self.keeper.held(owner)
    }

    /// What it did so far.
    #[must_use]
    pub fn stats(&self) -> NodeStats {
        let (link, announcements) = (self.link.stats(), self.announcer.stats());
        NodeStats { link, announcements, ..self.keeper.stats() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.serving.abort();
        self.repeating.abort();
    }
}

/// Tells the peers again and again what is kept here: a datagram may be lost, and a peer forgets when it restarts.
async fn repeat(keeper: Arc<Keeper>, announcer: Arc<Announcer>) {
    const EVERY: Duration = Duration::from_secs(60);
    loop {
        announcer.tell_all(keeper.holdings()).await;
        select! {
            () = sleep(EVERY) => {}
            () = announcer.introduced() => {}
        }
    }
}

/// What reads the socket.
struct Server {
    link: Arc<Link>,
    keeper: Arc<Keeper>,
    announcer: Arc<Announcer>,
}

impl Server {
    async fn run(self, stopping: Arc<Notify>) {
        let mut buffer = [0; MAX_DATAGRAM + 1];
        loop {
            let idle = async {
                match self.keeper.next_deadline() {
                    Some(at) => SystemTimer.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            select! {
                received = self.link.receive(&mut buffer) => match received {
                    Ok((datagram, source)) => self.take(datagram, source).await,
                    // Some systems report here that an earlier datagram reached nobody.
                    Err(_) => sleep(Duration::from_millis(1)).await,
                },
                () = idle => self.keeper.on_timeout(),
                () = stopping.notified() => return,
            }
        }
    }

    async fn take(&self, datagram: &[u8], source: SocketAddr) {
        let message = match self.link.open(datagram) {
            Ok(message) => message,
            Err(error) => return self.keeper.dropped(source, error),
        };
        if message.body.is_reply() {
            self.link.on_reply(&message, source);
            return;
        }
        let Some((reply, committed)) = self.handle(&message, datagram, source).await else { return };
        if let Some(holding) = committed {
            self.announcer.tell(holding);
        }
        self.send(reply).await;
    }

    /// A commit waits for the disk, so it goes where waiting is allowed, and takes the datagram along.
    async fn handle(
        &self,
        message: &Verified<'_>,
        datagram: &[u8],
        source: SocketAddr,
    ) -> Option<(Reply, Option<Holding>)> {
        if !matches!(message.body, Body::Commit(_)) {
            return Some(self.keeper.handle(message, source));
        }
        let (keeper, me, datagram) = (self.keeper.clone(), self.link.identity().id(), datagram.to_vec());
        let handling = spawn_blocking(move || Some(keeper.handle(&wire::open(&datagram, &me).ok()?, source)));
        handling.await.ok().flatten()
    }

    async fn send(&self, mut reply: Reply) {
        let mut buffer = [0; MAX_DATAGRAM];
        while let Some(datagram) = self.keeper.next_reply(&mut reply, self.link.identity(), &mut buffer) {
            // Whoever does not get it asks again.
            let _ = self.link.send_raw(datagram, reply.destination()).await;
        }
    }
}
