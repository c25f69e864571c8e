//! The kept inputs of the fuzz targets, without a fuzzer.

use std::{fs, path::Path};

use steadfast_models::TARGETS;

#[test]
fn every_kept_input_passes() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in TARGETS {
        let mut inputs = 0;
        for input in fs::read_dir(corpora.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")) {
            let path = input.unwrap().path();
            println!("{}", path.display()); // shown if it fails
            target(&fs::read(path).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "nothing is kept for {name}");
    }
    assert_eq!(fs::read_dir(corpora).unwrap().count(), TARGETS.len(), "a corpus without a target");
}

/// What no fuzzer finds in its first minutes: nothing, one byte, and bytes that are all alike.
#[test]
fn monotonous_inputs_pass() {
    for (_, target) in TARGETS {
        for byte in (0..=u8::MAX).step_by(15) {
            for length in [0, 1, 60, 400] {
                target(&vec![byte; length]);
            }
        }
    }
}

#[test]
fn every_target_has_its_binary() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    for (name, _) in TARGETS {
        let binary = format!("[[bin]]\nname = \"{name}\"\npath = \"targets/{name}.rs\"\n");
        assert!(manifest.contains(&binary), "{name} cannot be fuzzed");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}
