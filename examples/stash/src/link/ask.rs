//! Questions, asked until they are answered or the peer seems dead.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use stash_protocol::{Body, Name, Refusal};
use steadfast::{
    RetryExt, RetryPolicy,
    circuit_breaker::{BreakerError, Outcome},
    correlator::{CallError, CallId},
    runtime::Lock,
};
use tokio::{select, time::sleep};

use super::{Answer, AskError, Asked, Contact, Greeting, Link, PeerAddress, Question, Reply, sockets::canonical};

/// How a question is tried again: soon, for the usual reason is a datagram that got lost.
///
/// Even where a quarter of all questions or answers is lost, one in ten million stays unanswered.
const RETRY: RetryPolicy =
    RetryPolicy::exponential(Duration::from_millis(10)).max_delay(Duration::from_millis(200)).max_retries(11);

/// How a greeting is tried again: whoever does not answer soon is not needed.
const GREET: RetryPolicy = RETRY.max_retries(9);

/// The longest time for an answer that needs no disk.
const SLOWEST: Duration = Duration::from_millis(400);

/// How long to wait for it while nothing is known of the round trips.
const USUAL: Duration = Duration::from_millis(100);

/// The shortest time to wait for it, however fast the others came: a busy peer is not a dead one.
const FASTEST: Duration = Duration::from_millis(50);

/// The longest time for all chunks of a fetch, while they come.
const LONGEST_FETCH: Duration = Duration::from_secs(10);

/// How often to look whether more has come before it counts as quiet.
const LOOKS: u32 = 4;

/// The first and the longest time for an answer that needs a disk.
const DISK: Duration = Duration::from_millis(100);
const SLOWEST_DISK: Duration = Duration::from_secs(1);

impl Link {
    /// Greets whoever is at an address. An IPv4 address that is written as one of IPv6 is taken for itself.
    ///
    /// # Errors
    ///
    /// [`AskError`].
    pub async fn greet(&self, peer: PeerAddress) -> Result<Greeting, AskError> {
        let name = Name::new(&self.name).ok_or(AskError::Unexpected)?;
        let address = canonical(peer.address);
        let question = Question { asked: Asked::At(address), address, to: peer.id };
        let reply = self.ask_with(question, &Body::Refresh { name }, GREET).await?;
        if peer.id.is_some_and(|id| id != reply.from) {
            return Err(AskError::ForeignKey(reply.from));
        }
        let Answer::Welcome { name, held, room } = reply.answer else { return Err(AskError::Unexpected) };
        Ok(Greeting { contact: Contact { address, id: reply.from }, name, held, room })
    }

    /// Asks a peer until it answers, or seems dead.
    ///
    /// # Errors
    ///
    /// [`AskError`]; a refusal is one.
    pub async fn ask(&self, contact: Contact, body: &Body<'_>) -> Result<Answer, AskError> {
        self.ask_with(Question::to(contact), body, RETRY).await.map(|reply| reply.answer)
    }

    /// Asks a peer once for chunks, after telling `note` the message's id, and waits for as long as more of them come:
    /// `come` counts. Silence speaks against the peer if this was the `last` try.
    ///
    /// # Errors
    ///
    /// [`AskError`]; `Silent` also if only a part came.
    pub async fn fetch(
        &self,
        contact: Contact,
        body: &Body<'_>,
        note: impl Fn(u64),
        come: impl Fn() -> u32,
        (attempt, last): (u32, bool),
    ) -> Result<(), AskError> {
        let permit = self.breakers.try_acquire(&contact.address).map_err(|_open| AskError::Dead)?;
        let quiet = async {
            let (mut before, mut looks) = (0, 0_u32);
            while looks < LOOKS {
                sleep(self.patience(contact.address, body, attempt).checked_div(LOOKS).unwrap_or_default()).await;
                let now = come();
                looks = if now == before { looks.saturating_add(1) } else { 0 };
                before = now;
            }
        };
        let fetched = select! {
            fetched = self.call(Question::to(contact), body, LONGEST_FETCH, &note) => fetched.map(|_| ()),
            () = quiet => Err(AskError::Silent),
        };
        let silent = is_silence(&fetched) && come() == 0;
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
                self.note(id, contact.address);
                self.send(&Question::to(contact), id.as_u64(), body).await
            }
        };
        let (want, slowest) = (peers.len(), permits.values().map(|(contact, _)| contact.address));
        let patience = slowest.map(|address| self.patience(address, body, attempt)).max().unwrap_or_default();
        let replies = self.calls.gather(peers, want, patience, send).await.unwrap_or_default();
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

    /// A question with its retries, under the breaker of the address. Only silence speaks against a peer.
    async fn ask_with(&self, question: Question, body: &Body<'_>, policy: RetryPolicy) -> Result<Reply, AskError> {
        let attempts = AtomicU32::new(0);
        let attempt = || {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            self.proven(question, body, attempts.fetch_add(1, Ordering::Relaxed))
        };
        let answered = async {
            let run = policy.call(attempt).retry_if(AskError::is_transient).budget(&self.budget);
            run.await.map_err(|error| error.last.unwrap_or(AskError::Silent))
        };
        let verdict = |answered: &_| if is_silence(answered) { Outcome::Failure } else { Outcome::Success };
        match self.breakers.call_with(&question.address, answered, verdict).await {
            Err(BreakerError::Open { .. }) => Err(AskError::Dead),
            Err(BreakerError::Inner(error)) => Err(error),
            Err(_) => Err(AskError::Silent), // it was cut off
            Ok(reply) => Ok(reply),
        }
    }

    /// One attempt, and another if the first only brought the cookie that it lacked.
    async fn proven(&self, question: Question, body: &Body<'_>, attempt: u32) -> Result<Reply, AskError> {
        let patience = self.patience(question.address, body, attempt);
        match self.call(question, body, patience, &|_| {}).await {
            Err(AskError::Refused(Refusal::Unproven)) => self.call(question, body, patience, &|_| {}).await,
            other => other,
        }
    }

    async fn call(
        &self,
        question: Question,
        body: &Body<'_>,
        patience: Duration,
        note: &impl Fn(u64),
    ) -> Result<Reply, AskError> {
        let send = |id: CallId| {
            note(id.as_u64());
            self.note(id, question.address);
            async move { self.send(&question, id.as_u64(), body).await }
        };
        let called = self.calls.call(question.asked, patience, send).await;
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

    /// How long to wait for an answer: four deviations more than the round trips so far, those of this peer and of all
    /// together, and longer with each attempt.
    fn patience(&self, peer: SocketAddr, body: &Body<'_>, attempt: u32) -> Duration {
        let own = self.pace.with(|pace| pace.of(peer)).unwrap_or_default();
        let usual = self
            .calls
            .round_trips()
            .map_or(USUAL, |trips| trips.smoothed.saturating_add(trips.variation.saturating_mul(4)).max(FASTEST))
            .max(own);
        let patience = usual.saturating_mul((attempt / 2).saturating_add(1)).min(SLOWEST.max(own));
        if matches!(body, Body::Commit(_)) {
            return DISK.saturating_mul(1 << attempt.min(8)).min(SLOWEST_DISK).max(own);
        }
        patience
    }

    fn note(&self, id: CallId, peer: SocketAddr) {
        self.pace.with(|pace| pace.asked(id.as_u64(), peer, Instant::now()));
    }
}

const fn is_silence<T>(answered: &Result<T, AskError>) -> bool {
    matches!(answered, Err(AskError::Silent | AskError::Network(_)))
}

/// Silence says nothing of a peer before the last try.
const fn silence(last: bool) -> Outcome {
    if last { Outcome::Failure } else { Outcome::Ignored }
}
