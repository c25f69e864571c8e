//! Waiting for a rate limiter, in the core and on a server: whoever waits gets on whatever others do or leave undone, and
//! never gets more than the quota. `STEADFAST_SEEDS` asks for another number of seeds.

mod changes;
mod held;
mod support;
mod turns;
