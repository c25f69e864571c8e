//! The retry budget beside exact sums, on clocks that step.

use steadfast_core::{Instant, RetryBudget};

use crate::{
    Script,
    retry::{Tick, tick},
};

const NANOS: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug)]
pub enum Ask {
    Deposit,
    Refund,
    Withdraw,
}

pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    let is_steady = script.flag();
    let settings = (script.below(300) as u32, 1 + script.below(49) as u32, 1 + script.below(19) as u32);
    if is_steady {
        steady_clock(settings, script.list(100, |script| (script.below(2 * NANOS), ask(script))));
    } else {
        stepping_clock(settings, script.list(100, |script| (tick(script), ask(script))));
    }
}

fn ask(script: &mut Script<'_>) -> Ask {
    script.weighted(&[(2, Ask::Deposit), (1, Ask::Refund), (4, Ask::Withdraw)])
}

/// What is granted is exactly what a bucket filled at every nanosecond would grant. The settings are those of the budget:
/// percent, floor a second, burst.
pub fn steady_clock((percent, floor, burst): (u32, u32, u32), asks: Vec<(u64, Ask)>) {
    const RETRY: u128 = 100 * NANOS as u128; // in hundredths of a billionth
    let mut budget = RetryBudget::percent(percent).floor_per_second(floor).burst(burst);
    let most = u128::from(burst) * RETRY;
    let mut shares = 0; // short of a retry
    let (mut level, mut now, mut owed) = (most, 0_u64, 0_u32);
    let (mut granted, mut refused) = (0_u64, 0_u64);
    for (wait, ask) in asks {
        now += wait;
        level = (level + u128::from(wait) * u128::from(floor) * 100).min(most);
        let at = Instant::from_nanos(now);
        assert_eq!(u128::from(budget.available(at)), level / RETRY);
        match ask {
            Ask::Deposit => {
                budget.deposit();
                shares += u128::from(percent) * u128::from(NANOS);
                level = (level + shares / RETRY * RETRY).min(most);
                shares %= RETRY;
            }
            Ask::Refund => {
                budget.refund();
                if owed > 0 {
                    owed -= 1;
                    level = (level + RETRY).min(most);
                }
            }
            Ask::Withdraw => {
                let expected = level >= RETRY;
                assert_eq!(budget.withdraw(at), expected);
                if expected {
                    level -= RETRY;
                    owed += 1;
                    granted += 1;
                } else {
                    refused += 1;
                }
            }
        }
    }
    let stats = budget.stats();
    assert_eq!((stats.withdrawn, stats.refused), (granted, refused));
    assert_eq!(stats.withdrawn - stats.refunded, u64::from(owed));
}

/// On any clock: never more than burst, share and floor allow, where the floor counts time again only after a step back
/// of more than a second; and never refused for longer than a second and the time in which one retry grows.
pub fn stepping_clock((percent, floor, burst): (u32, u32, u32), asks: Vec<(Tick, Ask)>) {
    let mut budget = RetryBudget::percent(percent).floor_per_second(floor).burst(burst);
    let (mut now, mut furthest, mut passed) = (0_u64, 0_u64, 0_u128);
    for (tick, ask) in asks {
        now = tick.move_on(now);
        let at = Instant::from_nanos(now);
        match ask {
            Ask::Deposit => budget.deposit(),
            Ask::Refund => budget.refund(),
            Ask::Withdraw => {
                if now < furthest.saturating_sub(NANOS) {
                    furthest = now;
                }
                passed += u128::from(now.saturating_sub(furthest));
                furthest = furthest.max(now);
                if !budget.withdraw(at) {
                    let soon = now.saturating_add(NANOS).saturating_add(NANOS.div_ceil(floor.into()));
                    assert!(budget.clone().withdraw(Instant::from_nanos(soon)) || soon == u64::MAX);
                }
            }
        }
        let stats = budget.stats();
        let spent = u128::from(stats.withdrawn - stats.refunded) * u128::from(NANOS);
        let shares = u128::from(stats.deposits) * u128::from(percent) * u128::from(NANOS / 100);
        let earned = u128::from(burst) * u128::from(NANOS) + shares + passed * u128::from(floor);
        assert!(spent <= earned, "{spent} spent, {earned} earned");
        assert!(budget.available(at) <= burst);
    }
}
