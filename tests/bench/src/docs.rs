//! The README, of which the command writes some parts.

use std::{fs, path::PathBuf};

use anyhow::Context;

/// The folder of this package.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Puts `content` between the comments `<!-- NAME -->` and `<!-- /NAME -->` of the README.
///
/// # Errors
///
/// If the README cannot be read or written, or lacks them.
pub fn write(name: &str, content: &str) -> anyhow::Result<()> {
    let path = folder().join("README.md");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = replaced(&text, name, content).with_context(|| format!("{} has no part {name}", path.display()))?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn replaced(text: &str, name: &str, content: &str) -> Option<String> {
    let (before, rest) = text.split_once(&format!("<!-- {name} -->\n"))?;
    let (_, after) = rest.split_once(&format!("<!-- /{name} -->"))?;
    Some(format!("{before}<!-- {name} -->\n\n{content}\n<!-- /{name} -->{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_and_the_rest_stays() {
        let text = "a\n<!-- speed -->\nold\n<!-- /speed -->\nb\n";
        let once = replaced(text, "speed", "new\n").unwrap();
        assert_eq!(once, "a\n<!-- speed -->\n\nnew\n\n<!-- /speed -->\nb\n");
        assert_eq!(replaced(&once, "speed", "new\n"), Some(once.clone()));
        assert_eq!(replaced(text, "memory", "new\n"), None);
    }
}
