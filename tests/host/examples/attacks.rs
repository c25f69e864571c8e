//! Takes away what protects from an attack of SECURITY.md, on a copy of the tree, and sees whether its tests notice.
//!
//! `attacks` for all, `attacks --quick` for a handful, `attacks TEXT` for those whose attack, file or tests contain it.

#[path = "../tests/security/names.rs"]
mod names;
#[path = "../tests/security/protections.rs"]
mod protections;
#[path = "../tests/support/sources.rs"]
mod sources;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use protections::{PROTECTIONS, Protection};
use sources::root;

/// A change that makes a test endless is noticed by its time.
const MOST_SECONDS: &str = "900";

fn main() -> ExitCode {
    let wanted = env::args().nth(1).unwrap_or_default();
    let is_wanted = |protection: &&Protection| {
        let Protection { attack, file, noticed_by, is_quick, .. } = protection;
        if wanted == "--quick" {
            *is_quick
        } else {
            [*attack, *file].iter().chain(*noticed_by).any(|text| text.contains(&*wanted))
        }
    };
    let protections: Vec<_> = PROTECTIONS.iter().filter(is_wanted).collect();
    assert!(!protections.is_empty(), "nothing contains `{wanted}`");
    let bench = Bench::new();

    let tests: BTreeSet<&str> = protections.iter().flat_map(|protection| protection.noticed_by).copied().collect();
    let failed = bench.failing(&tests);
    assert_eq!(failed, Ok(BTreeSet::new()), "tests fail with every protection in its place");

    let mut unnoticed = 0;
    for protection in protections {
        let Protection { attack, file, from, to, noticed_by, .. } = protection;
        let tests: BTreeSet<&str> = noticed_by.iter().copied().collect();
        let path = bench.tree.join(file);
        let text = fs::read_to_string(&path).expect("the source");
        assert_eq!(text.matches(from).count(), 1, "{file} has to have this once: {from}");
        fs::write(&path, text.replacen(from, to, 1)).expect("the copy can be written");
        let failed = bench.failing(&tests);
        fs::write(&path, text).expect("the copy can be written");
        match failed {
            Ok(failed) => {
                for test in tests {
                    let is_noticed = failed.contains(test);
                    println!("{} {attack}\n    {file}: {test}", if is_noticed { "noticed  " } else { "UNNOTICED" });
                    unnoticed += u32::from(!is_noticed);
                }
            }
            Err(error) => {
                println!("BROKEN    {attack}\n    {file}: {error}");
                unnoticed += 1;
            }
        }
    }
    println!("{unnoticed} unnoticed");
    if unnoticed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A copy of the tree, which is built in a target folder of its own: cargo would take what is made of the one for what is
/// made of the other. And where the tests are.
struct Bench {
    tree: PathBuf,
    files: BTreeMap<String, Vec<String>>,
}

impl Bench {
    fn new() -> Self {
        let program = env::current_exe().expect("a path");
        let tree = program.ancestors().nth(3).expect("the target folder").join("attacks");
        let list = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().expect("git runs");
        assert!(list.status.success(), "the list of files comes from git");
        let names = String::from_utf8(list.stdout).expect("plain names");
        let names: BTreeSet<PathBuf> = names.split_terminator('\0').map(|name| tree.join(name)).collect();
        remove_others(&tree, &names);
        for name in &names {
            copy(&root().join(name.strip_prefix(&tree).expect("it is in the copy")), name);
        }
        Self { tree, files: names::tests() }
    }

    /// Which of these tests fail.
    fn failing(&self, tests: &BTreeSet<&str>) -> Result<BTreeSet<String>, String> {
        let mut homes: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
        for &test in tests {
            for file in self.files.get(test).into_iter().flatten() {
                homes.entry(home(file)).or_default().push(test);
            }
        }
        let mut failed = BTreeSet::new();
        for (home, tests) in homes {
            let output = Command::new("timeout")
                .args([MOST_SECONDS, "cargo", "test", "--quiet", "--no-fail-fast", "--target-dir", "target"])
                .env("CARGO_INCREMENTAL", "1") // a line changes, and the same is built again
                .args(home)
                .arg("--")
                .args(["--format", "pretty"])
                .args(&tests)
                .current_dir(&self.tree)
                .stdin(Stdio::null())
                .output()
                .expect("cargo runs");
            let text = String::from_utf8_lossy(&output.stdout);
            if output.status.code() == Some(124) {
                failed.extend(tests.iter().map(ToString::to_string)); // endless
            } else if !text.contains("test result: ") {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
            let ended_badly = text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
            failed.extend(ended_badly.filter_map(|test| test.rsplit("::").next()).map(str::to_owned));
        }
        Ok(failed)
    }
}

/// Removes what an earlier run has left in the copy and is no longer in the tree, but for what was built.
fn remove_others(folder: &Path, names: &BTreeSet<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return }; // there is no copy yet
    for path in entries.map(|entry| entry.expect("an entry").path()).filter(|path| !path.ends_with("target")) {
        if path.is_dir() {
            remove_others(&path, names);
        } else if !names.contains(&path) {
            fs::remove_file(&path).expect("the copy can be changed");
        }
    }
}

/// Copies a file, unless it is there already: what is unchanged is not built again.
fn copy(from: &Path, to: &Path) {
    let Ok(bytes) = fs::read(from) else { return }; // deleted, and not yet committed
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return;
    }
    fs::create_dir_all(to.parent().expect("a folder")).expect("the copy can be made");
    fs::write(to, bytes).expect("the copy can be made");
    fs::set_permissions(to, fs::metadata(from).expect("a file").permissions()).expect("the copy can be made");
}

/// What makes cargo test what is in a file.
fn home(file: &str) -> Vec<String> {
    let [package, rest] = [
        ["examples/stash/protocol/", "--package stash-protocol"],
        ["examples/stash/", "--package stash"],
        ["core/", "--package steadfast-core --features aead,serde,spin"],
        ["std-adapter/redis/", "--package steadfast-redis"],
        ["std-adapter/tower/", "--package steadfast-tower"],
        ["std-adapter/", "--package steadfast --features aead,log,quanta,tracing"],
        ["embassy-adapter/", "--package steadfast-embassy"],
        ["tests/host/", "--package steadfast-tests"],
    ]
    .into_iter()
    .find(|[folder, _]| file.starts_with(folder))
    .unwrap_or_else(|| panic!("{file} is of no package"));
    let inside = &file[package.len()..];
    let target = inside.strip_prefix("tests/").and_then(|inside| inside.split(['/', '.']).next());
    let target = target.map_or_else(|| "--lib".to_owned(), |target| format!("--test {target}"));
    rest.split(' ').chain(target.split(' ')).map(str::to_owned).collect()
}
