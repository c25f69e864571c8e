//! A bad link: a UDP proxy in front of a peer that loses, doubles and damages datagrams, from a seed.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "for tests and the demo: whatever goes wrong in it fails them"
)]

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use stash_protocol::wire::MAX_DATAGRAM;
use tokio::{net::UdpSocket, task::JoinSet};

/// How bad a link is: of 1,000 datagrams, how many meet which fate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Never arrive.
    pub lost: u16,
    /// Arrive twice.
    pub doubled: u16,
    /// Arrive with one bit turned over.
    pub damaged: u16,
}

/// What has passed a link so far, both ways.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LinkCounts {
    /// Datagrams that came to the link.
    pub seen: u64,
    /// Of these, lost.
    pub lost: u64,
    /// Of these, doubled.
    pub doubled: u64,
    /// Of these, damaged.
    pub damaged: u64,
}

impl LinkCounts {
    /// What has passed several links together.
    pub fn sum(links: impl Iterator<Item = Self>) -> Self {
        links.fold(Self::default(), |all, link| Self {
            seen: all.seen + link.seen,
            lost: all.lost + link.lost,
            doubled: all.doubled + link.doubled,
            damaged: all.damaged + link.damaged,
        })
    }
}

/// A proxy that speaks for one peer: whoever sends to [`addr`](Self::addr) reaches it through the link's faults.
///
/// Each client keeps one port towards the peer, as behind a router. Dropping the link cuts it.
#[derive(Debug)]
pub struct BadLink {
    addr: SocketAddr,
    target: SocketAddr,
    state: Arc<Mutex<State>>,
    _pump: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    random: u64,
    counts: LinkCounts,
    clients: Vec<SocketAddr>,
    /// The last datagrams towards the peer, for whoever listens on the wire.
    overheard: VecDeque<Overheard>,
}

#[derive(Clone, Debug)]
struct Overheard {
    datagram: Vec<u8>,
    /// The port that it left from.
    port: Arc<UdpSocket>,
    has_arrived: bool,
}

/// How many datagrams an eavesdropper remembers.
const OVERHEARD: usize = 64;

impl BadLink {
    /// A link to `target` on a free port of this machine.
    ///
    /// # Errors
    ///
    /// If no socket can be opened.
    pub async fn open(target: SocketAddr, faults: Faults, seed: u64) -> io::Result<Self> {
        let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let addr = front.local_addr()?;
        let state = State {
            faults,
            random: seed,
            counts: LinkCounts::default(),
            clients: Vec::new(),
            overheard: VecDeque::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let mut pump = JoinSet::new();
        pump.spawn(forward(front, target, state.clone()));
        Ok(Self { addr, target, state, _pump: pump })
    }

    /// Where the peer seems to be.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the peer really is.
    pub const fn target(&self) -> SocketAddr {
        self.target
    }

    /// Makes the link better or worse from now on.
    pub fn set_faults(&self, faults: Faults) {
        lock(&self.state).faults = faults;
    }

    /// What has passed so far.
    pub fn counts(&self) -> LinkCounts {
        lock(&self.state).counts
    }

    /// Who has sent towards the peer.
    pub fn clients(&self) -> Vec<SocketAddr> {
        lock(&self.state).clients.clone()
    }

    /// The last datagrams that were sent towards the peer, as an eavesdropper has them.
    pub fn overheard(&self) -> Vec<Vec<u8>> {
        lock(&self.state).overheard.iter().map(|overheard| overheard.datagram.clone()).collect()
    }

    /// Sends everything overheard that has arrived once more, from the ports that it first left from, and tells how many
    /// datagrams that were: what somebody in the middle of the link can do.
    ///
    /// # Errors
    ///
    /// If a datagram cannot be sent.
    pub async fn replay(&self) -> io::Result<u64> {
        let overheard = lock(&self.state).overheard.clone();
        let mut sent = 0;
        for Overheard { datagram, port, .. } in overheard.iter().filter(|overheard| overheard.has_arrived) {
            port.send(datagram).await?;
            sent += 1;
        }
        Ok(sent)
    }
}

/// From the clients to the peer; one task for each client brings the answers back.
async fn forward(front: Arc<UdpSocket>, target: SocketAddr, state: Arc<Mutex<State>>) {
    let mut ports: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut answers = JoinSet::new();
    let mut buffer = [0; MAX_DATAGRAM + 1];
    loop {
        // An error is a peer's closed port reported back; the next datagram may pass.
        let Ok((len, client)) = front.recv_from(&mut buffer).await else { continue };
        let port = match ports.get(&client) {
            Some(port) => port.clone(),
            None => {
                let Ok(port) = connect(target).await else { continue };
                let port = Arc::new(port);
                answers.spawn(answer(port.clone(), front.clone(), client, state.clone()));
                ports.insert(client, port.clone());
                lock(&state).clients.push(client);
                port
            }
        };
        let copies = {
            let mut state = lock(&state);
            let datagram = buffer[..len].to_vec();
            let copies = state.fate(&mut buffer[..len]);
            state.overhear(Overheard { datagram, port: port.clone(), has_arrived: copies > 0 });
            copies
        };
        for _ in 0..copies {
            let _ = port.send(&buffer[..len]).await;
        }
    }
}

async fn answer(port: Arc<UdpSocket>, front: Arc<UdpSocket>, client: SocketAddr, state: Arc<Mutex<State>>) {
    let mut buffer = [0; MAX_DATAGRAM + 1];
    loop {
        let Ok(len) = port.recv(&mut buffer).await else { continue };
        let copies = lock(&state).fate(&mut buffer[..len]);
        for _ in 0..copies {
            let _ = front.send_to(&buffer[..len], client).await;
        }
    }
}

async fn connect(target: SocketAddr) -> io::Result<UdpSocket> {
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    port.connect(target).await?;
    Ok(port)
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// How often a datagram arrives, and in what state.
    fn fate(&mut self, datagram: &mut [u8]) -> usize {
        self.counts.seen += 1;
        let Faults { lost, doubled, damaged } = self.faults;
        if self.happens(lost) {
            self.counts.lost += 1;
            return 0;
        }
        if self.happens(damaged) {
            let bit = self.next_random() as usize % (8 * datagram.len()).max(1);
            if let Some(byte) = datagram.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            self.counts.damaged += 1;
        }
        let twice = self.happens(doubled);
        self.counts.doubled += u64::from(twice);
        1 + usize::from(twice)
    }

    fn overhear(&mut self, overheard: Overheard) {
        if self.overheard.len() == OVERHEARD {
            self.overheard.pop_front();
        }
        self.overheard.push_back(overheard);
    }

    fn happens(&mut self, permille: u16) -> bool {
        permille > 0 && self.next_random() % 1_000 < u64::from(permille)
    }

    /// `SplitMix64`.
    const fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(faults: Faults) -> State {
        State { faults, random: 7, counts: LinkCounts::default(), clients: Vec::new(), overheard: VecDeque::new() }
    }

    #[test]
    fn faults_happen_as_often_as_asked() {
        let mut state = state(Faults { lost: 100, doubled: 100, damaged: 50 });
        let arrived: usize = (0..10_000).map(|_| state.fate(&mut [0; 100])).sum();
        let LinkCounts { seen, lost, doubled, damaged } = state.counts;
        assert_eq!((seen, arrived as u64), (10_000, 10_000 - lost + doubled));
        assert!((900..1_100).contains(&lost), "{lost}");
        assert!((800..1_000).contains(&doubled), "{doubled}");
        assert!((380..520).contains(&damaged), "{damaged}");
    }

    #[test]
    fn damage_turns_one_bit() {
        let mut state = state(Faults { damaged: 1_000, ..Faults::default() });
        let mut datagram = [0; 20];
        assert_eq!(state.fate(&mut datagram), 1);
        assert_eq!(datagram.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    }

    #[tokio::test]
    async fn a_good_link_carries_both_ways() {
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let link = BadLink::open(peer.local_addr().unwrap(), Faults::default(), 1).await.unwrap();
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        client.send_to(b"ping", link.addr()).await.unwrap();
        let mut buffer = [0; 10];
        let (len, port) = peer.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], b"ping");
        peer.send_to(b"pong", port).await.unwrap();
        let (len, from) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..len], from), (&b"pong"[..], link.addr()));
        assert_eq!(link.overheard(), [b"ping".to_vec()]);
        assert_eq!(link.clients(), [client.local_addr().unwrap()]);
        assert_eq!(link.counts().seen, 2);

        assert_eq!(link.replay().await.unwrap(), 1);
        assert_eq!(peer.recv_from(&mut buffer).await.unwrap(), (4, port));
    }
}
