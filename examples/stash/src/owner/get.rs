//! Getting a file back from whoever keeps it.

use std::{fmt, net::SocketAddr};

use stash_protocol::{Body, Manifest, PeerId, Refusal, Summary};
use steadfast::{
    Quorum,
    quorum::{Ballot, QuorumStats},
    runtime::Lock,
};
use tokio::task::JoinSet;

use super::{AskError, Contact, Greeting, Owner, PeerAddress, Reasons, assembly::Assembly, fetch::Worker};
use crate::link::Answer;

/// The most peers that are asked because of what others said.
const PEERS: usize = 64;

/// How often all silent peers are asked what they keep.
const ROUNDS: u32 = 5;

/// How many questions one confidant is asked at a time.
const WORKERS: usize = 2;

/// A file that came back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovered {
    /// What was stored, byte for byte.
    pub file: Vec<u8>,
    /// Which version it is.
    pub version: u64,
    /// Who kept it.
    pub kept_by: Vec<Greeting>,
    /// Who offered an older version, and which.
    pub stale: Vec<(Greeting, u64)>,
    /// Who offered what this owner never sealed.
    pub forged: Vec<Greeting>,
    /// Newer versions that could not be had whole: they were never acknowledged, or their keepers lie.
    pub broken: Vec<u64>,
    /// How many chunks were opened: as many as the file has.
    pub opened: u64,
    /// How many chunks were damaged and had to come from somebody else.
    pub damaged: u64,
    /// The votes on which version to believe.
    pub votes: QuorumStats,
}

/// Why nothing came back. Nothing was changed anywhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GetError {
    /// Too few peers answered to believe any of them.
    TooFew {
        /// How many did.
        answered: usize,
        /// How many were needed.
        needed: usize,
        /// Who did not, and why.
        failed: Vec<(PeerAddress, AskError)>,
    },
    /// Peers answered, and none keeps anything for this seed.
    Nothing {
        /// How many answered.
        answered: usize,
    },
    /// What is kept could not be had whole.
    Broken {
        /// The versions that were tried.
        versions: Vec<u64>,
    },
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { answered, needed, failed } => {
                write!(f, "too few peers answered, {answered} where it takes {needed}{}", Reasons(failed))
            }
            Self::Nothing { answered } => {
                write!(f, "{answered} peers answered, and none keeps anything for this seed: is it the right one?")
            }
            Self::Broken { versions } => {
                let versions: Vec<_> = versions.iter().map(u64::to_string).collect();
                write!(f, "version {} is kept, but could not be had whole", versions.join(" and "))
            }
        }
    }
}

impl std::error::Error for GetError {}

/// What one peer said it keeps.
#[derive(Clone, Debug)]
enum Offer {
    Forged,
    Nothing(Vec<SocketAddr>),
    Version(Manifest, Summary),
}

impl Owner {
    /// Gets the file back from those of the `peers` who keep it.
    ///
    /// A majority of the peers must answer; then the newest version that this owner sealed is believed, so that no
    /// minority can roll the owner back. Each chunk comes from anybody who has it undamaged. `progress` hears how many
    /// chunks have come, and how many there will be. A second recovery waits for the first.
    ///
    /// # Errors
    ///
    /// [`GetError`].
    pub async fn get(
        &self,
        peers: &[PeerAddress],
        progress: impl Fn(u64, u64) + Clone + Send + Sync + 'static,
    ) -> Result<Recovered, GetError> {
        let _one_at_a_time = self.recovering.lock().await;
        let needed = (peers.len() / 2).saturating_add(1);
        let (greeted, mut failed) = self.greet(peers).await;
        let voters: Vec<_> = greeted.iter().map(|greeting| greeting.contact.id).collect();
        let mut offers = self.offers(greeted, &mut failed).await;
        let answered = offers.len();
        let Ok(quorum) = Quorum::<PeerId, Option<u64>>::builder(needed).voters(voters).build() else {
            return Err(GetError::TooFew { answered, needed, failed }); // more votes needed than there are voters
        };
        let ballot = quorum.ballot();
        for (greeting, offer) in &offers {
            let version = match offer {
                Offer::Version(manifest, _) => Some(manifest.version),
                Offer::Forged | Offer::Nothing(_) => None,
            };
            let _counted = quorum.vote(ballot, &greeting.contact.id, version); // each was asked once
        }
        let Ballot::Decided(believed) = quorum.result(ballot, |votes| votes.iter().copied().max()) else {
            return Err(GetError::TooFew { answered, needed, failed });
        };
        let votes = quorum.stats();
        if believed.is_none() {
            offers.extend(self.hearsay(&offers).await);
        }
        let versions = candidates(&offers);
        if versions.is_empty() {
            return Err(GetError::Nothing { answered });
        }
        let mut broken = Vec::new();
        for (manifest, summary) in versions {
            let keeps = |offer: &Offer| matches!(offer, Offer::Version(other, _) if *other == manifest);
            let kept_by: Vec<_> =
                offers.iter().filter(|(_, offer)| keeps(offer)).map(|(peer, _)| peer.clone()).collect();
            let contacts: Vec<_> = kept_by.iter().map(|greeting| greeting.contact).collect();
            let (file, (opened, damaged)) = self.assemble(&manifest, summary, &contacts, progress.clone()).await;
            let Some(file) = file else {
                broken.push(manifest.version);
                continue;
            };
            let version = manifest.version;
            let (mut stale, mut forged) = (Vec::new(), Vec::new());
            for (greeting, offer) in offers {
                match offer {
                    Offer::Version(other, _) if other.version < version => stale.push((greeting, other.version)),
                    Offer::Forged => forged.push(greeting),
                    Offer::Version(..) | Offer::Nothing(_) => {}
                }
            }
            return Ok(Recovered { file, version, kept_by, stale, forged, broken, opened, damaged, votes });
        }
        Err(GetError::Broken { versions: broken })
    }

    /// Asks all what they keep, and those again who did not answer.
    async fn offers(
        &self,
        mut waiting: Vec<Greeting>,
        failed: &mut Vec<(PeerAddress, AskError)>,
    ) -> Vec<(Greeting, Offer)> {
        let mut offers = Vec::new();
        let mut fail = |greeting: Greeting, error| {
            let Contact { address, id } = greeting.contact;
            failed.push((PeerAddress { address, id: Some(id) }, error));
        };
        for round in 0..ROUNDS {
            let contacts: Vec<_> = waiting.iter().map(|greeting| greeting.contact).collect();
            for (contact, answer) in self.link.ask_all(&contacts, &Body::Request, round, round == ROUNDS - 1).await {
                let Some(at) = waiting.iter().position(|greeting| greeting.contact == contact) else { continue };
                match answer {
                    Answer::Response(manifest, elsewhere) => {
                        offers.push((waiting.swap_remove(at), self.judge(manifest, elsewhere)));
                    }
                    Answer::Refused(Refusal::Unproven | Refusal::Busy) => {} // asked again in the next round
                    Answer::Refused(refusal) => fail(waiting.swap_remove(at), AskError::Refused(refusal)),
                    Answer::Ack | Answer::Fetched | Answer::Welcome { .. } => {
                        fail(waiting.swap_remove(at), AskError::Unexpected);
                    }
                }
            }
            if waiting.is_empty() {
                break;
            }
        }
        waiting.into_iter().for_each(|greeting| fail(greeting, AskError::Silent));
        offers
    }

    fn judge(&self, manifest: Option<Manifest>, elsewhere: Vec<SocketAddr>) -> Offer {
        let Some(manifest) = manifest else { return Offer::Nothing(elsewhere) };
        match self.vault.open_manifest(&manifest) {
            Some(summary) => Offer::Version(manifest, summary),
            None => Offer::Forged,
        }
    }

    /// What those keep of whom the others have heard that they keep something.
    async fn hearsay(&self, offers: &[(Greeting, Offer)]) -> Vec<(Greeting, Offer)> {
        let mut hints: Vec<_> = offers
            .iter()
            .flat_map(|(_, offer)| if let Offer::Nothing(elsewhere) = offer { elsewhere.as_slice() } else { &[] })
            .map(|address| PeerAddress { address: *address, id: None })
            .collect();
        hints.sort_by_key(|hint| hint.address);
        hints.dedup();
        hints.truncate(PEERS);
        let (mut greeted, mut failed) = self.greet(&hints).await;
        greeted.retain(|greeting| offers.iter().all(|(other, _)| other.contact.id != greeting.contact.id));
        self.offers(greeted, &mut failed).await
    }

    /// Gets all chunks of one version from those who keep it, and tells how many were opened and how many came damaged.
    async fn assemble(
        &self,
        manifest: &Manifest,
        summary: Summary,
        contacts: &[Contact],
        progress: impl Fn(u64, u64) + Clone + Send + Sync + 'static,
    ) -> (Option<Vec<u8>>, (u64, u64)) {
        self.assembly.with(|assembly| *assembly = Some(Assembly::new(manifest, summary)));
        let mut workers = JoinSet::new();
        for contact in contacts {
            for _ in 0..WORKERS {
                let worker = Worker { link: self.link.clone(), assembly: self.assembly.clone(), contact: *contact };
                workers.spawn(worker.run(manifest.version, progress.clone()));
            }
        }
        workers.join_all().await;
        let Some(assembly) = self.assembly.with(Option::take) else { return (None, (0, 0)) };
        let counts = assembly.counts();
        (assembly.finish(), counts)
    }
}

/// The versions that this owner sealed, the newest first.
fn candidates(offers: &[(Greeting, Offer)]) -> Vec<(Manifest, Summary)> {
    let mut versions: Vec<(Manifest, Summary)> = Vec::new();
    for (_, offer) in offers {
        if let Offer::Version(manifest, summary) = offer
            && versions.iter().all(|(other, _)| other != manifest)
        {
            versions.push((manifest.clone(), *summary));
        }
    }
    versions.sort_by_key(|(manifest, _)| std::cmp::Reverse(manifest.version));
    versions
}
