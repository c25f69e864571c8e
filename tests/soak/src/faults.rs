//! What is done to the utilities, and how often it was.

use crate::count::Counter;

/// One way in which peers, clocks and callers misbehave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// A reply came when nobody waited for it any more.
    Late,
    /// A caller dropped its future, or its task was aborted.
    Dropped,
    /// A peer or a sink failed.
    Fail,
    /// A made-up key, id, voter or name came.
    Flood,
    /// A reply from the wrong peer or under another's id, a vote for a lie, a blob with a bit turned over.
    Forged,
    /// A peer never answered.
    Hang,
    /// The callback of a user panicked.
    Panic,
    /// The clock was set.
    Step,
    /// The same reply, vote or id came again.
    Twice,
}

impl Fault {
    /// Each with what it is called.
    pub(crate) const ALL: [(Self, &str); 9] = [
        (Self::Late, "late"),
        (Self::Dropped, "dropped"),
        (Self::Fail, "failed"),
        (Self::Flood, "flood"),
        (Self::Forged, "forged"),
        (Self::Hang, "hung"),
        (Self::Panic, "panics"),
        (Self::Step, "clock steps"),
        (Self::Twice, "twice"),
    ];
}

/// How often each fault was hit.
#[derive(Debug, Default)]
pub(crate) struct Faults([Counter; Fault::ALL.len()]);

impl Faults {
    pub(crate) fn hit(&self, fault: Fault) {
        self.0[fault as usize].add(1);
    }

    pub(crate) fn count(&self, fault: Fault) -> u64 {
        self.0[fault as usize].get()
    }

    pub(crate) fn sum(&self) -> u64 {
        Fault::ALL.iter().map(|(fault, _)| self.count(*fault)).sum()
    }
}
