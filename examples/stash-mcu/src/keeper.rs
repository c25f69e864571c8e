//! The confidant, its memory, and what is said of both in the log.
//!
//! What is marked `inline(never)` takes kilobytes of stack: inlined into the task they would all be there at once.

use core::net::SocketAddr;

use heapless::String;
use stash_protocol::{
    Body, Capacity, Confidant, Identity, MemoryStore, Name, Names, Outcome, PeerId, Reply, RunSecret, Settings, log,
    serial::BoardStats,
    wire::{self, MAX_DATAGRAM},
};
use static_cell::{ConstStaticCell, StaticCell};
use steadfast_embassy::{Clock, EmbassyTimer, Instant, Logger, Shared, logger::ServiceLog};

use crate::{LOGGER, board};

/// What it calls itself.
const NAME: &str = "nina";

/// From how many owners it takes files.
const OWNERS: usize = Capacity::Low.owners();

/// How many chunks it has places for.
const CHUNKS: usize = 26;

/// How many chunks of one owner it takes: an update needs places for both versions.
pub const MAX_CHUNKS: u32 = CHUNKS as u32 / 2;

/// How many messages are remembered: an upload to the last place, twice.
const IDS: usize = 64;

type Store = MemoryStore<CHUNKS>;
type Rules = Confidant<&'static mut Store, OWNERS, IDS>;

/// A confidant in memory that is counted by the linker.
///
/// The places are in RAM, so that what it acknowledged is gone with its power. On a real board a `ChunkStore` on its
/// flash keeps the promise.
pub struct Keeper {
    identity: Identity,
    confidant: &'static mut Rules,
    /// What owners, and the last others, called themselves, for the log alone.
    names: Names<{ 2 * OWNERS }>,
    log: ServiceLog<&'static Shared<Logger<8>>>,
    dropped: u64,
    chunks_sent: u64,
}

impl Keeper {
    /// A keeper that keeps nothing yet.
    ///
    /// # Panics
    ///
    /// If it is called twice: there is one store.
    #[inline(never)]
    pub fn new(seed: &[u8; 32], secret: &RunSecret) -> Self {
        for (kind, formatter) in log::FORMATTERS {
            let _ = LOGGER.formatter("nina", kind, formatter); // there is room, and the default would say the same
        }
        Self {
            identity: Identity::from_seed(seed),
            confidant: confidant(secret),
            names: Names::new(),
            log: LOGGER.service("nina").prefix("📟"),
            dropped: 0,
            chunks_sent: 0,
        }
    }

    /// Its key.
    pub const fn id(&self) -> PeerId {
        self.identity.id()
    }

    /// Takes a datagram that came from `peer`; what is no message is counted and dropped.
    #[inline(never)]
    pub fn take(&mut self, datagram: &[u8], peer: SocketAddr) -> Option<Reply> {
        let message = match wire::open(datagram, &self.identity.id()) {
            Ok(message) => message,
            Err(error) => {
                self.dropped += 1;
                log::dropped(&self.log, peer.ip(), error);
                return None;
            }
        };
        let owner = message.from;
        if let Body::Refresh { name } = &message.body {
            self.names.learn(owner, *name, |peer| self.confidant.has_place(peer));
        }
        let before = self.confidant.held(&owner);
        let reply = self.confidant.handle(&message, peer, EmbassyTimer.now());
        log::report(&self.log, reply.outcome(), before, || self.name_of(&owner));
        Some(reply)
    }

    /// The next datagram of a reply.
    #[inline(never)]
    pub fn next_reply<'b>(&mut self, reply: &mut Reply, buffer: &'b mut [u8; MAX_DATAGRAM]) -> Option<&'b [u8]> {
        let datagram = self.confidant.next_reply(reply, &self.identity, buffer)?;
        self.chunks_sent += u64::from(matches!(reply.outcome(), Outcome::Sending { .. }));
        Some(datagram)
    }

    /// When the first idle upload loses its place.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.confidant.next_deadline()
    }

    /// Drops the uploads that have paused too long.
    pub fn on_timeout(&mut self) {
        while let Some(owner) = self.confidant.on_timeout(EmbassyTimer.now()) {
            log::give_up(&self.log, &self.name_of(&owner));
        }
    }

    /// What it has counted; the line is not its own.
    pub fn stats(&self) -> BoardStats {
        let [owners, strangers] = self.confidant.limiter_stats();
        BoardStats {
            dropped: self.dropped,
            confidant: self.confidant.stats(),
            dedup: self.confidant.dedup_stats(),
            recoveries: [owners.allowed + strangers.allowed, owners.denied + strangers.denied],
            chunks_sent: self.chunks_sent,
            log: LOGGER.stats(),
            stack: board::stack(),
            ..BoardStats::default()
        }
    }

    /// What a peer called itself, or the first digits of its key.
    fn name_of(&self, peer: &PeerId) -> String<{ Name::MAX }> {
        let known = self.names.get(peer).and_then(|name| String::try_from(name).ok());
        known.unwrap_or_else(|| heapless::format!("{peer:.8}").unwrap_or_default())
    }
}

/// Makes the one confidant, in its place.
#[inline(never)]
fn confidant(secret: &RunSecret) -> &'static mut Rules {
    static STORE: ConstStaticCell<Store> = ConstStaticCell::new(Store::new());
    static RULES: StaticCell<Rules> = StaticCell::new();
    let name = Name::new(NAME).expect("short enough");
    let settings = Settings { capacity: Capacity::Low, max_chunks: MAX_CHUNKS };
    RULES.init_with(|| Confidant::new(name, settings, STORE.take(), secret))
}
