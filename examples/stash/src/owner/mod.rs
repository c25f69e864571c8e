//! The owner's side: put a file into the stash, and get it back with nothing but the seed.

mod assembly;
mod fetch;
mod get;
mod put;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use stash_protocol::{Body, Identity, Vault, wire::MAX_DATAGRAM};
use steadfast::runtime::{Lock, Mutex};
use tokio::task::{JoinHandle, JoinSet};

use self::assembly::{Assembly, Piece};
pub use self::{
    get::{GetError, Recovered},
    put::{PutError, Stored},
};
use crate::link::{AskError, Contact, Greeting, Link, PeerAddress};

/// Somebody who owns a stash: a seed, a socket, and what is under way.
#[derive(Debug)]
pub struct Owner {
    link: Arc<Link>,
    vault: Arc<Vault>,
    assembly: Arc<Mutex<Option<Assembly>>>,
    /// Held by the one recovery that may be under way.
    recovering: tokio::sync::Mutex<()>,
    receiver: JoinHandle<()>,
}

impl Owner {
    /// The owner of a seed, speaking from `address`.
    ///
    /// # Errors
    ///
    /// If the name is none, or the address is taken or not this machine's.
    pub async fn bind(address: SocketAddr, seed: &[u8; 32], name: &str) -> io::Result<Self> {
        let link = Arc::new(Link::bind(address, Identity::from_seed(seed), name).await?);
        let vault = Arc::new(Vault::from_seed(seed));
        let assembly = Arc::new(Mutex::new(None));
        let receiver = tokio::spawn(receive(link.clone(), vault.clone(), assembly.clone()));
        Ok(Self { link, vault, assembly, recovering: tokio::sync::Mutex::new(()), receiver })
    }

    /// The socket and what is known of the peers.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Greets all of them at once. Those that are one and the same peer count once.
    async fn greet(&self, peers: &[PeerAddress]) -> (Vec<Greeting>, Vec<(PeerAddress, AskError)>) {
        let mut greetings = JoinSet::new();
        for (order, peer) in peers.iter().copied().enumerate() {
            let link = self.link.clone();
            greetings.spawn(async move { (order, peer, link.greet(peer).await) });
        }
        let mut all = greetings.join_all().await;
        all.sort_by_key(|(order, ..)| *order);
        let (mut greeted, mut failed) = (Vec::<Greeting>::new(), Vec::new());
        for (_, peer, result) in all {
            match result {
                Ok(greeting) if greeted.iter().any(|other| other.contact.id == greeting.contact.id) => {
                    failed.push((peer, AskError::NamedTwice));
                }
                Ok(greeting) => greeted.push(greeting),
                Err(error) => failed.push((peer, error)),
            }
        }
        (greeted, failed)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.receiver.abort();
    }
}

/// Hands each datagram to the question that it answers. Whatever is not an answer is not for an owner.
async fn receive(link: Arc<Link>, vault: Arc<Vault>, assembly: Arc<Mutex<Option<Assembly>>>) {
    let mut buffer = [0; MAX_DATAGRAM + 1];
    loop {
        let Ok((datagram, source)) = link.receive(&mut buffer).await else {
            // Some systems report here that an earlier datagram reached nobody.
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let Ok(opened) = link.open(datagram) else { continue };
        let Some(message) = opened.message() else { continue };
        let (Body::Chunk(chunk), Some(id)) = (&message.body, message.in_reply_to) else {
            link.on_reply(&message, source);
            continue;
        };
        link.heard(id, source);
        let piece = assembly.with(|assembly| Some(assembly.as_mut()?.take(&vault, id, message.from, chunk)));
        if let Some(Piece::Damaged { over: true } | Piece::Spare { over: true } | Piece::Taken { over: true }) = piece {
            link.finish_fetch(id, message.from, message.cookie);
        }
    }
}

/// Who failed and why, for the end of a line.
struct Reasons<'a>(&'a [(PeerAddress, AskError)]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = ": ";
        for (peer, error) in self.0 {
            write!(f, "{between}{} {error}", peer.address)?;
            between = ", ";
        }
        Ok(())
    }
}
