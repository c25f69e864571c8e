//! The correlator with keys of the caller's against a hash map, under hostile clocks and replies.

use core::time::Duration;
use std::collections::HashMap;

use steadfast_core::{
    Instant, KeyedCorrelator,
    correlator::{BeginError, Resolution},
};

use crate::{
    Script,
    correlator::{N, OUT_OF_ORDER, Op, SECOND, conserved, due_at, ops, see},
};

pub fn fuzz(bytes: &[u8]) {
    beside_a_hash_map(ops(&mut Script::new(bytes), 60));
}

pub fn beside_a_hash_map(ops: Vec<(i64, Op)>) {
    let mut keyed = KeyedCorrelator::<usize, usize, N>::new();
    let mut model: HashMap<usize, (u64, u64, Option<usize>)> = HashMap::new();
    let (mut closed, mut seen_at, mut behind, mut look_at, mut now) = (false, 0, None, 0, 1_000 * SECOND);
    for (number, (step, op)) in ops.into_iter().enumerate() {
        now = now.saturating_add_signed(step);
        let at = Instant::from_nanos(now);
        let mut observe = |model: &mut HashMap<usize, (u64, u64, Option<usize>)>, patience| {
            let pending = model.values_mut().filter(|call| call.2.is_none());
            let times = pending.map(|(begun_at, expires_at, _)| (begun_at, expires_at));
            see(&mut seen_at, &mut behind, &mut look_at, times, now, patience);
        };
        match op {
            Op::Begin { peer, timeout } => {
                let id = usize::from(peer) * 3 + number % 2;
                let expires_at = now.saturating_add(timeout);
                observe(&mut model, OUT_OF_ORDER);
                let is_full = !closed && !model.contains_key(&id) && model.len() == N;
                if is_full {
                    observe(&mut model, 0);
                }
                let due = model.values().filter(|call| call.2.is_none()).map(|call| call.1).min();
                let makes_room = is_full && due.is_some_and(|at| now >= at);
                let is_known = model.contains_key(&id);
                let expected = if closed {
                    Err(BeginError::Closed)
                } else if is_known {
                    Err(BeginError::Duplicate)
                } else if is_full && !makes_room {
                    Err(BeginError::Full)
                } else {
                    model.insert(id, (now, expires_at, None));
                    Ok(Instant::from_nanos(expires_at))
                };
                assert_eq!(keyed.begin(id, Duration::from_nanos(timeout), at), expected);
                if makes_room {
                    // Which of those that are due at once it was is found by cancelling them.
                    let is_due = |call: &(u64, u64, Option<usize>)| call.2.is_none() && Some(call.1) == due;
                    let mut candidates: Vec<_> =
                        model.iter().filter(|(_, call)| is_due(call)).map(|(id, _)| *id).collect();
                    candidates.retain(|candidate| *candidate != id);
                    let is_gone = |candidate: &usize| model.remove(candidate).is_some() && !keyed.cancel(candidate);
                    assert!(candidates.iter().any(is_gone), "one was due");
                }
            }
            Op::Cancel { call } => {
                let pending = model.get(&call).is_some_and(|call| call.2.is_none());
                assert_eq!(keyed.cancel(&call), pending);
                model.retain(|id, _| !(pending && *id == call));
            }
            Op::Close => {
                keyed.close();
                model.retain(|_, call| call.2.is_some());
                closed = true;
            }
            Op::OnTimeout => {
                observe(&mut model, 0);
                let pending = model.values().filter(|call| call.2.is_none());
                let due = pending.map(|call| call.1).min().filter(|at| now >= *at);
                let expired = keyed.on_timeout(at);
                assert_eq!(expired.and_then(|id| model.remove(&id)).map(|call| call.1), due);
                assert_eq!(expired.is_some(), due.is_some());
            }
            Op::Reopen => {
                keyed.reopen();
                closed = false;
            }
            Op::Resolve { call, .. } => {
                observe(&mut model, OUT_OF_ORDER);
                let expected = match model.get_mut(&call) {
                    None => Resolution::Unknown(number),
                    Some((_, _, Some(_))) => Resolution::Duplicate(number),
                    Some((_, expires_at, reply)) if now < *expires_at => {
                        *reply = Some(number);
                        Resolution::Matched
                    }
                    Some(_) => Resolution::Late(number),
                };
                assert_eq!(keyed.resolve(&call, number, at), expected);
            }
            Op::Take { call } => {
                let reply = model.get(&call).and_then(|call| call.2);
                assert_eq!(keyed.take(&call), reply);
                model.retain(|id, _| !(reply.is_some() && *id == call));
            }
        }
        assert!(conserved(&keyed.stats()), "{:?}", keyed.stats());
        let pending = model.values().filter(|call| call.2.is_none()).count();
        assert_eq!(keyed.stats().pending, pending as u64);
        assert_eq!(keyed.len(), model.len());
        let pending = model.values().filter(|call| call.2.is_none());
        let next = pending.map(|call| due_at(behind, call.0, call.1)).min();
        assert_eq!(keyed.next_deadline(), next.map(Instant::from_nanos));
    }
}
