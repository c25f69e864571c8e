//! The scripts, and how they are called.

use redis::{Cmd, ToRedisArgs};

/// A script, and its name on the engine: SHA-1 of the text.
#[derive(Debug)]
pub(crate) struct Script {
    text: &'static str,
    sha: &'static str,
}

/// What decides by quotas.
pub(crate) static ALLOW: Script =
    Script { text: include_str!("allow.lua"), sha: "f2ca0c2ee5e179b324e36ea8dfde740d9698e424" };
/// What knows ids.
pub(crate) static DEDUP: Script =
    Script { text: include_str!("dedup.lua"), sha: "2efc4278b82b7c149fd50ab365a6ad6a0154f76e" };

/// A call of a script.
#[derive(Debug)]
pub(crate) struct Call {
    /// The number of keys, the keys, the arguments.
    words: Cmd,
    script: &'static Script,
}

impl Call {
    pub(crate) fn new(script: &'static Script, keys: &[impl AsRef<[u8]>]) -> Self {
        let mut words = Cmd::new();
        words.arg(keys.len());
        for key in keys {
            words.arg(key.as_ref());
        }
        Self { words, script }
    }

    pub(crate) fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.words.arg(arg);
        self
    }

    /// By the script's name, or with its text for an engine that does not know it.
    pub(super) fn cmd(&self, with_text: bool) -> Cmd {
        let mut cmd = redis::cmd(if with_text { "EVAL" } else { "EVALSHA" });
        cmd.arg(if with_text { self.script.text } else { self.script.sha });
        for word in self.words.args_iter() {
            if let redis::Arg::Simple(word) = word {
                cmd.arg(word);
            }
        }
        cmd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_that_of_its_text() {
        for Script { text, sha } in [&ALLOW, &DEDUP] {
            assert_eq!(sha1_smol::Sha1::from(text).digest().to_string(), *sha);
        }
    }
}
