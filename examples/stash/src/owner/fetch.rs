//! Getting the chunks of one version from one confidant.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use stash_protocol::{Body, Refusal};
use steadfast::runtime::{Lock, Mutex};

use super::{
    AskError, Contact, Link,
    assembly::{Assembly, Next, Stretch},
};

/// How long a worker waits that has nothing to ask for.
const PAUSE: Duration = Duration::from_millis(5);

/// After how many questions in vain a confidant is given up.
const IN_VAIN: u32 = 8;

/// Asks one confidant for what is missing, one stretch after the other.
pub(super) struct Worker {
    pub(super) link: Arc<Link>,
    pub(super) assembly: Arc<Mutex<Option<Assembly>>>,
    pub(super) contact: Contact,
}

impl Worker {
    pub(super) async fn run(self, version: u64, progress: impl Fn(u64, u64)) {
        let (mut in_vain, mut renewals, mut brought) = (0_u32, 0_u32, 0);
        while in_vain < IN_VAIN {
            let stretch = match self.with(|assembly| assembly.next_for(self.contact.id)) {
                Some(Next::Ask(stretch)) => stretch,
                Some(Next::Wait) => {
                    tokio::time::sleep(PAUSE).await; // others are asked for the rest, and may fail
                    continue;
                }
                Some(Next::Done) | None => return,
            };
            let Stretch { first, want } = stretch;
            let id = AtomicU64::new(0);
            let note = |message| {
                id.store(message, Ordering::Relaxed);
                self.with(|assembly| assembly.asked(message, self.contact.id, stretch));
            };
            let come = || self.with(|assembly| assembly.come(id.load(Ordering::Relaxed), stretch)).unwrap_or(0);
            let body = Body::Fetch { version, first, want };
            let attempt = (in_vain, in_vain.saturating_add(1) >= IN_VAIN);
            let fetched = self.link.fetch(self.contact, &body, note, come, attempt).await;
            // Of this question, or of one before it that was given up too soon.
            let before = std::mem::replace(&mut brought, self.brought());
            let has_brought = come() > 0 || brought > before;
            self.with(|assembly| assembly.end(id.load(Ordering::Relaxed), stretch));
            if let Some((come, of)) = self.with(|assembly| assembly.progress()) {
                progress(come, of);
            }
            match fetched {
                Ok(()) => in_vain = 0,
                Err(AskError::Silent | AskError::Network(_)) if has_brought => in_vain = 0,
                Err(AskError::Silent | AskError::Network(_) | AskError::Refused(Refusal::Unproven | Refusal::Busy)) => {
                    in_vain = in_vain.saturating_add(1);
                }
                Err(AskError::Refused(Refusal::NoRecovery)) if renewals < 2 => {
                    renewals = renewals.saturating_add(1);
                    if self.link.ask(self.contact, &Body::Request).await.is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    fn brought(&self) -> u64 {
        self.with(|assembly| assembly.brought_by(self.contact.id)).unwrap_or(0)
    }

    fn with<R>(&self, f: impl FnOnce(&mut Assembly) -> R) -> Option<R> {
        self.assembly.with(|assembly| assembly.as_mut().map(f))
    }
}
