//! One step of the rate, proved equal to what it was before the table of lines.

use super::*;
use crate::foundation::time::Span;

/// The decision as it stood then, for a rate of so many nanoseconds and so many at once.
fn before(
    (interval, burst): (u64, u32),
    state: Instant,
    cost: NonZeroU32,
    since: Instant,
    now: Instant,
) -> Result<(Decision, Instant), CostExceedsBurst> {
    let interval = Span::from_nanos(interval);
    let tolerance = if burst == 0 { Span::MAX } else { interval.times(burst.into()) };
    if cost.get() > burst {
        return if burst == 0 {
            Ok((Decision::Deny { retry_at: Instant::MAX }, state))
        } else {
            Err(CostExceedsBurst { limit: burst })
        };
    }
    let whole_at = if state.as_nanos() < since.as_nanos() { since } else { state.earlier(now.after(tolerance)) };
    let moved = whole_at.after(interval.times(u64::from(cost.get())));
    if moved <= now.after(tolerance) && (moved < Instant::MAX || interval.is_zero()) {
        Ok((Decision::Allow, moved))
    } else {
        let retry_at = if moved == Instant::MAX { moved } else { moved.before(tolerance) };
        Ok((Decision::Deny { retry_at }, whole_at))
    }
}

#[test]
fn a_step_decides_as_it_did_before_for_all_small_spans_at_both_ends_of_time() {
    let ends = [0, u64::MAX - 16];
    for (interval, burst) in (0..5_u64).flat_map(|interval| (0..5_u32).map(move |burst| (interval, burst))) {
        let quota = Gcra::every(Duration::from_nanos(interval)).burst(burst);
        for (end, state, now) in
            ends.into_iter().flat_map(|end| (0..17).flat_map(move |state| (0..17).map(move |now| (end, state, now))))
        {
            let [state, now] = [state, now].map(|nanos| Instant::from_nanos(end + nanos));
            for (late, cost) in (0..3).flat_map(|late| (1..7).map(move |cost| (late, cost))) {
                let (since, cost) = (now.before(Span::from_nanos(late)), NonZeroU32::new(cost).unwrap());
                let after = quota.allow(state, Held::Entry(&mut ()), cost, since, now);
                assert_eq!(after, before((interval, burst), state, cost, since, now), "{quota:?} {state:?} {now:?}");
                let checked = quota.check(state, Held::Entry(&mut ()), cost, now);
                let told = before((interval, burst), state, cost, now, now).map(|(decision, _)| decision);
                assert_eq!(checked, told);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_step_decides_as_it_did_before(
        interval in any::<u64>(), shift in 0..64_u32, burst in any::<u32>(), few in 0..32_u32,
        state in any::<u64>(), now in any::<u64>(), near in 0..64_u32, late in 0..6_000_000_u64, cost in 1..u32::MAX,
    ) {
        let (interval, burst) = (interval >> shift, burst >> few);
        let quota = Gcra::every(Duration::from_nanos(interval)).burst(burst);
        let now = Instant::from_nanos(now);
        let state = now.after(Span::from_nanos(state >> near));
        let (since, cost) = (now.before(Span::from_nanos(late)), NonZeroU32::new((cost >> few).max(1)).unwrap());
        let after = quota.allow(state, Held::Cell(&mut ()), cost, since, now);
        prop_assert_eq!(after, before((interval, burst), state, cost, since, now));
    }
}
