//! Proof that a peer receives at the address it sends from, and that what it sends is not a recording.

use core::{
    hash::{Hash, Hasher},
    net::SocketAddr,
    time::Duration,
};

use siphasher::sip::SipHasher24;
use steadfast_core::Instant;

use crate::PeerId;

/// How long one epoch lasts. A cookie lives through its own epoch and the next.
const EPOCH: Duration = Duration::from_secs(60);

/// How long a cookie can be valid: ids are remembered for as long.
pub(super) const LIFE: Duration = Duration::from_secs(120);

/// Makes and checks cookies without remembering any: each is a keyed hash of sender, address and epoch.
pub(super) struct Cookies {
    key: (u64, u64),
    epoch: u64,
    epoch_ends_at: Instant,
}

impl Cookies {
    /// Cookies under a secret key; those of any other key are worth nothing.
    pub(super) const fn new(low: u64, high: u64) -> Self {
        Self { key: (low, high), epoch: 0, epoch_ends_at: Instant::ZERO }
    }

    /// Moves on to the epoch of `now`. A clock that steps back makes the current epoch last one more span at most.
    pub(super) fn advance(&mut self, now: Instant) {
        let next_ends_at = self.epoch_ends_at.saturating_add(EPOCH);
        if now >= next_ends_at {
            self.epoch = self.epoch.wrapping_add(2);
            self.epoch_ends_at = now.saturating_add(EPOCH);
        } else if now >= self.epoch_ends_at {
            self.epoch = self.epoch.wrapping_add(1);
            self.epoch_ends_at = next_ends_at;
        } else {
            self.epoch_ends_at = self.epoch_ends_at.min(now.saturating_add(EPOCH));
        }
    }

    /// The cookie of a peer at an address.
    pub(super) fn bake(&self, peer: &PeerId, address: SocketAddr) -> u64 {
        self.hash(peer, address, self.epoch)
    }

    /// Whether `cookie` was baked for this peer at this address in this epoch or the one before.
    pub(super) fn accept(&self, cookie: u64, peer: &PeerId, address: SocketAddr) -> bool {
        let before = self.epoch.wrapping_sub(1);
        cookie == self.hash(peer, address, self.epoch) || cookie == self.hash(peer, address, before)
    }

    fn hash(&self, peer: &PeerId, address: SocketAddr, epoch: u64) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
        epoch.hash(&mut hasher);
        peer.hash(&mut hasher);
        address.hash(&mut hasher);
        hasher.finish()
    }
}
