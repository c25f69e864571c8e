//! Several processes: this program runs itself.

use std::{env, num::NonZeroU32, process::Stdio, time::Duration};

use steadfast::{Gcra, Instant, rate_limiter::GcraState};
use tokio::process::Command;

use crate::{
    exact::{asking, patient},
    scale,
    server::{Server, connect},
    told::{Call, Told},
};

const PORT: &str = "ENGINE_TESTS_PORT";
const CALLS: &str = "ENGINE_TESTS_CALLS";
const QUOTA: Gcra = Gcra::per_second(1_000).burst(100);

/// If this process is one of a fleet: asks so often, and prints what the script decided.
pub(crate) fn is_member() -> bool {
    let (Ok(port), Ok(calls)) = (env::var(PORT), env::var(CALLS)) else { return false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = connect(port.parse().unwrap()).await;
        let told = Told::new(connection);
        let limiter = asking(&patient(told.clone()), "api", QUOTA);
        for call in 0..calls.parse::<u32>().unwrap() {
            let verdict = limiter.allow_n("tenant", NonZeroU32::new(1 + call % 3).unwrap()).await.unwrap();
            let Call { number, now, interval, burst, cost, is_allowed, owed } =
                told.calls.lock().unwrap().pop().unwrap();
            assert_eq!(verdict.is_allowed(), is_allowed);
            println!("{number} {now} {interval} {burst} {cost} {} {owed}", u8::from(is_allowed));
        }
    });
    true
}

/// What all were told is what one limiter of the core's would have said to each in turn; and in no span more than a burst
/// and what the rate gives.
pub(crate) async fn four_processes_have_one_quota() {
    let server = Server::start(&[]).await;
    let calls = scale(1_500, 40_000);
    let members: Vec<_> = (0..4)
        .map(|_| {
            Command::new(env::current_exe().unwrap())
                .env(PORT, server.port.to_string())
                .env(CALLS, calls.to_string())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap()
        })
        .collect();
    let mut history: Vec<Vec<u64>> = Vec::new();
    for member in members {
        let output = member.wait_with_output().await.unwrap();
        assert!(output.status.success());
        let lines = String::from_utf8(output.stdout).unwrap();
        history.extend(lines.lines().map(|line| line.split(' ').map(|word| word.parse().unwrap()).collect()));
    }
    assert_eq!(history.len(), 4 * calls);
    history.sort_unstable();

    let (mut state, mut allowed, mut last) = (GcraState::default(), Vec::new(), 0);
    for (place, call) in history.iter().enumerate() {
        let [number, now, _, _, cost, is_allowed, owed] = call[..] else { panic!("{call:?}") };
        assert_eq!(number, place as u64 + 1);
        assert!(last <= now, "the engine's clock stepped back");
        let cost = NonZeroU32::new(cost as u32).unwrap();
        let expected = state.allow(&QUOTA, cost, Instant::from_micros(now)).unwrap();
        assert_eq!(expected.is_allowed(), is_allowed == 1, "{call:?}");
        let of_script = GcraState::new(Duration::from_nanos(owed), Instant::from_micros(now), QUOTA.interval());
        let again = { of_script }.allow(&QUOTA, cost, Instant::from_micros(now)).unwrap();
        assert_eq!(again, expected, "{call:?}");
        if is_allowed == 1 {
            allowed.push((now, u64::from(cost.get())));
        }
        last = now;
    }
    // The excess over the rate, in any span: the largest rise of what was allowed less what the rate gave.
    let (mut sum, mut lowest, mut worst) = (0_i64, 0_i64, 0_i64);
    let begin = allowed[0].0;
    for (now, cost) in &allowed {
        let given = ((now - begin) / 1_000) as i64;
        lowest = lowest.min(sum - given);
        sum += *cost as i64;
        worst = worst.max(sum - given - lowest);
    }
    println!("{} calls, {sum} allowed in {} ms, worst excess {worst}", history.len(), (last - begin) / 1_000);
    assert!(worst <= 101, "{worst}"); // a burst, and what a span that is cut to milliseconds leaves out
    assert!(sum >= 100);
}
