//! What mallory does, and how it is met.

use std::{io, time::Duration};

use stash_protocol::ConfidantStats;
use tokio::time::{Instant, sleep};

use super::{
    check::Checks,
    story::{BOB, FAULTS, FRANK, SMALL_OWNERS, Story},
};
use crate::{bad_link::Faults, owner::Owner};

/// How many requests a flood has, and how many of them are answered.
const FLOOD: u64 = 60;
const A_MINUTE: u64 = 5;

/// How long she tries to be faster than the true answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Story {
    /// 3, too. Mallory acks, stores, replays and sends noise.
    pub(super) async fn attack(&mut self, alice: &Owner, checks: &mut Checks) -> io::Result<()> {
        self.scene(format_args!("   mallory listens to the link of bob, forges and replays"));
        let held = self.peers[BOB].node()?.held(&self.alice);
        self.forge_acks(alice, checks).await?;
        self.forge_a_store(checks).await?;
        self.replay(checks).await?;
        let held_now = self.peers[BOB].node()?.held(&self.alice);
        checks.that(held_now == held, "bob keeps for alice what he kept");
        Ok(())
    }

    /// While the link is cut, she answers in bob's place.
    async fn forge_acks(&mut self, alice: &Owner, checks: &mut Checks) -> io::Result<()> {
        let (link, bob) = (self.peers[BOB].link(), self.peers[BOB].node()?);
        let (caller, before) = (alice.link().address()?, alice.link().stats());
        let wrong_peers = || alice.link().stats().calls.wrong_peer - before.calls.wrong_peer;
        let mallory = &mut self.mallory;
        link.set_faults(Faults { lost: 1_000, ..FAULTS });
        let forge = async {
            let (mut acks, mut seen, ends_at) = (0, link.counts().seen, Instant::now() + PATIENCE);
            while wrong_peers() == 0 && Instant::now() < ends_at {
                sleep(Duration::from_millis(1)).await;
                if link.counts().seen > seen {
                    seen = link.counts().seen;
                    let call = link.overheard().pop().unwrap_or_default();
                    acks += u64::from(mallory.ack(&call, bob.id, caller).await?);
                }
            }
            link.set_faults(FAULTS);
            io::Result::Ok(acks)
        };
        let (answered, acks) = tokio::join!(alice.link().greet(self.peers[BOB].address()), forge);
        let acks = acks?;
        let refused = || wrong_peers() > 0 && alice.link().stats().dropped - before.dropped == acks;
        checks
            .soon(refused, "an ack to alice's call in mallory's name is refused, and one in bob's: not his signature")
            .await;
        let is_bob = answered.is_ok_and(|greeting| greeting.contact.id == bob.id);
        checks.that(is_bob, "alice has waited for bob's own answer");
        Ok(())
    }

    /// She has a cookie of her own, but not alice's key.
    async fn forge_a_store(&mut self, checks: &mut Checks) -> io::Result<()> {
        let bob = self.peers[BOB].node()?;
        let before = bob.stats().link.dropped;
        self.mallory.store_as(self.alice, u64::MAX, bob.addr).await?;
        let dropped = || bob.stats().link.dropped > before;
        checks.soon(dropped, "a store in alice's name is dropped: not her signature").await;
        Ok(())
    }

    /// What alice sent comes again: from her own port, and from mallory's.
    async fn replay(&mut self, checks: &mut Checks) -> io::Result<()> {
        let (link, bob) = (self.peers[BOB].link(), self.peers[BOB].node()?);
        let (heard, before) = (link.overheard(), bob.stats());
        let replayed = link.replay().await?;
        let sent = replayed + self.mallory.resend(&heard, bob.addr).await?;
        let since = || {
            let now = bob.stats().confidant;
            let before = before.confidant;
            [now.duplicates - before.duplicates, now.refused - before.refused, now.welcomed - before.welcomed]
        };
        // The other peers greet bob too, before they announce.
        let met = || {
            let (now, before) = (bob.stats().confidant, before.confidant);
            let done = |stats: ConfidantStats| (stats.stored, stats.committed, stats.answered, stats.fetches);
            since().iter().sum::<u64>() >= sent && done(now) == done(before)
        };
        checks.soon(met, format_args!("{sent} recorded datagrams, sent again, change nothing")).await;
        let [repeats, refused, greetings] = since();
        let text =
            format_args!("{repeats} were repeats, {refused} not from alice's address, {greetings} just greetings");
        checks.that(repeats > 0 && refused > 0, text);

        let before = bob.stats().link.dropped;
        let noise = self.mallory.garbage(&heard, bob.addr).await?;
        let dropped = || bob.stats().link.dropped - before >= noise;
        checks.soon(dropped, format_args!("{noise} cut, damaged and random datagrams are dropped")).await;
        Ok(())
    }

    /// 5. Mallory floods frank, who serves gail all the same.
    pub(super) async fn flood(&mut self, checks: &mut Checks) -> io::Result<()> {
        self.scene(format_args!("5. mallory floods frank with requests"));
        let (name, seed) = SMALL_OWNERS[0];
        let gail = self.owner(name, seed).await?;
        let (address, at) = (self.peers[FRANK].address(), self.peers[FRANK].node()?.addr);
        let addresses = [address];
        let (flood, recovered) = tokio::join!(self.mallory.flood(FLOOD, at), gail.get(&addresses, |_, _| {}));
        let flood = flood?;
        let held = flood.answered == A_MINUTE && flood.limited == FLOOD - A_MINUTE;
        checks.that(held, format_args!("of her {FLOOD} requests, {} were answered", flood.answered));
        let is_whole = recovered.as_ref().is_ok_and(|recovered| recovered.file == name.as_bytes());
        checks.that(is_whole, "meanwhile gail got her file from him");
        self.table.flood(flood);
        self.count(&gail, &recovered);
        Ok(())
    }
}
