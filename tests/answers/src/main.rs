//! `steadfast-answers OPERATIONS [MACHINE]`: the answers on this machine, a line for each.

use std::env;

use steadfast_answers::Order;

fn main() {
    let arguments = env::args().skip(1).collect::<Vec<_>>().join(" ");
    let order = Order::read(&arguments).expect("OPERATIONS [MACHINE]");
    order.lines(|line| println!("{line}"));
}
