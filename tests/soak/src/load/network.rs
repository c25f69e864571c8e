//! Peers that answer, hang, answer late, twice, in another's name, and under ids that they guess.

use std::{collections::VecDeque, io, sync::Arc, thread, time::Duration};

use steadfast::{
    block_on,
    correlator::{CorrelatorStats, Resolution},
};
use tokio::sync::mpsc;

use crate::{
    count::Counter,
    dice::Dice,
    faults::{Fault, Faults},
    sums::Sums,
};

pub(crate) const PEERS: u32 = 4;

/// How long callers wait for a reply.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(10);

/// What is on its way to a peer.
#[derive(Debug)]
pub(crate) struct Ask<Id> {
    pub(crate) id: Id,
    pub(crate) question: u64,
}

/// What a peer that was asked `question` answers; nobody answers so by accident.
pub(crate) const fn answer_to(question: u64) -> u64 {
    question.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1
}

/// A lie: no answer is even.
const LIE: u64 = 0;

/// Where replies arrive.
pub(crate) trait Desk: Send + Sync + 'static {
    type Id: Send + 'static;

    /// A reply from the peer that was asked.
    fn reply(&self, ask: &Ask<Self::Id>, from: u32, reply: u64) -> Resolution<u64>;

    /// A reply that `from` sends to what another peer was asked.
    fn foreign(&self, ask: &Ask<Self::Id>, from: u32, reply: u64) -> Resolution<u64>;

    /// A reply under an id that `from` has guessed.
    fn guess(&self, bits: u64, from: u32, reply: u64) -> Resolution<u64>;
}

/// What became of the replies, as those who sent them were told.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    matched: Counter,
    late: Counter,
    duplicate: Counter,
    unknown: Counter,
    wrong_peer: Counter,
    /// Replies in another's name that were taken.
    forged: Counter,
    guesses: Counter,
    /// Guesses that were taken.
    guessed: Counter,
}

impl Replies {
    pub(crate) fn count(&self, resolution: Resolution<u64>) {
        let counter = match resolution {
            Resolution::Matched => &self.matched,
            Resolution::Late(_) => &self.late,
            Resolution::Duplicate(_) => &self.duplicate,
            Resolution::Unknown(_) => &self.unknown,
            Resolution::WrongPeer(_) => &self.wrong_peer,
        };
        counter.add(1);
    }

    fn count_forged(&self, resolution: Resolution<u64>) {
        self.forged.add(u64::from(resolution.is_matched()));
        self.count(resolution);
    }

    pub(crate) fn count_guess(&self, resolution: Resolution<u64>) {
        self.guesses.add(1);
        self.guessed.add(u64::from(resolution.is_matched()));
        self.count(resolution);
    }

    /// Callers who were told a lie, by those that guessed right.
    fn lies(&self) -> u64 {
        self.guessed.get()
    }

    pub(crate) fn sums(&self, stats: &CorrelatorStats, sums: &mut Sums) {
        let ends = [
            ("resolved", stats.resolved),
            ("timed out", stats.timed_out),
            ("cancelled", stats.cancelled),
            ("closed", stats.closed),
            ("pending", stats.pending),
        ];
        sums.adds_up(("calls", stats.begun), &ends);
        let told = [
            ("late", self.late.get()),
            ("twice", self.duplicate.get()),
            ("unknown", self.unknown.get()),
            ("wrong peer", self.wrong_peer.get()),
        ];
        let refused = stats.late + stats.duplicates + stats.unknown + stats.wrong_peer;
        sums.adds_up(("replies refused", refused), &told);
        sums.adds_up(("resolved", stats.resolved), &[("replies taken", self.matched.get())]);
        sums.never("replies of another peer taken", self.forged.get());
        // One in 2^32 names a call that is pending in its slot.
        sums.at_most("guesses taken", self.guessed.get(), 1 + (self.guesses.get() >> 28));
        sums.never("calls still pending", stats.pending);
    }
}

/// What the callers of one correlator were told.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    pub(crate) answered: Counter,
    /// Told that it is full or closed.
    pub(crate) refused: Counter,
    /// Of the answers, those to another question.
    pub(crate) foreign: Counter,
}

impl Callers {
    pub(crate) fn sums(&self, stats: &CorrelatorStats, replies: &Replies, sums: &mut Sums) {
        sums.at_most("answers to callers", self.answered.get(), stats.resolved);
        sums.at_most("callers told full or closed", self.refused.get(), stats.refused + stats.closed);
        sums.at_most("answers to another question", self.foreign.get(), replies.lies());
    }
}

/// Peers, half of them tasks, half of them threads; they end with this.
#[derive(Debug)]
pub(crate) struct Network<Id> {
    peers: Vec<mpsc::Sender<Ask<Id>>>,
}

impl<Id: Send + 'static> Network<Id> {
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub(crate) fn new<D: Desk<Id = Id>>(
        desk: &Arc<D>,
        replies: &Arc<Replies>,
        dice: &Dice,
        faults: &Arc<Faults>,
    ) -> io::Result<Self> {
        let mut peers = Vec::new();
        for me in 0..PEERS {
            let (sender, asked) = mpsc::channel(64);
            let peer =
                Peer { me, desk: desk.clone(), replies: replies.clone(), dice: dice.fork(), faults: faults.clone() };
            let serve = peer.serve(asked);
            if me % 2 == 0 {
                drop(tokio::spawn(serve));
            } else {
                drop(thread::Builder::new().name(format!("peer {me}")).spawn(|| block_on(serve))?);
            }
            peers.push(sender);
        }
        Ok(Self { peers })
    }

    /// Sends, unless the wire is full.
    pub(crate) fn send(&self, to: u32, ask: Ask<Id>) -> Result<(), WireFull> {
        self.peers[to as usize].try_send(ask).map_err(|_full| WireFull)
    }
}

/// The wire to a peer is full.
#[derive(Debug)]
pub(crate) struct WireFull;

struct Peer<D> {
    me: u32,
    desk: Arc<D>,
    replies: Arc<Replies>,
    dice: Dice,
    faults: Arc<Faults>,
}

impl<D: Desk> Peer<D> {
    async fn serve(self, mut asked: mpsc::Receiver<Ask<D::Id>>) {
        let mut put_off = VecDeque::new();
        while let Some(ask) = asked.recv().await {
            match self.dice.below(8) {
                0 => self.faults.hit(Fault::Hang),
                1 => put_off.push_back(ask),
                2 => {
                    self.answer(&ask);
                    self.faults.hit(Fault::Twice);
                    self.answer(&ask);
                }
                3 => {
                    self.forge(&ask);
                    self.answer(&ask);
                }
                _ => self.answer(&ask),
            }
            if put_off.len() > 48 {
                put_off.pop_front().iter().for_each(|ask| self.answer(ask));
            }
        }
    }

    fn answer(&self, ask: &Ask<D::Id>) {
        let resolution = self.desk.reply(ask, self.me, answer_to(ask.question));
        if matches!(resolution, Resolution::Late(_)) {
            self.faults.hit(Fault::Late);
        }
        self.replies.count(resolution);
    }

    fn forge(&self, ask: &Ask<D::Id>) {
        self.faults.hit(Fault::Forged);
        let other = (self.me + 1) % PEERS;
        self.replies.count_forged(self.desk.foreign(ask, other, LIE));
        for _ in 0..16 {
            self.faults.hit(Fault::Flood);
            self.replies.count_guess(self.desk.guess(self.dice.roll(), self.me, LIE));
        }
    }
}
