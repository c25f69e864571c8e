//! The script, and how it is called.

use redis::Cmd;

/// What decides, on the engine.
const ALLOW: &str = include_str!("allow.lua");
/// Its name there: SHA-1 of the text.
const ALLOW_SHA: &str = "f2ca0c2ee5e179b324e36ea8dfde740d9698e424";

/// What a quota asks the engine.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) key: Vec<u8>,
    /// In nanoseconds.
    pub(crate) interval: u64,
    pub(crate) burst: u32,
    pub(crate) cost: u32,
}

/// The call by the script's name, or with its text for an engine that does not know it.
pub(super) fn allow(asks: &[Ask], with_text: bool) -> Cmd {
    let mut cmd = redis::cmd(if with_text { "EVAL" } else { "EVALSHA" });
    cmd.arg(if with_text { ALLOW } else { ALLOW_SHA }).arg(asks.len());
    for ask in asks {
        cmd.arg(&ask.key);
    }
    for ask in asks {
        cmd.arg(ask.interval).arg(ask.burst).arg(ask.cost);
    }
    cmd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_text() {
        assert_eq!(sha1_smol::Sha1::from(ALLOW).digest().to_string(), ALLOW_SHA);
    }
}
