//! What `tests/firmware/no_panic` proves holds for what it calls: so it has to call every public function of every type of
//! the core, and of every face that [`Shared`](steadfast_core::Shared) gives one.
//!
//! Which those are stands in the sources; what is called says the compiler, which knows the type behind each dot.

mod calls;
#[path = "../support/sources.rs"]
mod sources;
mod surface;

use std::{collections::BTreeSet, env, fs, path::Path, process::Command};

use calls::calls;
use sources::{root, sources};
use surface::{Function, Names, functions};

/// What the proof leaves out, by type and function, and why.
const LEFT_OUT: [(&str, &str, &str); 17] = [
    ("BatchQueueIn", "allocate", RUN_TIME_SIZE),
    ("BreakersIn", "allocate", RUN_TIME_SIZE),
    ("CachedRateLimiterIn", "allocate", RUN_TIME_SIZE),
    ("CorrelatorIn", "allocate", RUN_TIME_SIZE),
    ("DedupCacheIn", "allocate", RUN_TIME_SIZE),
    ("KeyedCorrelatorIn", "allocate", RUN_TIME_SIZE),
    ("LeasesIn", "allocate", RUN_TIME_SIZE),
    ("QuorumIn", "try_with_lists", RUN_TIME_SIZE),
    ("RetryError", "map_inner", FUTURE),
    ("RetryPolicy", "call_with", FUTURE),
    ("Retrying", "budget", FUTURE),
    ("Retrying", "classify", FUTURE),
    ("Retrying", "deadline", FUTURE),
    ("Retrying", "hint", FUTURE),
    ("Retrying", "nested_budget", FUTURE),
    ("Retrying", "notify", FUTURE),
    ("Retrying", "retry_if", FUTURE),
];
const RUN_TIME_SIZE: &str = "storage of run-time size is the adapter's";
const FUTURE: &str = "makes a future, sets it up, or comes of one";

const HOW: &str =
    "Add a call of each to the probe of its machine in tests/firmware/no_panic/src (of a `Shared<..>` to shared.rs),
with arguments from `any`, `span`, `now` and the like. What no probe can call stands in LEFT_OUT of
tests/host/tests/no_panic/main.rs, with the reason.";

/// Which functions the probes call: the compiler's own account of what it made of them.
fn probed() -> BTreeSet<String> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let account = scratch.join("no_panic_probes.mir");
    // Unoptimized, whatever this test is: else calls are inlined, and gone.
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()))
        .args("rustc --quiet --offline --locked --package steadfast-tests --test no_panic_probes".split(' '))
        .arg("--target-dir")
        .arg(scratch.parent().expect("the target folder"))
        .args(["--", "-C", "opt-level=0"])
        .arg(format!("--emit=mir={}", account.display()))
        .current_dir(root())
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the probes do not compile");
    calls(&fs::read_to_string(account).expect("what the compiler wrote"))
}

/// The public functions that the proof is about.
fn surface() -> Vec<Function> {
    let is_proved =
        |path: &str| !["/encryptor/", "/test_util/", "tests.rs", "/tests/"].iter().any(|part| path.contains(part));
    let sources: Vec<_> = sources("core/src").into_iter().filter(|(path, _)| is_proved(path)).collect();
    let names = Names::of(sources.iter().map(|(_, text)| &**text));
    sources.iter().flat_map(|(path, text)| functions(path, text, &names)).collect()
}

fn is_probed(function: &Function, probed: &BTreeSet<String>) -> bool {
    probed.contains(&function.to_string()) || function.is_alone() && probed.contains(&function.name)
}

#[test]
fn found_e6_every_public_function_is_in_the_proof() {
    let (surface, probed) = (surface(), probed());
    assert!(surface.len() > 300, "only {} public functions found", surface.len());
    for (owner, name, _) in LEFT_OUT {
        let function = surface.iter().find(|function| function.is(owner, name));
        let function = function.unwrap_or_else(|| panic!("LEFT_OUT names {owner}::{name}, which does not exist"));
        assert!(!is_probed(function, &probed), "LEFT_OUT names {function}, which has a probe");
    }
    let is_left_out = |function: &Function| LEFT_OUT.iter().any(|(owner, name, _)| function.is(owner, name));
    let missing: Vec<_> = surface
        .iter()
        .filter(|function| !is_probed(function, &probed) && !is_left_out(function))
        .map(|function| format!("{function}    {}:{}", function.path, function.line))
        .collect();
    assert!(missing.is_empty(), "{} public functions have no probe:\n  {}\n{HOW}", missing.len(), missing.join("\n  "));
}
