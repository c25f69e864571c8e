//! Reading the clock, which many of the other rows do once or twice.

use std::{hint::black_box, time::Instant};

use governor::clock::{Clock as _, QuantaClock};
use steadfast::{Clock, SystemTimer};

use super::Plan;
use crate::{run::Row, slice::repeat};

pub(super) fn rows() -> Vec<Plan> {
    vec![Plan::new("clock, one reading", || {
        let quanta = QuantaClock::default();
        Row::new(repeat(|| _ = black_box(SystemTimer.now())))
            .peer("std", None, repeat(|| _ = black_box(Instant::now())))
            .peer("quanta, through governor", None, repeat(move || _ = black_box(quanta.now())))
    })]
}
