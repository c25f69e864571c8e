//! Against a real engine that each test starts for itself. `ENGINE_TESTS=long` runs them for longer.
//!
//! Without an engine's program they are ignored, not passed. Bounds are in the engine's clock, so that a slow machine fails
//! none.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod dedup;
mod dedup_script;
mod down;
mod exact;
mod fleet;
mod many;
mod proxy;
mod server;
mod told;

use std::{env, process::ExitCode};

use libtest_mimic::{Arguments, Trial};

/// A test with a runtime of its own.
fn test<F: Future<Output = ()>>(name: &str, run: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(run());
        Ok(())
    })
}

/// So many, or more in the long form.
fn scale(short: usize, long: usize) -> usize {
    if env::var("ENGINE_TESTS").is_ok_and(|form| form == "long") { long } else { short }
}

fn main() -> ExitCode {
    if fleet::is_member() || dedup::is_member() {
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(2)); // each starts a server
    let is_missing = server::program().is_none();
    let tests = vec![
        test("exact::the_script_decides_as_the_core_does", exact::the_script_decides_as_the_core_does),
        test("exact::a_step_of_the_clock", exact::a_step_of_the_clock),
        test("exact::a_rolling_deploy_of_another_quota", exact::a_rolling_deploy_of_another_quota),
        test("exact::a_denial_is_kept", exact::a_denial_is_kept),
        test("fleet::four_processes_have_one_quota", fleet::four_processes_have_one_quota),
        test("down::killed_and_restarted", down::killed_and_restarted),
        test("down::stopped_and_continued", down::stopped_and_continued),
        test("down::a_reply_is_lost", down::a_reply_is_lost),
        test("down::flushed", down::flushed),
        test("down::full", down::full),
        test("down::scripts_are_flushed", down::scripts_are_flushed),
        test("down::a_replica_takes_over", down::a_replica_takes_over),
        test("down::few_rights", down::few_rights),
        test("down::misused", down::misused),
        test("dedup_script::the_script_keeps_claims_apart", dedup_script::the_script_keeps_claims_apart),
        test("dedup::claimed_once_and_replayed", dedup::claimed_once_and_replayed),
        test("dedup::three_processes_work_on_each_id_once", dedup::three_processes_work_on_each_id_once),
        test(
            "dedup::a_process_is_killed_or_stopped_while_it_holds_a_claim",
            dedup::a_process_is_killed_or_stopped_while_it_holds_a_claim,
        ),
        test("dedup::a_late_commit_is_refused", dedup::a_late_commit_is_refused),
        test(
            "dedup::a_clock_that_steps_back_frees_and_blocks_nothing",
            dedup::a_clock_that_steps_back_frees_and_blocks_nothing,
        ),
        test("dedup::replies_are_lost", dedup::replies_are_lost),
        test("dedup::flushed", dedup::flushed),
        test("dedup::killed_and_restarted", dedup::killed_and_restarted),
        test("dedup::scripts_are_flushed", dedup::scripts_are_flushed),
        test("dedup::a_replica_takes_over", dedup::a_replica_takes_over),
        test("many::a_flood_of_keys_is_gone_after_its_time", many::a_flood_of_keys_is_gone_after_its_time),
        test("many::several_quotas_decide_as_one", many::several_quotas_decide_as_one),
        test("many::a_cluster_of_three", many::a_cluster_of_three),
    ];
    let count = tests.len();
    if is_missing {
        eprintln!("no `redis-server` or `valkey-server` on the path: {count} tests are ignored");
    }
    let tests = tests.into_iter().map(|test| test.with_ignored_flag(is_missing)).collect();
    if is_missing && (arguments.ignored || arguments.include_ignored) {
        return ExitCode::FAILURE;
    }
    libtest_mimic::run(&arguments, tests).exit_code()
}
