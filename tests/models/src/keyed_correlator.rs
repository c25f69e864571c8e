//! The correlator with keys of the caller's against a hash map, under hostile clocks and replies.

use core::time::Duration;
use std::collections::HashMap;

use steadfast_core::{BeginError, Instant, KeyedCorrelator, Resolution};

use crate::{
    Script,
    correlator::{N, OUT_OF_ORDER, Op, SECOND, conserved, ops},
};

pub fn fuzz(bytes: &[u8]) {
    beside_a_hash_map(ops(&mut Script::new(bytes), 60));
}

pub fn beside_a_hash_map(ops: Vec<(i64, Op)>) {
    let mut keyed = KeyedCorrelator::<usize, usize, N>::new();
    let mut model: HashMap<usize, (u64, u64, Option<usize>)> = HashMap::new();
    let (mut closed, mut seen, mut now) = (false, 0, 1_000 * SECOND);
    let due = |model: &HashMap<usize, (u64, u64, Option<usize>)>| {
        model.values().filter(|call| call.2.is_none()).map(|call| call.1).min()
    };
    for (number, (step, op)) in ops.into_iter().enumerate() {
        now = now.saturating_add_signed(step);
        let at = Instant::from_nanos(now);
        if matches!(op, Op::Begin { .. } | Op::Resolve { .. }) {
            if now.saturating_add(OUT_OF_ORDER) < seen {
                for (begun_at, expires_at, _) in model.values_mut().filter(|call| call.0 > now && call.2.is_none()) {
                    *expires_at = now.saturating_add(*expires_at - *begun_at);
                    *begun_at = now;
                }
                seen = now;
            }
            seen = seen.max(now);
        }
        match op {
            Op::Begin { peer, timeout } => {
                let id = usize::from(peer) * 3;
                let expires_at = now.saturating_add(timeout);
                let expected = if closed {
                    Err(BeginError::Closed)
                } else if model.contains_key(&id) {
                    Err(BeginError::Duplicate)
                } else if model.len() == N {
                    Err(BeginError::Full)
                } else {
                    model.insert(id, (now, expires_at, None));
                    Ok(Instant::from_nanos(expires_at))
                };
                assert_eq!(keyed.begin(id, Duration::from_nanos(timeout), at), expected);
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
                let due = due(&model).filter(|at| now >= *at);
                let expired = keyed.on_timeout(at);
                assert_eq!(expired.and_then(|id| model.remove(&id)).map(|call| call.1), due);
                assert_eq!(expired.is_some(), due.is_some());
            }
            Op::Reopen => {
                keyed.reopen();
                closed = false;
            }
            Op::Resolve { call, .. } => {
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
        assert_eq!(keyed.next_deadline(), due(&model).map(Instant::from_nanos));
    }
}
