//! UDP sockets, and what is known of the peers behind them.

mod answer;
mod ask;
mod pace;
mod sockets;

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

pub use self::answer::{Answer, AskError, Contact, Greeting, PeerAddress};
use self::{pace::Pace, sockets::Sockets};
use crate::{NO_NAME, seed::random};
use stash_protocol::{
    Body, Identity, Message, Name, PeerId,
    wire::{self, MAX_DATAGRAM, Opened, Verified, WireError},
};
use steadfast::{
    Breakers, Correlator, Reset, RetryBudget, Trip,
    circuit_breaker::BreakerStats,
    correlator::{CallId, CorrelatorStats},
    retry::RetryBudgetStats,
    runtime::{Lock, Mutex},
};

/// A UDP socket, with another one for the other IP family where that is needed, and what is known of the peers behind
/// them.
///
/// Everything that leaves a question's answer in doubt is settled here: lost, late, doubled, forged and foreign replies
/// by the correlator, loss by retries under one budget, dead peers by a breaker for each address.
#[derive(Debug)]
pub struct Link {
    sockets: Sockets,
    identity: Identity,
    name: String,
    calls: Correlator<Asked, Reply>,
    /// A call is a question with all its retries, so that one without an answer is enough to leave a peer alone.
    breakers: Breakers<SocketAddr>,
    budget: RetryBudget,
    cookies: Mutex<HashMap<SocketAddr, u64>>,
    pace: Mutex<Pace>,
    /// The id of the next message that has no answer.
    next_id: AtomicU64,
    attempts: AtomicU64,
    received: AtomicU64,
    dropped: AtomicU64,
}

/// From whom a reply is expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    /// Whoever is at this address: for a greeting.
    At(SocketAddr),
    Peer(PeerId),
}

/// To whom a question goes, and from whom the answer has to come.
#[derive(Clone, Copy)]
struct Question {
    asked: Asked,
    address: SocketAddr,
    to: Option<PeerId>,
}

impl Question {
    const fn to(contact: Contact) -> Self {
        Self { asked: Asked::Peer(contact.id), address: contact.address, to: Some(contact.id) }
    }
}

#[derive(Debug)]
struct Reply {
    from: PeerId,
    cookie: u64,
    answer: Answer,
}

impl Link {
    /// A link from `address`.
    ///
    /// # Errors
    ///
    /// If the name is none, or the address is taken or not this machine's.
    pub async fn bind(address: SocketAddr, identity: Identity, name: &str) -> io::Result<Self> {
        const RESET: Reset = Reset::after(Duration::from_secs(5)).doubling();
        if Name::new(name).is_none() {
            return Err(io::Error::new(ErrorKind::InvalidInput, NO_NAME));
        }
        Ok(Self {
            sockets: Sockets::bind(address).await?,
            identity,
            name: name.to_owned(),
            calls: Correlator::new(4_096),
            breakers: Breakers::<SocketAddr>::builder(Trip::consecutive(1), RESET).capacity(1_024).build(),
            budget: RetryBudget::percent(100).burst(1_000),
            cookies: Mutex::new(HashMap::new()),
            pace: Mutex::new(Pace::default()),
            next_id: AtomicU64::new(u64::from_le_bytes(random()?)),
            attempts: AtomicU64::new(0),
            received: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        })
    }

    /// Who this is.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where this is.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.sockets.address()
    }

    /// Waits for a datagram, and for nothing else: [`open`](Self::open) tells whether it is a message.
    ///
    /// # Errors
    ///
    /// If the socket fails.
    pub async fn receive<'b>(&self, buffer: &'b mut [u8; MAX_DATAGRAM + 1]) -> io::Result<(&'b [u8], SocketAddr)> {
        let (length, source) = self.sockets.receive(buffer).await?;
        self.received.fetch_add(1, Ordering::Relaxed);
        Ok((buffer.get(..length).unwrap_or_default(), source))
    }

    /// Reads a datagram; those that are not a message for this peer are counted.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    pub fn open(&self, datagram: &[u8]) -> Result<Opened, WireError> {
        Opened::new(datagram, &self.identity.id()).inspect_err(|_| {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Sends a datagram as it is.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn send_raw(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.sockets.send_to(datagram, to).await
    }

    /// Hands a reply to the question that it answers. False if it answers none: forged, late, doubled, or of another run.
    pub fn on_reply(&self, message: &Verified<'_>, source: SocketAddr) -> bool {
        let mut from = Asked::Peer(message.from);
        let answer = match &message.body {
            Body::Ack => Answer::Ack,
            Body::Refused(refusal) => Answer::Refused(*refusal),
            Body::Response { manifest, elsewhere } => Answer::Response(manifest.clone(), elsewhere.to_vec()),
            Body::Welcome { name, held, room } => {
                from = Asked::At(source);
                Answer::Welcome { name: name.to_string(), held: *held, room: *room }
            }
            _ => return false,
        };
        let reply = Reply { from: message.from, cookie: message.cookie, answer };
        if let Some(id) = message.in_reply_to {
            self.heard(id, source);
        }
        message.in_reply_to.is_some_and(|id| self.calls.resolve(CallId::from_u64(id), from, reply).is_matched())
    }

    /// Notes that something has come from `source` in reply to the message `id`, be it too late: so a slow peer gets more
    /// time for the next one.
    pub fn heard(&self, id: u64, source: SocketAddr) {
        self.pace.with(|pace| pace.answered(id, source, Instant::now()));
    }

    /// Ends the fetch with this message id: all of it has come from `peer`.
    pub fn finish_fetch(&self, id: u64, peer: PeerId, cookie: u64) -> bool {
        let reply = Reply { from: peer, cookie, answer: Answer::Fetched };
        self.calls.resolve(CallId::from_u64(id), Asked::Peer(peer), reply).is_matched()
    }

    /// Sends a message that has no answer.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn tell(&self, contact: Contact, body: &Body<'_>) -> io::Result<()> {
        self.send(&Question::to(contact), self.next_id.fetch_add(1, Ordering::Relaxed), body).await
    }

    /// What became of everything so far.
    pub fn stats(&self) -> LinkStats {
        LinkStats {
            received: self.received.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            attempts: self.attempts.load(Ordering::Relaxed),
            calls: self.calls.stats(),
            breakers: self.breakers.stats(),
            retries: self.budget.stats(),
        }
    }

    async fn send(&self, question: &Question, id: u64, body: &Body<'_>) -> io::Result<()> {
        let cookie = self.cookies.with(|cookies| cookies.get(&question.address).copied().unwrap_or(0));
        let from = self.identity.id();
        let message = Message { from, to: question.to, id, in_reply_to: None, cookie, body: body.clone() };
        let mut buffer = [0; MAX_DATAGRAM];
        let datagram = wire::seal(&message, &self.identity, &mut buffer).map_err(io::Error::other)?;
        self.send_raw(datagram, question.address).await
    }

    fn remember(&self, address: SocketAddr, cookie: u64) {
        self.cookies.with(|cookies| cookies.insert(address, cookie));
    }
}

/// What a [`Link`] did since its start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LinkStats {
    /// Datagrams that came.
    pub received: u64,
    /// Of these, those that were no message for this peer.
    pub dropped: u64,
    /// Tries of questions that are retried: the first ones and the retries.
    pub attempts: u64,
    /// What became of the questions.
    pub calls: CorrelatorStats,
    /// What the breakers let pass, all of them together.
    pub breakers: BreakerStats,
    /// What the retries took from their budget.
    pub retries: RetryBudgetStats,
}
