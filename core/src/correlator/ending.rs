//! The end of a call that got no reply.

/// How a call was over without a reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    Cancelled,
    Closed,
    TimedOut,
}
