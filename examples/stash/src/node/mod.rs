//! A peer that keeps others' files: a confidant with a socket and a folder.

mod announcer;
mod keeper;
mod lanes;
mod server;

use std::{
    fmt,
    io::{self, ErrorKind},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use stash_protocol::{Capacity, ConfidantStats, Identity, Name, PeerId};
use steadfast::{Logger, batch_collector::BatchQueueStats, dedup_cache::DedupStats, rate_limiter::RateLimiterStats};
use tokio::{
    select,
    sync::Notify,
    task::{JoinHandle, spawn_blocking},
    time::{Duration, sleep},
};

use self::{announcer::Announcer, keeper::Keeper, server::Server};
use crate::{
    NO_NAME,
    disk::{Disk, Trouble},
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
    keeper: Arc<Keeper<Disk>>,
    announcer: Arc<Announcer>,
    trouble: Vec<Trouble>,
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
    /// What was found in the folder and could not be served from.
    pub trouble: usize,
    /// Datagrams, and questions to other peers.
    pub link: LinkStats,
    /// What the others were told is kept here.
    pub announcements: BatchQueueStats,
}

impl Node {
    /// Opens the folder, adopts what was committed there, and serves. What is damaged there is set aside:
    /// [`trouble`](Self::trouble) tells of it.
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
        let keeper = Keeper::new(valid_name, capacity, disk, &found.stashes, &logger).map_err(in_folder)?;
        let keeper = Arc::new(keeper);

        let identity = Identity::from_seed(&seed);
        let id = identity.id();
        let link = Arc::new(Link::bind(listen, identity, &name).await.map_err(|error| at(&listen, error))?);
        let addr = link.address()?;
        let announcer = Arc::new(Announcer::new(link.clone(), peers)?);
        let stopping = Arc::new(Notify::new());
        let server = Server::new(link.clone(), keeper.clone(), announcer.clone());
        let serving = tokio::spawn(server.run(stopping.clone()));
        let repeating = tokio::spawn(repeat(keeper.clone(), announcer.clone()));
        Ok(Self { addr, id, link, keeper, announcer, trouble: found.trouble, stopping, serving, repeating })
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

    /// What was found in the folder at the start and could not be served from.
    #[must_use]
    pub fn trouble(&self) -> &[Trouble] {
        &self.trouble
    }

    /// What it did so far.
    #[must_use]
    pub fn stats(&self) -> NodeStats {
        let (link, announcements, trouble) = (self.link.stats(), self.announcer.stats(), self.trouble.len());
        NodeStats { link, announcements, trouble, ..self.keeper.stats() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.serving.abort();
        self.repeating.abort();
    }
}

/// Tells the peers again and again what is kept here: a datagram may be lost, and a peer forgets when it restarts. And
/// removes what could not be removed before.
async fn repeat(keeper: Arc<Keeper<Disk>>, announcer: Arc<Announcer>) {
    const EVERY: Duration = Duration::from_secs(60);
    loop {
        announcer.tell_all(keeper.holdings()).await;
        select! {
            () = sleep(EVERY) => {}
            () = announcer.introduced() => {}
        }
        let disk = keeper.store();
        let _ = spawn_blocking(move || disk.tidy()).await;
    }
}
