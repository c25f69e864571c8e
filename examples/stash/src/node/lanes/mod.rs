//! Where messages wait for the disk: in a lane for each owner, so that nobody waits for another's.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use stash_protocol::{
    Begun, Body, Holding, Identity, Job, PeerId, Reply,
    wire::{MAX_DATAGRAM, Opened},
};
use steadfast::runtime::{Lock, Mutex};
use tokio::task::JoinSet;

use super::keeper::{Keeper, Medium};

/// How many messages of one owner wait: what a store has on its way, from a few machines at once.
const WAITING: usize = 128;

/// What is to be done for one owner, each thing after the one before it.
enum Task {
    /// An upload that has paused too long goes.
    Discard(u64),
    /// A message that the store has to work for.
    Job(Box<Opened>, Job),
    /// A message that nobody has looked at yet.
    Message(Box<Opened>, SocketAddr),
    /// A reply that reads chunks.
    Send(Box<Reply>),
}

/// Owners for whom the disk is at work, each on a thread of its own; never more than have a place here.
///
/// One task opens lanes and fills them. A lane closes when nothing waits in it any more.
pub(super) struct Lanes<S: Medium, O> {
    works: Arc<Works<S, O>>,
    threads: JoinSet<()>,
}

/// What the threads share.
struct Works<S, O> {
    keeper: Arc<Keeper<S>>,
    output: O,
    waiting: Mutex<HashMap<PeerId, VecDeque<Task>>>,
}

/// Takes what comes out of the lanes, on their threads: it may wait.
pub(super) trait Output: Send + Sync + 'static {
    /// Who signs.
    fn identity(&self) -> &Identity;
    /// A datagram to be sent.
    fn send(&self, datagram: &[u8], to: SocketAddr);
    /// What is kept from now on.
    fn committed(&self, holding: Holding);
}

impl<S: Medium, O: Output> Lanes<S, O> {
    pub(super) fn new(keeper: Arc<Keeper<S>>, output: O) -> Self {
        let works = Works { keeper, output, waiting: Mutex::default() };
        Self { works: Arc::new(works), threads: JoinSet::new() }
    }

    /// Takes a question. The reply, if it can be given at once; else it comes out of a lane.
    pub(super) fn take(&mut self, opened: Opened, source: SocketAddr) -> Option<Reply> {
        let message = opened.message()?;
        let owner = message.from;
        let needs_disk = matches!(message.body, Body::Store(_) | Body::Commit(_) | Body::Fetch { .. });
        let mut opened = Box::new(opened);
        if needs_disk {
            match self.follow(&owner, opened, source) {
                Ok(()) => return None,
                Err((opened, true)) => return Some(self.works.keeper.refuse_busy(&opened.message()?, source)),
                Err((back, false)) => opened = back,
            }
        }
        let begun = self.works.keeper.begin(&opened.message()?, source);
        match begun {
            Begun::Job(job) => self.start(owner, Task::Job(opened, job)),
            Begun::Replied(reply) if reply.reads_store() => self.start(owner, Task::Send(Box::new(reply))),
            Begun::Replied(reply) => return Some(reply),
        }
        None
    }

    /// Drops the uploads that have paused too long.
    pub(super) fn drop_idle_uploads(&mut self) {
        while let Some((owner, version)) = self.works.keeper.begin_timeout() {
            self.start(owner, Task::Discard(version));
        }
    }

    /// Puts a message behind the others of its owner's. It comes back if none of them waits, or too many do; then the flag
    /// is true.
    fn follow(&self, owner: &PeerId, message: Box<Opened>, source: SocketAddr) -> Result<(), (Box<Opened>, bool)> {
        self.works.waiting.with(|waiting| match waiting.get_mut(owner) {
            None => Err((message, false)),
            Some(lane) if lane.len() >= WAITING => Err((message, true)),
            Some(lane) => {
                lane.push_back(Task::Message(message, source));
                Ok(())
            }
        })
    }

    /// Has something done for an owner, behind what waits already, which may be one more than usual.
    fn start(&mut self, owner: PeerId, task: Task) {
        let opened = self.works.waiting.with(|waiting| match waiting.get_mut(&owner) {
            Some(lane) => {
                lane.push_back(task);
                None
            }
            None => {
                waiting.insert(owner, VecDeque::new());
                Some(task)
            }
        });
        if let Some(task) = opened {
            let works = self.works.clone();
            self.threads.spawn_blocking(move || works.run(&owner, task));
        }
    }

    /// Waits until a lane has closed; if none is open, for ever.
    pub(super) async fn closed(&mut self) {
        if self.threads.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends what is being done, and drops what waits.
    pub(super) async fn end(mut self) {
        self.works.drop_waiting();
        while self.threads.join_next().await.is_some() {}
    }
}

/// What waits is dropped; what is being done goes on to its end.
impl<S: Medium, O> Drop for Lanes<S, O> {
    fn drop(&mut self) {
        self.works.drop_waiting();
    }
}

impl<S, O> Works<S, O> {
    fn drop_waiting(&self) {
        let waiting = self.waiting.with(|waiting| {
            let lanes = waiting.values_mut().map(std::mem::take);
            lanes.collect::<Vec<_>>()
        });
        drop(waiting);
    }
}

impl<S: Medium, O: Output> Works<S, O> {
    fn run(&self, owner: &PeerId, first: Task) {
        let mut store = self.keeper.store();
        let mut next = Some(first);
        while let Some(task) = next {
            self.work(owner, task, &mut store);
            next = self.waiting.with(|waiting| {
                let task = waiting.get_mut(owner).and_then(VecDeque::pop_front);
                if task.is_none() {
                    waiting.remove(owner);
                }
                task
            });
        }
    }

    fn work(&self, owner: &PeerId, task: Task, store: &mut S) {
        match task {
            Task::Discard(version) => {
                store.discard(owner, version);
                self.keeper.end_timeout(owner, store.take_error());
            }
            Task::Job(opened, job) => self.finish(&opened, job, store),
            Task::Message(opened, source) => {
                let Some(message) = opened.message() else { return };
                match self.keeper.begin(&message, source) {
                    Begun::Job(job) => self.finish(&opened, job, store),
                    Begun::Replied(reply) => self.send(reply, store),
                }
            }
            Task::Send(reply) => self.send(*reply, store),
        }
    }

    fn finish(&self, opened: &Opened, mut job: Job, store: &mut S) {
        let Some(message) = opened.message() else { return };
        job.run(&message, store);
        let (reply, committed) = self.keeper.end(job, &message, store.take_error());
        if let Some(holding) = committed {
            self.output.committed(holding);
        }
        self.send(reply, store);
    }

    fn send(&self, mut reply: Reply, store: &mut S) {
        let mut buffer = [0; MAX_DATAGRAM];
        while let Some(datagram) = reply.next(store, self.output.identity(), &mut buffer) {
            self.output.send(datagram, reply.destination());
        }
    }
}
