//! The five who keep files, each behind a bad link.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use stash_protocol::{Capacity, PeerId, Sealed};
use steadfast::Logger;

use super::summary::Table;
use crate::{
    bad_link::{BadLink, Faults},
    link::PeerAddress,
    node::{Node, NodeConfig},
};

/// A peer, alive or dead.
#[derive(Debug)]
pub(super) struct Peer {
    name: &'static str,
    folder: PathBuf,
    link: BadLink,
    node: Option<Node>,
}

impl Peer {
    /// Starts a peer that keeps its files in a folder of its own in `root`.
    pub(super) async fn start(name: &'static str, root: &Path, faults: Faults, logger: &Logger) -> io::Result<Self> {
        let folder = root.join(name);
        let node = serve(name, &folder, FREE, logger).await?;
        let link = BadLink::open(node.addr, faults, seed_of(name)).await?;
        Ok(Self { name, folder, link, node: Some(node) })
    }

    /// Ends as suddenly as by a power cut.
    pub(super) fn die(&mut self, table: &mut Table) {
        if let Some(node) = self.node.take() {
            table.keeper(&node.stats()); // what it was asking others goes with it
        }
    }

    /// Comes back with what is in its folder, at the old address unless somebody else has it now.
    pub(super) async fn revive(&mut self, faults: Faults, logger: &Logger) -> io::Result<()> {
        if let Ok(node) = serve(self.name, &self.folder, self.link.target(), logger).await {
            self.node = Some(node);
            return Ok(());
        }
        let node = serve(self.name, &self.folder, FREE, logger).await?;
        self.link = BadLink::open(node.addr, faults, seed_of(self.name)).await?;
        self.node = Some(node);
        Ok(())
    }

    /// Ends politely.
    pub(super) async fn stop(self, table: &mut Table) {
        if let Some(node) = self.node {
            let stats = node.stop().await;
            table.keeper(&stats);
            table.link(&stats.link);
        }
    }

    /// Where it is: behind its bad link.
    pub(super) const fn address(&self) -> PeerAddress {
        PeerAddress { address: self.link.addr(), id: None }
    }

    /// The bad link.
    pub(super) const fn link(&self) -> &BadLink {
        &self.link
    }

    /// The peer itself, if it is alive.
    pub(super) fn node(&self) -> io::Result<&Node> {
        self.node.as_ref().ok_or_else(|| io::Error::other(format!("{} is dead", self.name)))
    }

    /// Turns one bit of every chunk that it keeps for an owner, as a rotten disk does.
    pub(super) fn rot(&self, owner: &PeerId) -> io::Result<()> {
        for entry in fs::read_dir(self.folder.join(owner.to_string()))? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "data") {
                continue;
            }
            let mut bytes = fs::read(&path)?;
            for place in bytes.chunks_mut(2 + Sealed::MAX) {
                if let Some(byte) = place.get_mut(2 + Sealed::OVERHEAD / 2) {
                    *byte ^= 1;
                }
            }
            fs::write(&path, bytes)?;
        }
        Ok(())
    }
}

/// Any free port of this machine.
const FREE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn serve(name: &str, folder: &Path, listen: SocketAddr, logger: &Logger) -> io::Result<Node> {
    let (name, folder, logger) = (name.to_owned(), folder.to_owned(), logger.clone());
    Node::start(NodeConfig { name, listen, folder, capacity: Capacity::Low, peers: Vec::new(), logger }).await
}

/// The same faults in every run.
fn seed_of(name: &str) -> u64 {
    name.bytes().fold(0, |seed, byte| seed << 8 | u64::from(byte))
}
