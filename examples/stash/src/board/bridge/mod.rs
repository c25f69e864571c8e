//! Datagrams between a serial line and a UDP socket, so that other peers see an ordinary address.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use stash_protocol::{
    PeerId,
    serial::{self, BoardStats, Frame, LineStats, MAX_FRAME, Reader},
    wire::MAX_DATAGRAM,
};
use steadfast::runtime::{Lock, Mutex};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UdpSocket,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::seed::random;

/// How many datagrams are on their way to the board at a time. It answers one after the other, so that what had to wait
/// longer would be answered too late.
const WINDOW: usize = 8;

/// After how long a datagram on its way was lost on the line.
const LOST: Duration = Duration::from_secs(2);

/// How often the board is asked whether it still serves; it takes a minute of silence for the end.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The longest time to wait for the board, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long until a question to the board is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// A board's address in the network, for as long as this lives.
#[derive(Debug)]
pub struct Bridge {
    /// Where the board seems to be.
    pub addr: SocketAddr,
    /// Its key.
    pub id: PeerId,
    /// How many chunks it takes from one owner.
    pub max_chunks: u32,
    line: mpsc::Sender<Vec<u8>>,
    state: Arc<Mutex<State>>,
    counted: watch::Receiver<(u32, BoardStats)>,
    /// How many datagrams went to the board.
    passed: watch::Receiver<u64>,
    _pumps: JoinSet<()>,
}

/// What a [`Bridge`] has seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BridgeStats {
    /// Datagrams that came to the socket: the sum of the next four.
    pub seen: u64,
    /// Of these, those that went to the board.
    pub passed: u64,
    /// Of these, those that found as many before them as the board can answer in time.
    pub crowded: u64,
    /// Of these, those longer than a datagram of the protocol.
    pub too_long: u64,
    /// Of these, those that came after the line was cut.
    pub cut: u64,
    /// Datagrams of the board.
    pub answers: u64,
    /// Frames of the board.
    pub line: LineStats,
}

#[derive(Debug, Default)]
struct State {
    stats: BridgeStats,
    on_their_way: usize,
    last_taken: Option<Instant>,
    cut_after: Option<u64>,
}

/// What becomes of a datagram.
enum Fate {
    Dropped,
    Passed(Vec<u8>),
}

impl Bridge {
    /// Starts the board at the other end of a line with `seed`, and waits until it serves.
    ///
    /// # Errors
    ///
    /// If there is no socket to be had, or the board does not answer within a minute.
    pub async fn start<R, W>(reader: R, writer: W, seed: [u8; 32]) -> io::Result<Self>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let addr = socket.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let (line, frames) = mpsc::channel(WINDOW);
        let (started, mut start) = watch::channel(None);
        let (count, counted) = watch::channel((0, BoardStats::default()));
        let (pass, passed) = watch::channel(0);
        let mut pumps = JoinSet::new();
        pumps.spawn(write(writer, frames));
        pumps.spawn(to_socket(reader, socket.clone(), state.clone(), started, count));

        let mut words = [[0; 8]; 7];
        words.as_flattened_mut().copy_from_slice(&random::<56>()?);
        let first = encode(&Frame::Start { seed, random: words });
        let (id, max_chunks) = timeout(PATIENCE, async {
            loop {
                line.send(first.clone()).await.map_err(|_gone| ErrorKind::BrokenPipe)?;
                if let Ok(Ok(started)) = timeout(AGAIN, start.wait_for(Option::is_some)).await {
                    return started.ok_or(ErrorKind::BrokenPipe);
                }
            }
        })
        .await
        .map_err(|_elapsed| io::Error::new(ErrorKind::TimedOut, "the board does not answer"))??;

        pumps.spawn(to_line(socket, line.clone(), state.clone(), pass));
        pumps.spawn(keep_awake(line.clone()));
        Ok(Self { addr, id, max_chunks, line, state, counted, passed, _pumps: pumps })
    }

    /// What the board has counted until now.
    ///
    /// # Errors
    ///
    /// If it does not answer within a minute.
    pub async fn counts(&self) -> io::Result<BoardStats> {
        let token = u32::from_le_bytes(random()?) | 1; // the wake-up calls have 0
        let mut counted = self.counted.clone();
        let asked = timeout(PATIENCE, async {
            loop {
                self.noise(encode(&Frame::Ask { token })).await?;
                if let Ok(counts) = timeout(AGAIN, counted.wait_for(|(of, _)| *of == token)).await {
                    return counts.map(|counts| counts.1).map_err(|_gone| ErrorKind::BrokenPipe.into());
                }
            }
        });
        asked.await.map_err(|_elapsed| io::Error::new(ErrorKind::TimedOut, "the board does not answer"))?
    }

    /// Puts bytes on the line as they are.
    ///
    /// # Errors
    ///
    /// If the line is gone.
    pub async fn noise(&self, bytes: Vec<u8>) -> io::Result<()> {
        self.line.send(bytes).await.map_err(|_gone| ErrorKind::BrokenPipe.into())
    }

    /// Lets so many more datagrams pass to the board, and not one after them.
    pub fn cut_after(&self, datagrams: u64) {
        self.state.with(|state| state.cut_after = Some(state.stats.passed.saturating_add(datagrams)));
    }

    /// Waits until the line was cut.
    pub async fn cut(&self) {
        let is_cut = |passed: &u64| self.state.with(|state| state.cut_after.is_some_and(|after| *passed >= after));
        let _ = self.passed.clone().wait_for(is_cut).await;
    }

    /// What has passed.
    #[must_use]
    pub fn stats(&self) -> BridgeStats {
        self.state.with(|state| state.stats)
    }
}

impl State {
    /// Counts a datagram, and decides whether it goes to the board.
    fn fate(&mut self, datagram: &[u8], peer: SocketAddr, now: Instant) -> Fate {
        self.stats.seen = self.stats.seen.saturating_add(1);
        if self.last_taken.is_some_and(|at| now.saturating_duration_since(at) >= LOST) {
            self.on_their_way = 0;
        }
        let is_cut = self.cut_after.is_some_and(|after| self.stats.passed >= after);
        let mut buffer = [0; MAX_FRAME];
        let frame = serial::write(&Frame::Datagram { peer, bytes: datagram }, &mut buffer);
        let count = match frame {
            _ if is_cut => &mut self.stats.cut,
            None => &mut self.stats.too_long,
            Some(_) if self.on_their_way >= WINDOW => &mut self.stats.crowded,
            Some(_) => &mut self.stats.passed,
        };
        *count = count.saturating_add(1);
        match frame {
            Some(frame) if !is_cut && self.on_their_way < WINDOW => {
                if self.on_their_way == 0 {
                    self.last_taken = Some(now);
                }
                self.on_their_way = self.on_their_way.saturating_add(1);
                Fate::Passed(frame.to_vec())
            }
            _ => Fate::Dropped,
        }
    }

    /// The board has taken a datagram.
    const fn taken(&mut self, now: Instant) {
        self.on_their_way = self.on_their_way.saturating_sub(1);
        self.last_taken = Some(now);
    }
}

/// From the others to the board.
async fn to_line(
    socket: Arc<UdpSocket>,
    line: mpsc::Sender<Vec<u8>>,
    state: Arc<Mutex<State>>,
    pass: watch::Sender<u64>,
) {
    let mut buffer = [0; MAX_DATAGRAM + 1];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
            // Some systems report here that an earlier datagram reached nobody.
            sleep(Duration::from_millis(1)).await;
            continue;
        };
        let datagram = buffer.get(..length).unwrap_or_default();
        if let Fate::Passed(frame) = state.with(|state| state.fate(datagram, peer, Instant::now())) {
            let Ok(()) = line.send(frame).await else { return };
            pass.send_replace(state.with(|state| state.stats.passed));
        }
    }
}

/// From the board to the others.
async fn to_socket(
    mut from: impl AsyncRead + Unpin,
    socket: Arc<UdpSocket>,
    state: Arc<Mutex<State>>,
    started: watch::Sender<Option<(PeerId, u32)>>,
    counted: watch::Sender<(u32, BoardStats)>,
) {
    let mut reader = Reader::new();
    let mut buffer = [0; 4_096];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        let mut bytes = buffer.get(..length).unwrap_or_default();
        while !bytes.is_empty() {
            match reader.read(&mut bytes) {
                Some(Frame::Datagram { peer, bytes }) => {
                    state.with(|state| state.stats.answers = state.stats.answers.saturating_add(1));
                    let _ = socket.send_to(bytes, peer).await; // whoever does not get it asks again
                }
                Some(Frame::Taken) => state.with(|state| state.taken(Instant::now())),
                Some(Frame::Started { id, max_chunks }) => _ = started.send_replace(Some((id, max_chunks))),
                Some(Frame::Counts { token: token @ 1.., stats }) => _ = counted.send_replace((token, stats)),
                // The answer to a wake-up call must not take the place of one that is waited for.
                Some(Frame::Counts { token: 0, .. } | Frame::Start { .. } | Frame::Ask { .. }) | None => {}
            }
        }
        state.with(|state| state.stats.line = reader.stats());
    }
}

async fn write(mut to: impl AsyncWrite + Unpin, mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = frames.recv().await {
        let Ok(()) = to.write_all(&frame).await else { return };
    }
}

async fn keep_awake(line: mpsc::Sender<Vec<u8>>) {
    while line.send(encode(&Frame::Ask { token: 0 })).await.is_ok() {
        sleep(ASK_EVERY).await;
    }
}

/// A frame that is no datagram, so never too long.
fn encode(frame: &Frame<'_>) -> Vec<u8> {
    serial::write(frame, &mut [0; MAX_FRAME]).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests;
