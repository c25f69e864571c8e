//! Questions to other peers and their answers, over one UDP socket.

mod answer;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use rand_core::TryRng;
use stash_protocol::{
    Body, Identity, Message, Name, PeerId, Refusal,
    wire::{self, MAX_DATAGRAM, Verified, WireError},
};
use steadfast::{
    BreakerError, Breakers, CallError, CallId, CallWindow, Correlator, CorrelatorStats, Lock, Mutex, Outcome, Percent,
    Reset, RetryBudget, RetryExt, RetryPolicy, SystemRng, Trip,
};
use tokio::net::UdpSocket;

pub use self::answer::{Answer, AskError, Contact, Greeting, PeerAddress};

/// How a question is tried again: soon, for the usual reason is a datagram that got lost.
const RETRY: RetryPolicy =
    RetryPolicy::exponential(Duration::from_millis(20)).max_delay(Duration::from_millis(500)).max_retries(7);

/// How a greeting is tried again: whoever does not answer soon is not needed.
const GREET: RetryPolicy = RETRY.max_retries(4);

/// The longest time for an answer that needs no disk.
const SLOWEST: Duration = Duration::from_millis(400);

/// How long to wait for it while nothing is known of the round trips.
const USUAL: Duration = Duration::from_millis(200);

/// The shortest time to wait for it, however fast the others came: a busy peer is not a dead one.
const FASTEST: Duration = Duration::from_millis(50);

/// After how many calls a peer that never answered is left alone.
const FEWEST_CALLS: NonZeroU32 = NonZeroU32::new(5).unwrap();

/// The longest time for an answer that needs a disk.
const SLOWEST_DISK: Duration = Duration::from_secs(3);

/// One UDP socket, and what is known of the peers behind it.
///
/// Everything that leaves a question's answer in doubt is settled here: lost, late, doubled, forged and foreign replies
/// by the correlator, loss by retries under one budget, dead peers by a breaker for each address.
#[derive(Debug)]
pub struct Link {
    socket: UdpSocket,
    identity: Identity,
    name: String,
    calls: Correlator<Asked, Reply>,
    breakers: Breakers<SocketAddr, CallWindow<20>>,
    budget: RetryBudget,
    cookies: Mutex<HashMap<SocketAddr, u64>>,
    /// The id of the next message that has no answer.
    next_id: AtomicU64,
    received: AtomicU64,
    refused: AtomicU64,
}

/// From whom a reply is expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    /// Whoever is at this address: for a greeting.
    At(SocketAddr),
    Peer(PeerId),
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
    /// If the address is taken or not this machine's.
    pub async fn bind(address: SocketAddr, identity: Identity, name: &str) -> io::Result<Self> {
        let trip = Trip::call_window::<20>(Percent::new(80)).min_calls(FEWEST_CALLS);
        let reset = Reset::after(Duration::from_secs(5)).doubling();
        Ok(Self {
            socket: UdpSocket::bind(address).await?,
            identity,
            name: name.to_owned(),
            calls: Correlator::new(4_096),
            breakers: Breakers::<SocketAddr, _>::builder(trip, reset).max_keys(1_024).build(),
            budget: RetryBudget::percent(50).burst(200),
            cookies: Mutex::new(HashMap::new()),
            next_id: AtomicU64::new(u64::from_le_bytes(random()?)),
            received: AtomicU64::new(0),
            refused: AtomicU64::new(0),
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
        self.socket.local_addr()
    }

    /// Waits for a datagram, and for nothing else: [`open`](Self::open) tells whether it is a message.
    ///
    /// # Errors
    ///
    /// If the socket fails.
    pub async fn receive<'b>(&self, buffer: &'b mut [u8; MAX_DATAGRAM + 1]) -> io::Result<(&'b [u8], SocketAddr)> {
        let (length, source) = self.socket.recv_from(buffer).await?;
        Ok((buffer.get(..length).unwrap_or_default(), source))
    }

    /// Reads a datagram; those that are not a message for this peer are counted.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    pub fn open<'b>(&self, datagram: &'b [u8]) -> Result<Verified<'b>, WireError> {
        self.received.fetch_add(1, Ordering::Relaxed);
        wire::open(datagram, &self.identity.id()).inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Sends a datagram as it is.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn send_raw(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.socket.send_to(datagram, to).await.map(|_| ())
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
        message.in_reply_to.is_some_and(|id| self.calls.resolve(CallId::from_u64(id), from, reply).is_matched())
    }

    /// Ends the fetch with this message id: all of it has come from `peer`.
    pub fn finish_fetch(&self, id: u64, peer: PeerId, cookie: u64) -> bool {
        let reply = Reply { from: peer, cookie, answer: Answer::Fetched };
        self.calls.resolve(CallId::from_u64(id), Asked::Peer(peer), reply).is_matched()
    }

    /// Greets whoever is at an address.
    ///
    /// # Errors
    ///
    /// [`AskError`].
    pub async fn greet(&self, peer: PeerAddress) -> Result<Greeting, AskError> {
        let name = Name::new(&self.name).ok_or(AskError::Unexpected)?;
        let question = Question { asked: Asked::At(peer.address), address: peer.address, to: peer.id };
        let reply = self.ask_with(question, &Body::Refresh { name }, GREET).await?;
        if peer.id.is_some_and(|id| id != reply.from) {
            return Err(AskError::ForeignKey(reply.from));
        }
        let Answer::Welcome { name, held, room } = reply.answer else { return Err(AskError::Unexpected) };
        Ok(Greeting { contact: Contact { address: peer.address, id: reply.from }, name, held, room })
    }

    /// Asks a peer until it answers, or seems dead.
    ///
    /// # Errors
    ///
    /// [`AskError`]; a refusal is one.
    pub async fn ask(&self, contact: Contact, body: &Body<'_>) -> Result<Answer, AskError> {
        self.ask_with(Question::to(contact), body, RETRY).await.map(|reply| reply.answer)
    }

    /// Asks a peer once for chunks, after telling `note` the message's id. `brought` tells in the end whether any came.
    ///
    /// # Errors
    ///
    /// [`AskError`]; `Silent` also if only a part came.
    pub async fn fetch(
        &self,
        contact: Contact,
        body: &Body<'_>,
        note: impl Fn(u64),
        brought: impl FnOnce() -> bool,
    ) -> Result<(), AskError> {
        let permit = self.breakers.try_acquire(&contact.address).map_err(|_open| AskError::Dead)?;
        let fetched = self.call(Question::to(contact), body, 1, &note).await;
        let silent = matches!(fetched, Err(AskError::Silent | AskError::Network(_))) && !brought();
        permit.record(if silent { Outcome::Failure } else { Outcome::Success });
        fetched.map(|_| ())
    }

    /// Asks several peers at once, and gives the answers that came in time. Dead ones are left out.
    pub async fn ask_all(&self, contacts: &[Contact], body: &Body<'_>) -> Vec<(Contact, Answer)> {
        let mut permits = HashMap::new();
        for contact in contacts {
            if let Ok(permit) = self.breakers.try_acquire(&contact.address) {
                permits.insert(contact.id, (*contact, permit));
            }
        }
        let peers: Vec<_> = permits.keys().copied().map(Asked::Peer).collect();
        let send = |asked, id: CallId| {
            let contact = contacts.iter().find(|contact| asked == Asked::Peer(contact.id)).copied();
            async move {
                let Some(contact) = contact else { return Ok(()) };
                self.send(&Question::to(contact), id.as_u64(), body).await
            }
        };
        let want = peers.len();
        let replies = self.calls.gather(peers, want, self.patience(body, 1), send).await.unwrap_or_default();
        let mut answers = Vec::new();
        for (_, reply) in replies {
            if let Some((contact, permit)) = permits.remove(&reply.from) {
                permit.record(Outcome::Success);
                self.remember(contact.address, reply.cookie);
                answers.push((contact, reply.answer));
            }
        }
        permits.into_values().for_each(|(_, permit)| permit.record(Outcome::Failure));
        answers
    }

    /// Sends a message that has no answer.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn tell(&self, contact: Contact, body: &Body<'_>) -> io::Result<()> {
        self.send(&Question::to(contact), self.next_id.fetch_add(1, Ordering::Relaxed), body).await
    }

    /// What became of the questions.
    pub fn calls(&self) -> CorrelatorStats {
        self.calls.stats()
    }

    async fn ask_with(&self, question: Question, body: &Body<'_>, policy: RetryPolicy) -> Result<Reply, AskError> {
        let attempt = AtomicU32::new(0);
        let ask = || self.guarded(question, body, attempt.fetch_add(1, Ordering::Relaxed));
        let answered = policy.run(ask).retry_if(AskError::is_transient).budget(&self.budget).await;
        answered.map_err(|error| error.last.unwrap_or(AskError::Silent))
    }

    /// One attempt, under the breaker of the address. Only silence speaks against a peer.
    async fn guarded(&self, question: Question, body: &Body<'_>, attempt: u32) -> Result<Reply, AskError> {
        let verdict = |result: &Result<Reply, AskError>| match result {
            Err(AskError::Silent | AskError::Network(_)) => Outcome::Failure,
            Ok(_) | Err(_) => Outcome::Success,
        };
        match self.breakers.call_with(&question.address, self.proven(question, body, attempt), verdict).await {
            Err(BreakerError::Open { .. }) => Err(AskError::Dead),
            Err(BreakerError::Inner(error)) => Err(error),
            Ok(reply) => Ok(reply),
        }
    }

    /// One attempt, and another if the first only brought the cookie that it lacked.
    async fn proven(&self, question: Question, body: &Body<'_>, attempt: u32) -> Result<Reply, AskError> {
        match self.call(question, body, attempt, &|_| {}).await {
            Err(AskError::Refused(Refusal::Unproven)) => self.call(question, body, attempt, &|_| {}).await,
            other => other,
        }
    }

    async fn call(
        &self,
        question: Question,
        body: &Body<'_>,
        attempt: u32,
        note: &impl Fn(u64),
    ) -> Result<Reply, AskError> {
        let send = |id: CallId| {
            note(id.as_u64());
            async move { self.send(&question, id.as_u64(), body).await }
        };
        let called = self.calls.call(question.asked, self.patience(body, attempt), send).await;
        let reply = called.map_err(|error| match error {
            CallError::Send(error) => AskError::Network(error.to_string()),
            _ => AskError::Silent,
        })?;
        self.remember(question.address, reply.cookie);
        match reply.answer {
            Answer::Refused(refusal) => Err(AskError::Refused(refusal)),
            _ => Ok(reply),
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

    /// How long to wait for an answer: four deviations more than the round trips so far, and longer with each attempt.
    fn patience(&self, body: &Body<'_>, attempt: u32) -> Duration {
        if matches!(body, Body::Commit(_)) {
            return SLOWEST_DISK;
        }
        let usual = self
            .calls
            .round_trips()
            .map_or(USUAL, |trips| trips.smoothed.saturating_add(trips.variation.saturating_mul(4)).max(FASTEST));
        usual.saturating_mul(1 << attempt.min(4)).min(SLOWEST)
    }
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

/// Random bytes from the system.
///
/// # Errors
///
/// If the system has none to give.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
