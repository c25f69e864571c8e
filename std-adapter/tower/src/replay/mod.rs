//! Bodies that are gathered, to be sent again or kept.

mod body;
mod gather;

pub use body::ReplayBody;
pub(crate) use gather::{Gather, Gathered};
