//! What other peers said they keep.

use core::net::SocketAddr;

use heapless::{Deque, Vec};

use crate::PeerId;

/// The newest `N` hints where an owner's stash may be found. Hearsay: whoever follows one checks what it gets.
pub(super) struct Hints<const N: usize> {
    known: Deque<(PeerId, SocketAddr), N>,
}

impl<const N: usize> Hints<N> {
    pub(super) const fn new() -> Self {
        Self { known: Deque::new() }
    }

    /// Notes that the peer at `address` says it keeps something of `owner`; the oldest hint makes room.
    pub(super) fn note(&mut self, owner: PeerId, address: SocketAddr) {
        if self.known.iter().any(|hint| *hint == (owner, address)) {
            return;
        }
        if self.known.is_full() {
            self.known.pop_front();
        }
        let _no_room_for_none = self.known.push_back((owner, address));
    }

    /// Where `owner` may ask.
    pub(super) fn find<const MOST: usize>(&self, owner: &PeerId) -> Vec<SocketAddr, MOST> {
        self.known.iter().filter(|(of, _)| of == owner).map(|(_, address)| *address).take(MOST).collect()
    }
}
