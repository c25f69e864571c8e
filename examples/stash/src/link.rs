//! Questions to other peers and their answers, over one UDP socket.

mod answer;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use stash_protocol::{
    Body, Identity, Message, Name, PeerId, Refusal,
    wire::{self, MAX_DATAGRAM, Verified, WireError},
};
use steadfast::{
    BreakerError, BreakerStats, Breakers, CallError, CallId, Correlator, CorrelatorStats, Lock, Mutex, Outcome, Reset,
    RetryBudget, RetryBudgetStats, RetryExt, RetryPolicy, Trip,
};
use tokio::net::UdpSocket;

pub use self::answer::{Answer, AskError, Contact, Greeting, PeerAddress};
use crate::seed::random;

/// How a question is tried again: soon, for the usual reason is a datagram that got lost.
///
/// Even where a quarter of all questions or answers is lost, one in ten million stays unanswered.
const RETRY: RetryPolicy =
    RetryPolicy::exponential(Duration::from_millis(10)).max_delay(Duration::from_millis(200)).max_retries(11);

/// How a greeting is tried again: whoever does not answer soon is not needed.
const GREET: RetryPolicy = RETRY.max_retries(9);

/// How a commit is tried again, which waits longer each time.
const COMMIT: RetryPolicy = RETRY.max_retries(7);

/// The longest time for an answer that needs no disk.
const SLOWEST: Duration = Duration::from_millis(400);

/// How long to wait for it while nothing is known of the round trips.
const USUAL: Duration = Duration::from_millis(100);

/// The shortest time to wait for it, however fast the others came: a busy peer is not a dead one.
const FASTEST: Duration = Duration::from_millis(50);

/// The first and the longest time for an answer that needs a disk.
const DISK: Duration = Duration::from_millis(250);
const SLOWEST_DISK: Duration = Duration::from_secs(2);

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
    /// A call is a question with all its retries, so that one without an answer is enough to leave a peer alone.
    breakers: Breakers<SocketAddr>,
    budget: RetryBudget,
    cookies: Mutex<HashMap<SocketAddr, u64>>,
    /// The id of the next message that has no answer.
    next_id: AtomicU64,
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
        const RESET: Reset = Reset::after(Duration::from_secs(5)).doubling();
        Ok(Self {
            socket: UdpSocket::bind(address).await?,
            identity,
            name: name.to_owned(),
            calls: Correlator::new(4_096),
            breakers: Breakers::<SocketAddr>::builder(Trip::consecutive(1), RESET).max_keys(1_024).build(),
            budget: RetryBudget::percent(100).burst(1_000),
            cookies: Mutex::new(HashMap::new()),
            next_id: AtomicU64::new(u64::from_le_bytes(random()?)),
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
        self.socket.local_addr()
    }

    /// Waits for a datagram, and for nothing else: [`open`](Self::open) tells whether it is a message.
    ///
    /// # Errors
    ///
    /// If the socket fails.
    pub async fn receive<'b>(&self, buffer: &'b mut [u8; MAX_DATAGRAM + 1]) -> io::Result<(&'b [u8], SocketAddr)> {
        let (length, source) = self.socket.recv_from(buffer).await?;
        self.received.fetch_add(1, Ordering::Relaxed);
        Ok((buffer.get(..length).unwrap_or_default(), source))
    }

    /// Reads a datagram; those that are not a message for this peer are counted.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    pub fn open<'b>(&self, datagram: &'b [u8]) -> Result<Verified<'b>, WireError> {
        wire::open(datagram, &self.identity.id()).inspect_err(|_| {
            self.dropped.fetch_add(1, Ordering::Relaxed);
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
        let policy = if matches!(body, Body::Commit(_)) { COMMIT } else { RETRY };
        self.ask_with(Question::to(contact), body, policy).await.map(|reply| reply.answer)
    }

    /// Asks a peer once for chunks, after telling `note` the message's id. `brought` tells in the end whether any came;
    /// silence speaks against the peer if this was the `last` try.
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
        last: bool,
    ) -> Result<(), AskError> {
        let permit = self.breakers.try_acquire(&contact.address).map_err(|_open| AskError::Dead)?;
        let fetched = self.call(Question::to(contact), body, 2, &note).await.map(|_| ());
        let silent = is_silence(&fetched) && !brought();
        permit.record(if silent { silence(last) } else { Outcome::Success });
        fetched
    }

    /// Asks several peers at once, and gives the answers that came in time. Dead ones are left out. `attempt` counts from
    /// 0; silence speaks against a peer if this was the `last` one.
    pub async fn ask_all(
        &self,
        contacts: &[Contact],
        body: &Body<'_>,
        attempt: u32,
        last: bool,
    ) -> Vec<(Contact, Answer)> {
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
        let replies = self.calls.gather(peers, want, self.patience(body, attempt), send).await.unwrap_or_default();
        let mut answers = Vec::new();
        for (_, reply) in replies {
            if let Some((contact, permit)) = permits.remove(&reply.from) {
                permit.record(Outcome::Success);
                self.remember(contact.address, reply.cookie);
                answers.push((contact, reply.answer));
            }
        }
        permits.into_values().for_each(|(_, permit)| permit.record(silence(last)));
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

    /// What became of everything so far.
    pub fn stats(&self) -> LinkStats {
        LinkStats {
            received: self.received.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            calls: self.calls.stats(),
            breakers: self.breakers.stats(),
            retries: self.budget.stats(),
        }
    }

    /// A question with its retries, under the breaker of the address. Only silence speaks against a peer.
    async fn ask_with(&self, question: Question, body: &Body<'_>, policy: RetryPolicy) -> Result<Reply, AskError> {
        let attempts = AtomicU32::new(0);
        let attempt = || self.proven(question, body, attempts.fetch_add(1, Ordering::Relaxed));
        let answered = async {
            let run = policy.run(attempt).retry_if(AskError::is_transient).budget(&self.budget);
            run.await.map_err(|error| error.last.unwrap_or(AskError::Silent))
        };
        let verdict = |answered: &_| if is_silence(answered) { Outcome::Failure } else { Outcome::Success };
        match self.breakers.call_with(&question.address, answered, verdict).await {
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
            return DISK.saturating_mul(1 << attempt.min(8)).min(SLOWEST_DISK);
        }
        let usual = self
            .calls
            .round_trips()
            .map_or(USUAL, |trips| trips.smoothed.saturating_add(trips.variation.saturating_mul(4)).max(FASTEST));
        usual.saturating_mul((attempt / 2).saturating_add(1)).min(SLOWEST)
    }
}

/// What a [`Link`] did since its start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LinkStats {
    /// Datagrams that came.
    pub received: u64,
    /// Of these, those that were no message for this peer.
    pub dropped: u64,
    /// What became of the questions.
    pub calls: CorrelatorStats,
    /// What the breakers let pass, all of them together.
    pub breakers: BreakerStats,
    /// What the retries took from their budget.
    pub retries: RetryBudgetStats,
}

const fn is_silence<T>(answered: &Result<T, AskError>) -> bool {
    matches!(answered, Err(AskError::Silent | AskError::Network(_)))
}

/// Silence says nothing of a peer before the last try.
const fn silence(last: bool) -> Outcome {
    if last { Outcome::Failure } else { Outcome::Ignored }
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
