//! What the command was asked for.

use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::run::Effort;

/// How to call it.
pub const USAGE: &str = "\
cargo bench [-- OPTIONS]

  --filter TEXT  only the rows whose name holds this text
  --quick        a few seconds for all: shows that everything runs, its figures mean nothing
  --plots        the curves from 1 k to 10 M keys and the memory of a key, as plots/*.svg
  --write        the tables into README.md";

/// The command line.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub filter: Option<String>,
    pub is_quick: bool,
    pub plots: bool,
    pub write: bool,
    pub help: bool,
}

impl Options {
    /// Reads a command line without its first word.
    ///
    /// # Errors
    ///
    /// If there is something in it that is not known.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, lexopt::Error> {
        let mut parser = Parser::from_args(args);
        let mut options = Self::default();
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("filter") => options.filter = Some(parser.value()?.string()?),
                Arg::Long("quick") => options.is_quick = true,
                Arg::Long("plots") => options.plots = true,
                Arg::Long("write") => options.write = true,
                Arg::Long("bench") => {} // from cargo
                Arg::Long("help") | Arg::Short('h') => options.help = true,
                other => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }

    /// True if a row of this name is wanted.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }

    /// How long to measure each pair of a row.
    #[must_use]
    pub const fn effort(&self) -> Effort {
        if self.is_quick {
            Effort { slice: Duration::from_micros(20), pair: Duration::ZERO }
        } else {
            Effort { slice: Duration::from_millis(2), pair: Duration::from_millis(1_000) }
        }
    }

    /// So many keys or ids; fewer if it has to be quick.
    #[must_use]
    pub fn keys(&self, keys: usize) -> usize {
        if self.is_quick { (keys / 100).max(1_000) } else { keys }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, lexopt::Error> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_filter_leaves_out_the_rest() {
        let options = parse("--filter breaker --bench").unwrap();
        assert!(options.wants("breaker, two threads") && !options.wants("retry"));
        assert!(parse("").unwrap().wants("retry"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(parse("--fast").is_err());
        assert!(parse("--filter").is_err());
    }
}
