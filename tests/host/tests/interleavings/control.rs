//! Wrong on purpose: shows that a lost wake-up is found.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

use steadfast_core::Lock;

use super::support::{Mutex, block_on, explore, spawn};

/// Looks for the value and leaves its waker under one lock, or under two in a row.
fn wait_for_a_value(leaves_waker_at_once: bool) {
    let place = Arc::new(Mutex::new((None::<u32>, None::<Waker>)));
    let giver = place.clone();
    spawn(move || {
        let waker = giver.with(|(value, waker)| {
            *value = Some(7);
            waker.take()
        });
        waker.into_iter().for_each(Waker::wake);
    });
    let value = block_on(poll_fn(|cx| {
        let seen = place.with(|(value, waker)| {
            if leaves_waker_at_once {
                *waker = Some(cx.waker().clone());
            }
            value.take()
        });
        if seen.is_none() && !leaves_waker_at_once {
            place.with(|(_, waker)| *waker = Some(cx.waker().clone()));
        }
        seen.map_or(Poll::Pending, Poll::Ready)
    }));
    assert_eq!(value, 7);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_waker_that_is_left_too_late_is_a_lost_wake_up() {
    explore(|| wait_for_a_value(false));
}

#[test]
fn a_waker_that_is_left_under_the_same_lock_is_none() {
    explore(|| wait_for_a_value(true));
}
