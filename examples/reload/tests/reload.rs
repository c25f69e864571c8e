//! The program as a process: settings change under load, and a file with an error changes nothing.
#![cfg(unix)]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Lines},
    path::PathBuf,
    process::{self, Child, ChildStdout, Command, Stdio},
};

struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    file: PathBuf,
}

impl Program {
    fn start(settings: &str) -> Self {
        let file = env::temp_dir().join(format!("steadfast-reload-{}.toml", process::id()));
        fs::write(&file, settings).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_reload")).arg(&file).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, file }
    }

    /// The lines up to one that begins so.
    fn until(&mut self, start: &str) -> String {
        let mut text = String::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            text.push_str(&line);
            text.push('\n');
            if line.starts_with(start) {
                return text;
            }
        }
        panic!("it ended before {start:?}: {text}");
    }

    fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    fn reads_anew(&self, settings: &str) {
        fs::write(&self.file, settings).unwrap();
        self.signal("-HUP");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.file);
    }
}

const SETTINGS: &str = include_str!("../settings.toml");

fn with(burst: u32, after: &str, retries: u32) -> String {
    let settings = SETTINGS.replace("burst = 20", &format!("burst = {burst}"));
    settings
        .replace("after = \"30s\"", &format!("after = \"{after}\""))
        .replace("max_retries = 2", &format!("max_retries = {retries}"))
}

#[test]
fn every_request_is_decided_by_the_settings_before_or_after() {
    let mut program = Program::start(SETTINGS);
    program.until("settings 1 decide");
    program.reads_anew(&with(7, "5s", 5));
    program.until("settings 2 decide");

    program.reads_anew(&with(9, "1s", 1).replace("after =", "afetr ="));
    let error = program.until("settings 2 stay") + &program.until("reset.afetr").replace('\n', " ");
    assert!(error.contains("reset.afetr: no such setting"), "{error}");

    for (number, burst) in (3..13).zip([9, 30].into_iter().cycle()) {
        program.reads_anew(&with(burst, if burst == 9 { "1s" } else { "1m" }, number));
        program.until(&format!("settings {number} decide"));
    }
    program.signal("-INT");
    let summary = program.until("none that were in force");
    assert!(summary.ends_with("none that were in force decided 0 requests\n"), "{summary}");
    assert_eq!(summary.lines().filter(|line| line.contains(" decided ") && !line.contains(" decided 0 ")).count(), 12);
    assert!(program.child.wait().unwrap().success());
}

#[test]
fn a_file_with_an_error_does_not_start() {
    let file = env::temp_dir().join(format!("steadfast-reload-{}-bad.toml", process::id()));
    fs::write(&file, with(20, "30", 2)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_reload")).arg(&file).output().unwrap();
    fs::remove_file(&file).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains("line 9") && error.contains("reset.after: expected a duration with its unit"), "{error}");
}
