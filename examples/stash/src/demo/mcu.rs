//! The story with a microcontroller among the confidants: nina, whom a bridge lends her address.

use std::{
    io::{self, ErrorKind},
    path::Path,
    time::{Duration, Instant},
};

use stash_protocol::{
    CHUNK_BYTES, Identity, PeerId,
    serial::{self, BoardStats, Frame, MAX_FRAME},
};
use steadfast::{Logger, logger::ServiceLog};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::{
    Mallory,
    check::Checks,
    made_up,
    peers::Peer,
    story::{ALICE, COPIES, FAULTS, MALLORY, at, names_of},
    summary::{Row, Table, grouped},
};
use crate::{
    bad_link::{BadLink, Faults, LinkCounts},
    board::{Bridge, Emulator},
    link::PeerAddress,
    owner::{GetError, Owner, Recovered},
    seed::random,
};

/// How many requests a flood has, and how many of them are answered.
const FLOOD: u64 = 8;
const A_MINUTE: u64 = 5;

/// How long to wait for what has to come, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everybody, and what is known of them so far.
pub(super) struct McuStory {
    log: ServiceLog<Logger>,
    logger: Logger,
    _folder: TempDir,
    /// Bob, carol and dave.
    peers: Vec<Peer>,
    bridge: Bridge,
    emulator: Option<Emulator>,
    /// Between the others and the bridge.
    link: BadLink,
    mallory: Mallory,
    alice: PeerId,
    file: Vec<u8>,
    table: Table,
}

impl McuStory {
    /// Starts the board and three other peers.
    pub(super) async fn begin(file: Option<Vec<u8>>, image: &Path, logger: &Logger) -> io::Result<Self> {
        let (emulator, line) = Emulator::start(image).await?;
        let (reader, writer) = line.into_split();
        let bridge = Bridge::start(reader, writer, random()?).await?;
        let link = BadLink::open(bridge.addr, FAULTS, 0x6e69_6e61).await?;

        let most = bridge.max_chunks as usize * CHUNK_BYTES;
        let file = file.unwrap_or_else(|| made_up(most));
        if file.len() > most {
            let text = format!("too long: the microcontroller takes a file of at most {most} bytes");
            return Err(io::Error::new(ErrorKind::FileTooLarge, text));
        }
        let folder = TempDir::with_prefix("stash-demo-")?;
        let mut peers = Vec::new();
        for name in ["bob", "carol", "dave"] {
            peers.push(Peer::start(name, folder.path(), FAULTS, logger).await?);
        }
        let everybody: Vec<_> = peers.iter().filter_map(|peer| peer.node().ok().map(at)).collect();
        for peer in &peers {
            peer.node()?.introduce(everybody.clone());
        }
        let log = logger.service("story").prefix("🎬");
        log.info(format_args!("nina is a Cortex-M4 with a UART, key {:.8}; bob, carol and dave have disks", bridge.id));
        Ok(Self {
            log,
            logger: logger.clone(),
            _folder: folder,
            peers,
            bridge,
            emulator: Some(emulator),
            link,
            mallory: Mallory::new(&MALLORY).await?,
            alice: Identity::from_seed(&ALICE).id(),
            file,
            table: Table::default(),
        })
    }

    /// Plays all scenes, and tells how long the recovery from the board took.
    pub(super) async fn tell(&mut self, checks: &mut Checks) -> io::Result<Duration> {
        let alice = self.owner("alice").await?;
        self.store(&alice, checks).await?;
        self.disturb(checks).await?;
        let recovery = self.recover(checks).await?;
        self.die_while_storing(&alice, checks).await?;
        self.table.owner(&alice);
        drop(alice);
        self.recover_without_her(checks).await?;
        Ok(recovery)
    }

    /// Stops everybody, and gives what they counted, and what happened on the links.
    pub(super) async fn end(mut self) -> (Vec<Row>, LinkCounts) {
        let links = LinkCounts::sum(self.peers.iter().map(Peer::link).chain([&self.link]).map(BadLink::counts));
        for peer in self.peers.drain(..) {
            peer.stop(&mut self.table).await;
        }
        self.logger.flush();
        (self.table.into_rows(self.logger.stats()), links)
    }

    /// 1. The board is one of the three that keep the file, first an older version of it, over bad links.
    async fn store(&mut self, alice: &Owner, checks: &mut Checks) -> io::Result<()> {
        let draft = self.file.get(..self.file.len() * 3 / 4).unwrap_or_default();
        self.scene(format_args!(
            "1. alice stores a draft of {} bytes with three of four peers; each link loses and doubles 10 %",
            grouped(draft.len() as u64)
        ));
        self.check_store(alice, draft, "bob, carol, nina", checks).await;
        self.scene(format_args!(
            "   and then all {} bytes, in the place of the draft",
            grouped(self.file.len() as u64)
        ));
        self.check_store(alice, &self.file, "bob, carol, nina", checks).await;
        let BoardStats { confidant, line, .. } = self.bridge.counts().await?;
        let chunks = (draft.len().div_ceil(CHUNK_BYTES).max(1) + self.chunks()) as u64;
        let all = confidant.stored >= chunks && confidant.committed >= 2;
        checks.that(all, format_args!("nina has stored {} chunks and committed both versions", confidant.stored));
        checks.that(line.damaged + line.too_long == 0, format_args!("of {} frames to her, none was lost", line.frames));
        Ok(())
    }

    /// 2. Noise on the line, and hostile datagrams over it.
    async fn disturb(&mut self, checks: &mut Checks) -> io::Result<()> {
        self.scene(format_args!("2. noise on nina's line, and mallory"));
        let before = self.bridge.counts().await?;
        let mut line = before.line;
        for noise in noise(self.bridge.id) {
            self.bridge.noise(noise).await?;
            line = self.bridge.counts().await?.line; // the question is a frame right behind the noise
        }
        let (damaged, too_long) = (line.damaged - before.line.damaged, line.too_long - before.line.too_long);
        checks.that(
            (damaged, too_long) == (3, 1),
            format_args!("{damaged} frames torn, damaged or made up and {too_long} endless one are dropped, and each next one is understood"),
        );

        let heard = self.link.overheard();
        let heard = heard.get(..heard.len().min(4)).unwrap_or_default();
        let seen = self.bridge.stats();
        let sent = self.mallory.garbage(heard, self.bridge.addr).await?;
        let by_her = |now: &BoardStats| now.dropped - before.dropped;
        let on_the_way = || {
            let now = self.bridge.stats();
            now.crowded - seen.crowded + now.too_long - seen.too_long
        };
        let (held, now) = self.counts_until(|now| by_her(now) > 0 && by_her(now) + on_the_way() >= sent).await?;
        let text = format_args!("hostile datagrams: {} dropped by nina, {} on the way", by_her(&now), on_the_way());
        checks.that(held, text);

        self.mallory.store_as(self.alice, u64::MAX, self.bridge.addr).await?;
        let dropped = now.dropped;
        let (held, now) = self.counts_until(|now| now.dropped > dropped).await?;
        let held = held && now.confidant.stored == before.confidant.stored;
        checks.that(held, "a store in alice's name is dropped: not her signature");

        let flood = self.mallory.flood(FLOOD, self.bridge.addr).await?;
        let limited = flood.answered == A_MINUTE && flood.limited == FLOOD - A_MINUTE;
        checks.that(limited, format_args!("of mallory's {FLOOD} requests, {} were answered", flood.answered));
        self.table.flood(flood);
        Ok(())
    }

    /// 3. The disks of the other two have rotted: every chunk has to come from the board.
    async fn recover(&mut self, checks: &mut Checks) -> io::Result<Duration> {
        self.scene(format_args!("3. alice restarts with nothing but her seed; the disks of bob and carol are rotten"));
        for peer in self.peers.iter().take(2) {
            peer.rot(&self.alice)?;
        }
        self.link.set_faults(Faults::default());
        let before = self.bridge.counts().await?;
        let alice = self.owner("alice").await?;
        let started_at = Instant::now();
        let recovered = alice.get(&self.addresses(), |_, _| {}).await;
        let took = started_at.elapsed();
        self.check_file(&recovered, took, checks);
        self.count(&alice, &recovered);
        let sent = self.bridge.counts().await?.chunks_sent - before.chunks_sent;
        let chunks = self.chunks() as u64;
        checks.that(sent >= chunks, format_args!("nina has sent {sent} chunks, and the file has {chunks}"));
        Ok(took)
    }

    /// 4. The board loses its power in the middle of a store; dave takes its place, and it costs nothing from then on.
    async fn die_while_storing(&mut self, alice: &Owner, checks: &mut Checks) -> io::Result<()> {
        self.scene(format_args!("4. nina loses her power while alice stores the next version"));
        self.bridge.cut_after(1 + self.chunks() as u64 / 2); // a greeting, and half of the chunks at most
        let emulator = self.emulator.take().ok_or(ErrorKind::NotFound)?;
        let death = async {
            let _ = timeout(PATIENCE, self.bridge.cut()).await; // should she have heard of no store at all
            let last = self.bridge.counts().await?;
            emulator.kill().await.map(|_by_a_signal| last)
        };
        let (last, ()) = tokio::join!(death, self.check_store(alice, &self.file, "bob, carol, dave", checks));
        let last = last?;
        self.table.board(&last);
        let [used, stack] = last.stack;
        checks.that(used < stack, format_args!("nina is gone; she used {used} of {stack} bytes of stack"));
        let opened = alice.link().stats().breakers.opened;
        checks.that(opened > 0, "alice's breaker for nina has opened");

        self.scene(format_args!("   the next store does not wait for her"));
        let before = self.link.counts().seen;
        self.check_store(alice, &self.file, "bob, carol, dave", checks).await;
        // One greeting with its retries, if the breaker let it probe whether she is back.
        let sent = self.link.counts().seen - before;
        checks.that(sent <= 10, format_args!("{sent} datagrams went to nina meanwhile"));
        Ok(())
    }

    /// 5. So does the next recovery.
    async fn recover_without_her(&mut self, checks: &mut Checks) -> io::Result<()> {
        self.scene(format_args!("5. alice restarts once more; nina does not"));
        let alice = self.owner("alice").await?;
        let started_at = Instant::now();
        let recovered = alice.get(&self.addresses(), |_, _| {}).await;
        self.check_file(&recovered, started_at.elapsed(), checks);
        self.count(&alice, &recovered);
        Ok(())
    }

    /// Stores a version, and checks with whom.
    async fn check_store(&self, alice: &Owner, version: &[u8], with: &str, checks: &mut Checks) {
        let started_at = Instant::now();
        let stored = alice.put(version, &self.addresses(), COPIES, |_, _| {}).await;
        let kept_by = stored.as_ref().map_or_else(|error| error.to_string(), names_of);
        let took = started_at.elapsed().as_millis();
        checks.that(kept_by == with, format_args!("kept by {kept_by} after {took} ms"));
    }

    fn check_file(&self, recovered: &Result<Recovered, GetError>, took: Duration, checks: &mut Checks) {
        match recovered {
            Ok(Recovered { file, damaged, .. }) => checks.that(
                *file == self.file,
                format_args!(
                    "all {} bytes are back, after {} ms; {damaged} damaged chunks were refused",
                    grouped(file.len() as u64),
                    took.as_millis()
                ),
            ),
            Err(error) => checks.that(false, format_args!("the file is back: {error}")),
        }
    }

    /// Adds what an owner counted who has got her file, or not.
    fn count(&mut self, owner: &Owner, recovered: &Result<Recovered, GetError>) {
        self.table.owner(owner);
        if let Ok(recovered) = recovered {
            self.table.recovery(recovered);
        }
    }

    /// What the board has counted as soon as this holds, or in the end; and whether it holds.
    async fn counts_until(&self, holds: impl Fn(&BoardStats) -> bool) -> io::Result<(bool, BoardStats)> {
        let ends_at = Instant::now() + PATIENCE;
        loop {
            let counts = self.bridge.counts().await?;
            if holds(&counts) || Instant::now() >= ends_at {
                return Ok((holds(&counts), counts));
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn scene(&self, text: std::fmt::Arguments<'_>) {
        self.logger.flush();
        self.log.info(text);
    }

    async fn owner(&self, name: &str) -> io::Result<Owner> {
        Owner::bind(([127, 0, 0, 1], 0).into(), &ALICE, name).await
    }

    /// Of how many chunks the file is.
    fn chunks(&self) -> usize {
        self.file.len().div_ceil(CHUNK_BYTES).max(1)
    }

    /// Where everybody is, nina first, behind their bad links.
    fn addresses(&self) -> Vec<PeerAddress> {
        let nina = PeerAddress { address: self.link.addr(), id: None };
        [nina].into_iter().chain(self.peers.iter().map(Peer::address)).collect()
    }
}

/// What is no frame: three that are torn, damaged or made up, and one without end.
fn noise(id: PeerId) -> [Vec<u8>; 4] {
    let mut buffer = [0; MAX_FRAME];
    let frame = serial::write(&Frame::Started { id, max_chunks: 1 }, &mut buffer).unwrap_or_default();
    let (torn, _) = frame.split_at(frame.len() / 2);
    let mut damaged = frame.to_vec();
    if let Some(byte) = damaged.iter_mut().rev().nth(3) {
        *byte = if *byte == 0x55 { 0xaa } else { 0x55 };
    }
    let made_up = (0..300_u32).map(|at| (at * at % 255) as u8 + 1).collect();
    [torn.to_vec(), damaged, made_up, vec![0xaa; 2 * MAX_FRAME]]
}
