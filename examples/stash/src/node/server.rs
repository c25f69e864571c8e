//! What reads the socket, and answers at once whatever needs no disk.

use std::{net::SocketAddr, sync::Arc};

use stash_protocol::{Holding, Identity, Reply, wire::MAX_DATAGRAM};
use steadfast::runtime::{SystemTimer, Timer};
use tokio::{
    select,
    sync::{Notify, mpsc},
    time::{Duration, sleep},
};

use super::{
    announcer::Announcer,
    keeper::Keeper,
    lanes::{Lanes, Output},
};
use crate::{disk::Disk, link::Link};

/// How many datagrams wait until the socket takes them.
const LETTERS: usize = 64;

type Letter = (Vec<u8>, SocketAddr);

pub(super) struct Server {
    link: Arc<Link>,
    keeper: Arc<Keeper<Disk>>,
    lanes: Lanes<Disk, Outbox>,
    letters: mpsc::Receiver<Letter>,
}

/// What the lanes have to tell others.
struct Outbox {
    link: Arc<Link>,
    letters: mpsc::Sender<Letter>,
    announcer: Arc<Announcer>,
}

impl Output for Outbox {
    fn identity(&self) -> &Identity {
        self.link.identity()
    }

    fn send(&self, datagram: &[u8], to: SocketAddr) {
        let _ = self.letters.blocking_send((datagram.to_vec(), to)); // nobody reads them once the server has ended
    }

    fn committed(&self, holding: Holding) {
        self.announcer.tell(holding);
    }
}

impl Server {
    pub(super) fn new(link: Arc<Link>, keeper: Arc<Keeper<Disk>>, announcer: Arc<Announcer>) -> Self {
        let (sender, letters) = mpsc::channel(LETTERS);
        let lanes = Lanes::new(keeper.clone(), Outbox { link: link.clone(), letters: sender, announcer });
        Self { link, keeper, lanes, letters }
    }

    pub(super) async fn run(mut self, stopping: Arc<Notify>) {
        let mut buffer = [0; MAX_DATAGRAM + 1];
        loop {
            let deadline = self.keeper.next_deadline();
            let idle = async {
                match deadline {
                    Some(at) => SystemTimer.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            select! {
                received = self.link.receive(&mut buffer) => match received {
                    Ok((datagram, source)) => self.take(datagram, source).await,
                    // Some systems report here that an earlier datagram reached nobody.
                    Err(_) => sleep(Duration::from_millis(1)).await,
                },
                Some(letter) = self.letters.recv() => self.post(letter).await,
                () = self.lanes.closed() => {} // what it did may have moved the deadline
                () = idle => self.lanes.drop_idle_uploads(),
                () = stopping.notified() => break,
            }
        }
        let Self { link, lanes, mut letters, .. } = self;
        let mut end = std::pin::pin!(lanes.end());
        loop {
            select! {
                () = &mut end => break,
                Some((datagram, to)) = letters.recv() => {
                    let _ = link.send_raw(&datagram, to).await;
                }
            }
        }
        while let Ok((datagram, to)) = letters.try_recv() {
            let _ = link.send_raw(&datagram, to).await;
        }
    }

    async fn take(&mut self, datagram: &[u8], source: SocketAddr) {
        let opened = match self.link.open(datagram) {
            Ok(opened) => opened,
            Err(error) => return self.keeper.dropped(source, error),
        };
        if let Some(message) = opened.message().filter(|message| message.body.is_reply()) {
            self.link.on_reply(&message, source);
        } else if let Some(reply) = self.lanes.take(opened, source) {
            self.answer(reply).await;
        }
    }

    /// Sends a reply that reads no chunks.
    async fn answer(&self, mut reply: Reply) {
        let (mut buffer, mut store) = ([0; MAX_DATAGRAM], self.keeper.store());
        while let Some(datagram) = reply.next(&mut store, self.link.identity(), &mut buffer) {
            // Whoever does not get it asks again.
            let _ = self.link.send_raw(datagram, reply.destination()).await;
        }
    }

    async fn post(&self, (datagram, to): Letter) {
        let _ = self.link.send_raw(&datagram, to).await;
    }
}
