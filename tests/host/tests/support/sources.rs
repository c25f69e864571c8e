//! The sources of the repository, for tests of what stands in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folder of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every Rust source in a folder of the repository and below it, but for what is built there: its path from
/// [`root`], and its text.
pub fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&root().join(folder), folder, &mut found);
    found
}

fn collect(folder: &Path, name: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        let name = format!("{name}/{}", path.file_name().and_then(|name| name.to_str()).expect("a plain name"));
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, &name, found);
        } else if name.ends_with(".rs") {
            found.push((name, fs::read_to_string(&path).expect("a source")));
        }
    }
}
