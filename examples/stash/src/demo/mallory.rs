//! An attacker: she hears what passes, has a key of her own, and sends what she likes from an address of her own.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use stash_protocol::{
    Body, Chunk, Identity, Message, Name, PeerId, Refusal, Sealed,
    wire::{self, MAX_DATAGRAM},
};
use tokio::{net::UdpSocket, time::timeout};

/// How long she waits for an answer, and how often she asks.
const PATIENCE: Duration = Duration::from_secs(5);
const TRIES: usize = 3;

/// How many datagrams she sends before she waits for an answer, so that none is lost for want of room.
const BURST: usize = 32;

/// See the module's text.
#[derive(Debug)]
pub struct Mallory {
    identity: Identity,
    socket: UdpSocket,
    next_id: u64,
    sent: u64,
}

/// How a flood of requests was met.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flood {
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that were refused because they were too many.
    pub limited: u64,
    /// Requests that met anything else.
    pub other: u64,
}

impl Mallory {
    /// Mallory, on a free port of this machine.
    ///
    /// # Errors
    ///
    /// If no socket can be opened.
    pub async fn new(seed: &[u8; 32]) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self { identity: Identity::from_seed(seed), socket, next_id: 0, sent: 0 })
    }

    /// Acks the call that this datagram to `asked` makes, in her own name and in that of the peer that was asked. False
    /// if it makes none.
    ///
    /// # Errors
    ///
    /// If a datagram cannot be sent.
    pub async fn ack(&mut self, call: &[u8], asked: PeerId, caller: SocketAddr) -> io::Result<bool> {
        let Ok(call) = wire::open(call, &asked) else { return Ok(false) };
        for from in [self.identity.id(), asked] {
            let (to, in_reply_to) = (Some(call.from), Some(call.id));
            let message = Message { from, to, id: self.next_id(), in_reply_to, cookie: 0, body: Body::Ack };
            self.send(&message, caller).await?;
        }
        Ok(true)
    }

    /// Sends a chunk to a confidant as if `owner` had.
    ///
    /// # Errors
    ///
    /// If there is no answer to her greeting, which gives her a cookie, or a datagram cannot be sent.
    pub async fn store_as(&mut self, owner: PeerId, version: u64, at: SocketAddr) -> io::Result<()> {
        let (confidant, cookie) = self.greet(at).await?;
        let sealed = Sealed::new(&[0x66; 100]).ok_or(ErrorKind::InvalidInput)?;
        let body = Body::Store(Chunk { version, chunks: 1, index: 0, sealed });
        let id = self.next_id();
        let message = Message { from: owner, to: Some(confidant), id, in_reply_to: None, cookie, body };
        self.send(&message, at).await
    }

    /// Sends what she heard once more, from her own address, and tells how many datagrams that were, her greetings
    /// included.
    ///
    /// # Errors
    ///
    /// If there is no answer to her greetings, or a datagram cannot be sent.
    pub async fn resend(&mut self, overheard: &[Vec<u8>], to: SocketAddr) -> io::Result<u64> {
        let before = self.sent;
        for datagrams in overheard.chunks(BURST) {
            self.greet(to).await?;
            for datagram in datagrams {
                self.send_raw(datagram, to).await?;
            }
        }
        Ok(self.sent - before)
    }

    /// Sends each of these datagrams cut short, with a bit turned over and with a byte too many, and as many of noise,
    /// and tells how many that were.
    ///
    /// # Errors
    ///
    /// If there is no answer to her greetings, or a datagram cannot be sent.
    pub async fn garbage(&mut self, overheard: &[Vec<u8>], to: SocketAddr) -> io::Result<u64> {
        let mut sent = 0;
        for (at, datagram) in overheard.iter().enumerate() {
            if at % (BURST / 4) == 0 {
                self.greet(to).await?;
            }
            let cut = datagram.get(..at * 37 % datagram.len().max(1)).unwrap_or_default();
            let mut turned = datagram.clone();
            if let Some(byte) = turned.get_mut(at * 53 % datagram.len().max(1)) {
                *byte ^= 1 << (at % 8);
            }
            let longer = [datagram, &[0][..]].concat();
            let noise: Vec<u8> = (0..at * 101 % (2 * MAX_DATAGRAM)).map(|byte| (byte * byte * 31 + at) as u8).collect();
            for datagram in [cut, &turned, &longer, &noise] {
                self.send_raw(datagram, to).await?;
                sent += 1;
            }
        }
        Ok(sent)
    }

    /// Sends `requests` for recovery as fast as they are answered.
    ///
    /// # Errors
    ///
    /// If there is no answer to her greeting, or a datagram cannot be sent.
    pub async fn flood(&mut self, requests: u64, at: SocketAddr) -> io::Result<Flood> {
        let (confidant, cookie) = self.greet(at).await?;
        let mut flood = Flood::default();
        for _ in 0..requests {
            let met = match self.ask(Some(confidant), cookie, Body::Request, at).await {
                Ok((_, Met::Answered)) => &mut flood.answered,
                Ok((_, Met::Limited)) => &mut flood.limited,
                Ok((_, Met::Other)) | Err(_) => &mut flood.other,
            };
            *met += 1;
        }
        Ok(flood)
    }

    /// Says hello, and so learns a peer's id and gets a cookie for her own address.
    async fn greet(&mut self, at: SocketAddr) -> io::Result<(PeerId, u64)> {
        let name = Name::new("mallory").ok_or(ErrorKind::InvalidInput)?;
        let (welcome, _) = self.ask(None, 0, Body::Refresh { name }, at).await?;
        Ok(welcome)
    }

    /// One question until there is an answer; each attempt with an id of its own.
    async fn ask(
        &mut self,
        to: Option<PeerId>,
        cookie: u64,
        body: Body<'_>,
        at: SocketAddr,
    ) -> io::Result<((PeerId, u64), Met)> {
        let from = self.identity.id();
        for _ in 0..TRIES {
            let id = self.next_id();
            self.send(&Message { from, to, id, in_reply_to: None, cookie, body: body.clone() }, at).await?;
            if let Ok(answer) = timeout(PATIENCE, self.answer(id)).await {
                return answer;
            }
        }
        Err(ErrorKind::TimedOut.into())
    }

    async fn answer(&self, id: u64) -> io::Result<((PeerId, u64), Met)> {
        let mut buffer = [0; MAX_DATAGRAM];
        loop {
            let (length, _) = self.socket.recv_from(&mut buffer).await?;
            let datagram = buffer.get(..length).unwrap_or_default();
            let Ok(message) = wire::open(datagram, &self.identity.id()) else { continue };
            if message.in_reply_to != Some(id) {
                continue;
            }
            let met = match &message.body {
                Body::Response { .. } => Met::Answered,
                Body::Refused(Refusal::RateLimited { .. }) => Met::Limited,
                _ => Met::Other,
            };
            return Ok(((message.from, message.cookie), met));
        }
    }

    async fn send(&mut self, message: &Message<'_>, to: SocketAddr) -> io::Result<()> {
        let mut buffer = [0; MAX_DATAGRAM];
        let datagram = wire::seal(message, &self.identity, &mut buffer).map_err(io::Error::other)?;
        self.send_raw(datagram, to).await
    }

    async fn send_raw(&mut self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.socket.send_to(datagram, to).await?;
        self.sent += 1;
        Ok(())
    }

    const fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

#[derive(Clone, Copy, Debug)]
enum Met {
    Answered,
    Limited,
    Other,
}
