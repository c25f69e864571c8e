//! The scenes.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use stash_protocol::{CHUNK_BYTES, Identity, PeerId, Refusal};
use steadfast::{Logger, logger::ServiceLog};
use tempfile::TempDir;
use tokio::sync::watch;

use super::{
    LENGTH, Mallory,
    check::Checks,
    peers::Peer,
    summary::{Row, Table, grouped},
};
use crate::{
    bad_link::{Faults, LinkCounts},
    link::{AskError, PeerAddress},
    node::Node,
    owner::{GetError, Owner, PutError, Recovered, Stored},
};

/// Of each link: one datagram in ten is lost, one in ten doubled.
pub(super) const FAULTS: Faults = Faults { lost: 100, doubled: 100, damaged: 0 };

/// How many confidants keep each version.
pub(super) const COPIES: usize = 3;

/// How often alice begins to recover at most: a confidant answers five requests a minute.
const TRIES: u32 = 3;

/// Files of fewer chunks are stored, and got back, too soon for some of what could happen.
const LONG: usize = 64;

pub(super) const ALICE: [u8; 32] = [0xa1; 32];
pub(super) const MALLORY: [u8; 32] = [0x66; 32];
pub(super) const SMALL_OWNERS: [(&str, [u8; 32]); 5] =
    [("gail", [0x10; 32]), ("heidi", [0x11; 32]), ("ivan", [0x12; 32]), ("judy", [0x13; 32]), ("ken", [0x14; 32])];

pub(super) const BOB: usize = 0;
const DAVE: usize = 2;
const ERIN: usize = 3;
pub(super) const FRANK: usize = 4;

/// Everybody, and what is known of them so far.
pub(super) struct Story {
    log: ServiceLog<Logger>,
    logger: Logger,
    _folder: TempDir,
    pub(super) peers: Vec<Peer>,
    pub(super) mallory: Mallory,
    pub(super) alice: PeerId,
    file: Vec<u8>,
    pub(super) table: Table,
}

impl Story {
    /// Starts the five peers.
    pub(super) async fn begin(file: Vec<u8>, logger: &Logger) -> io::Result<Self> {
        let folder = TempDir::with_prefix("stash-demo-")?;
        let mut peers = Vec::new();
        for name in ["bob", "carol", "dave", "erin", "frank"] {
            peers.push(Peer::start(name, folder.path(), FAULTS, logger).await?);
        }
        let everybody: Vec<_> = peers.iter().filter_map(|peer| peer.node().ok().map(at)).collect();
        for (peer, me) in peers.iter().zip(&everybody) {
            peer.node()?.introduce(everybody.iter().copied().filter(|other| other != me).collect());
        }
        let log = logger.service("story").prefix("🎬");
        log.info(format_args!("bob, carol, dave, erin and frank keep files; alice owns one; mallory listens"));
        Ok(Self {
            log,
            logger: logger.clone(),
            _folder: folder,
            peers,
            mallory: Mallory::new(&MALLORY).await?,
            alice: Identity::from_seed(&ALICE).id(),
            file,
            table: Table::default(),
        })
    }

    /// Plays all scenes, and tells how long the recovery took.
    pub(super) async fn tell(&mut self, checks: &mut Checks) -> io::Result<Duration> {
        let alice = self.owner("alice", ALICE).await?;
        self.store(&alice, checks).await;
        self.die_while_storing(&alice, checks).await?;
        self.fill_a_peer(&alice, checks).await?;
        self.attack(&alice, checks).await?;
        self.table.owner(&alice);
        drop(alice); // and with her all that she knew but the seed
        let recovery = self.recover(checks).await?;
        self.flood(checks).await?;
        Ok(recovery)
    }

    /// Stops everybody, and gives what they counted, and what happened on the links.
    pub(super) async fn end(mut self) -> (Vec<Row>, LinkCounts) {
        let links = self.links();
        for peer in self.peers.drain(..) {
            peer.stop(&mut self.table).await;
        }
        self.logger.flush();
        (self.table.into_rows(self.logger.stats()), links)
    }

    /// 1. Three of five keep the file, over bad links.
    async fn store(&mut self, alice: &Owner, checks: &mut Checks) {
        let draft = draft(&self.file, 2);
        self.scene(format_args!(
            "1. alice stores {} bytes with three of five peers; each link loses and doubles 10 %",
            grouped(draft.len() as u64)
        ));
        let stored = alice.put(draft, &self.addresses(), COPIES, |_, _| {}).await;
        let kept_by = stored.as_ref().map_or_else(|error| error.to_string(), names_of);
        checks.that(kept_by == "bob, carol, dave", format_args!("kept by {kept_by}"));
        let LinkCounts { lost, doubled, .. } = self.links();
        let met = lost > 0 || !self.is_long();
        checks.that(met, format_args!("though {lost} datagrams were lost and {doubled} doubled"));
    }

    /// 2. Dave dies in the middle of a store; erin takes his place, and he costs nothing from then on.
    async fn die_while_storing(&mut self, alice: &Owner, checks: &mut Checks) -> io::Result<()> {
        self.scene(format_args!("2. dave dies while alice stores the next version"));
        let addresses = self.addresses();
        let longer = draft(&self.file, 3);
        let (arrived, mut seen) = watch::channel(0);
        let store = alice.put(longer, &addresses, COPIES, move |now, _| _ = arrived.send(now));
        let chunks = longer.len().div_ceil(CHUNK_BYTES) as u64;
        let is_long = self.is_long();
        let (dave, table) = (&mut self.peers[DAVE], &mut self.table);
        let death = async {
            if is_long {
                let _ = seen.wait_for(|arrived| *arrived >= chunks).await; // a third of all copies together
            }
            dave.die(table);
        };
        let (stored, ()) = tokio::join!(store, death);
        let kept_by = stored.as_ref().map_or_else(|error| error.to_string(), names_of);
        checks.that(kept_by == "bob, carol, erin", format_args!("kept by {kept_by}"));
        let opened = alice.link().stats().breakers.opened;
        checks.that(opened > 0, "alice's breaker for dave has opened");

        self.scene(format_args!("   the next store does not wait for him"));
        let before = self.peers[DAVE].link().counts().seen;
        let started_at = Instant::now();
        let stored = alice.put(&self.file, &addresses, COPIES, |_, _| {}).await;
        let took = started_at.elapsed().as_millis();
        let kept_by = stored.as_ref().map_or_else(|error| error.to_string(), names_of);
        checks.that(
            kept_by == "bob, carol, erin",
            format_args!("{} bytes kept by {kept_by} after {took} ms", grouped(self.file.len() as u64)),
        );
        // One greeting with its retries, if the breaker let it probe whether he is back.
        let sent = self.peers[DAVE].link().counts().seen - before;
        checks.that(sent <= 10, format_args!("{sent} datagrams went to dave meanwhile"));
        Ok(())
    }

    /// 3. Frank is full.
    async fn fill_a_peer(&mut self, alice: &Owner, checks: &mut Checks) -> io::Result<()> {
        self.scene(format_args!("3. frank keeps five small owners, and has no place for a sixth"));
        let frank = [self.peers[FRANK].address()];
        let mut kept = 0;
        for (name, seed) in SMALL_OWNERS {
            let owner = self.owner(name, seed).await?;
            kept += usize::from(owner.put(name.as_bytes(), &frank, 1, |_, _| {}).await.is_ok());
            self.table.owner(&owner);
        }
        checks.that(kept == SMALL_OWNERS.len(), format_args!("frank keeps {kept} owners"));
        let (reason, refused) = match alice.put(b"a note", &frank, 1, |_, _| {}).await {
            Err(PutError::TooFew { failed, .. }) => match failed.as_slice() {
                [(_, error @ AskError::Refused(Refusal::StorageLimit))] => (error.to_string(), true),
                other => (format!("{other:?}"), false),
            },
            other => (format!("{other:?}"), false),
        };
        checks.that(refused, format_args!("and alice is {reason}"));
        Ok(())
    }

    /// 4. Alice comes back with her seed and a list of addresses, then with that of frank alone.
    async fn recover(&mut self, checks: &mut Checks) -> io::Result<Duration> {
        self.scene(format_args!(
            "4. alice restarts with nothing but her seed; dave is back with an old version, erin's disk is rotten"
        ));
        self.peers[DAVE].revive(FAULTS, &self.logger).await?;
        self.peers[ERIN].rot(&self.alice)?;
        // He is to be heard, and then not to be believed.
        let is_dave_heard = |recovered: &Recovered| !recovered.stale.is_empty();
        let (alice, recovered, took) = self.get_until(&self.addresses(), is_dave_heard).await?;
        match &recovered {
            Ok(Recovered { file, stale, damaged, .. }) => {
                let (length, took) = (grouped(file.len() as u64), took.as_millis());
                checks.that(*file == self.file, format_args!("all {length} bytes are back, after {took} ms"));
                let stale: Vec<_> = stale.iter().map(|(greeting, _)| greeting.name.as_str()).collect();
                checks
                    .that(stale == ["dave"], format_args!("the old version of {} was not believed", stale.join(", ")));
                let met = *damaged > 0 || !self.is_long();
                checks.that(met, format_args!("{damaged} damaged chunks were refused, and had from somebody else"));
            }
            Err(error) => checks.that(false, format_args!("the file is back: {error}")),
        }
        self.count(&alice, &recovered);

        self.scene(format_args!("   and again, with the address of frank alone, who keeps nothing of hers"));
        let frank = self.peers[FRANK].node()?;
        checks.soon(|| frank.stats().confidant.noted >= COPIES as u64, "frank has heard who does").await;
        let frank = at(frank);
        let (alice, recovered, _) = self.get_until(&[frank], |_| true).await?;
        checks.that(recovered.as_ref().is_ok_and(|recovered| recovered.file == self.file), "so she finds all of it");
        self.count(&alice, &recovered);
        Ok(took)
    }

    /// Alice recovers from peers at `addresses`. Over such links each question to somebody may be lost, with all its
    /// retries: she begins again until all is heard that is to be heard.
    async fn get_until(
        &mut self,
        addresses: &[PeerAddress],
        heard: impl Fn(&Recovered) -> bool,
    ) -> io::Result<(Owner, Result<Recovered, GetError>, Duration)> {
        let mut tries = 1;
        loop {
            let alice = self.owner("alice", ALICE).await?;
            let started_at = Instant::now();
            let recovered = alice.get(addresses, |_, _| {}).await;
            let took = started_at.elapsed();
            if recovered.as_ref().is_ok_and(&heard) || tries == TRIES {
                return Ok((alice, recovered, took));
            }
            self.count(&alice, &recovered);
            tries += 1;
        }
    }

    /// Adds what an owner counted who has got her file, or not.
    pub(super) fn count(&mut self, owner: &Owner, recovered: &Result<Recovered, GetError>) {
        self.table.owner(owner);
        if let Ok(recovered) = recovered {
            self.table.recovery(recovered);
        }
    }

    pub(super) fn scene(&self, text: std::fmt::Arguments<'_>) {
        self.logger.flush();
        self.log.info(text);
    }

    pub(super) async fn owner(&self, name: &str, seed: [u8; 32]) -> io::Result<Owner> {
        Owner::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &seed, name).await
    }

    /// What has happened on all links.
    fn links(&self) -> LinkCounts {
        LinkCounts::sum(self.peers.iter().map(|peer| peer.link().counts()))
    }

    /// Whether a store takes long enough for somebody to die in the middle of it.
    const fn is_long(&self) -> bool {
        self.file.len() >= LONG * CHUNK_BYTES
    }

    /// Where everybody is, behind their bad links.
    fn addresses(&self) -> Vec<PeerAddress> {
        self.peers.iter().map(Peer::address).collect()
    }
}

/// Where a peer really is.
pub(super) const fn at(node: &Node) -> PeerAddress {
    PeerAddress { address: node.addr, id: Some(node.id) }
}

/// An earlier version of a file: so many quarters of it, or of what is played with if no file is named.
fn draft(file: &[u8], quarters: usize) -> &[u8] {
    file.get(..file.len().min(LENGTH) * quarters / 4).unwrap_or_default()
}

pub(super) fn names_of(stored: &Stored) -> String {
    let mut names: Vec<_> = stored.kept_by.iter().map(|greeting| greeting.name.as_str()).collect();
    names.sort_unstable();
    names.join(", ")
}
