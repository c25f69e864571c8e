//! The command, from logs of several formats to its report.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    io::Write,
    process::{Command, Output, Stdio},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

/// A client with a burst of twelve, and one with a request every two seconds. The last line is cut off.
const LOG: &str = concat!(include_str!("access.log"), "203.0.113.1 - - [02/Jan/2006:15:0");

fn what_if(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_what-if"));
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have refused its arguments, and ended.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn the_report_is_the_one_of_the_readme() {
    let output = what_if(&["-", "--per-second", "5", "--burst", "10"], LOG.as_bytes());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = String::from_utf8(output.stdout).unwrap();
    let readme = include_str!("../README.md");
    let told = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a report");
    assert_eq!(report.trim_end(), told.trim_end(), "paste it into the README:\n{report}");
}

#[test]
fn a_packed_log_says_the_same_as_json() {
    let arguments = ["-", "--per-second", "5", "--burst", "10", "--json"];
    let plain = what_if(&arguments, LOG.as_bytes());
    assert_eq!(plain.stdout, what_if(&arguments, &gzipped(LOG)).stdout);
    let report: Value = serde_json::from_slice(&plain.stdout).unwrap();
    let headline = &report["headline"];
    assert_eq!(headline["read"]["lines"], 43);
    assert_eq!(headline["read"]["requests"], 42);
    assert_eq!(headline["read"]["unread"][0]["first"], 43);
    assert_eq!(headline["denied"]["at_start"]["requests"], 2);
    assert_eq!(headline["denied"]["spread"]["requests"], 0);
    assert_eq!(headline["hit"][0]["key"], "203.0.113.9");
    assert_eq!(headline["hit"][0]["burst"], 12);
}

#[test]
fn several_files_are_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.csv"), folder.path().join("two.gz"));
    fs::write(&one, "time,key\n1.0,a\n1.1,a").unwrap();
    fs::write(&two, gzipped("0.9,a\n1.2,b\n")).unwrap();
    let [one, two] = [&one, &two].map(|path| path.to_str().unwrap());
    let output = what_if(&["--per-minute", "60", "--burst", "2", "--key", "user", "--json", one, two], b"");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let headline = &report["headline"];
    assert_eq!((&headline["read"]["requests"], &headline["clients"]), (&4.into(), &2.into()));
    assert_eq!(
        (&headline["read"]["out_of_order"], &headline["denied"]["at_start"]["requests"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn errors_say_what_is_wrong() {
    for (arguments, input, expected) in [
        (["-", "--per-second", "0"].as_slice(), "", "0 is not in 1..=4294967295"),
        (&["-"], "", "--per-second"),
        (&["-", "--per-second", "5", "--per-hour", "5"], "", "cannot be used with"),
        (&["-", "--per-second", "5", "--key", "address/33"], "", "IPv4 has up to 32 bits"),
        (&["--per-second", "5", "/no/such/log"], "", "/no/such/log: No such file"),
        (&["-", "--per-second", "5"], "what\n", "1 lines: none of the formats; line 1 is \"what\""),
        (&["-", "--per-second", "5"], "", "none of 0 lines is a request"),
        (&["-", "--per-second", "5"], "\u{1f}", "none of 1 lines is a request"),
    ] {
        let output = what_if(arguments, input.as_bytes());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
    // A log that ends in the middle of what was packed.
    let packed = gzipped(LOG);
    let output = what_if(&["-", "--per-second", "5"], &packed[..packed.len() / 2]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.starts_with("what-if: -:"), "{said}");
}
