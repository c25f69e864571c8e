//! What the script of ids says, beside a naive model.

use std::collections::HashMap;

use redis::Value;

use crate::{exact::Dice, scale, server::Server, told::ids_at_given_time};

const LEASE: u64 = 1_000;
const TTL: u64 = 5_000;

/// Of one id.
#[derive(Default)]
struct Model {
    owner: Option<u64>,
    is_done: bool,
    /// It holds for so long from then on.
    span: u64,
    at: u64,
    fence: u64,
    note: Vec<u8>,
}

impl Model {
    fn hold(&mut self, owner: Option<u64>, is_done: bool, span: u64, now: u64, note: &[u8]) {
        (self.owner, self.is_done, self.span, self.at, self.note) = (owner, is_done, span, now, note.to_vec());
    }

    fn ask(&mut self, what: &str, token: u64, note: &[u8], now: u64) -> (u64, u64, Vec<u8>) {
        self.at = self.at.min(now);
        let left = self.span.saturating_sub(now - self.at);
        let is_own = self.owner == Some(token);
        match what {
            "claim" | "check" => {
                if left > 0 {
                    return match (is_own, self.is_done) {
                        (true, _) => (0, self.fence, vec![]),
                        (false, true) => (2, 0, self.note.clone()),
                        (false, false) => (1, left, vec![]),
                    };
                }
                self.fence = now.max(self.fence + 1);
                let is_done = what == "check";
                self.hold(Some(token), is_done, if is_done { TTL } else { LEASE }, now, &[]);
            }
            "commit" if is_own && self.is_done => {}
            _ if !is_own || self.is_done => return (1, 0, vec![]),
            "renew" => self.hold(Some(token), false, LEASE, now, &[]),
            "commit" => self.hold(Some(token), true, TTL, now, note),
            _ => self.hold(None, false, 0, now, &[]),
        }
        (0, self.fence, vec![])
    }
}

/// 100,000 random calls, a million in the long form: few ids, few callers, a clock that stands, goes and steps back. Each
/// answer is the model's, and of each id the fence grows with every claim.
pub(crate) async fn the_script_keeps_claims_apart() {
    const BATCH: usize = 1_000;
    let server = Server::start(&[]).await;
    let mut connection = server.connect().await;
    let hash: String =
        redis::cmd("SCRIPT").arg("LOAD").arg(ids_at_given_time()).query_async(&mut connection).await.unwrap();
    let (mut dice, mut now) = (Dice(11), 1_000_000_000_000);
    let mut models: HashMap<u64, Model> = HashMap::new();
    let mut answers = [0; 3];
    for _ in 0..scale(100_000, 1_000_000) / BATCH {
        let (mut pipeline, mut expected) = (redis::pipe(), Vec::new());
        for _ in 0..BATCH {
            match dice.roll(0..40) {
                0 => now -= dice.roll(0..20_000),
                1 => now += dice.roll(0..10_000),
                _ => now += dice.roll(0..40),
            }
            let (id, token) = (dice.roll(0..20), dice.roll(1..5));
            let what = ["claim", "claim", "check", "renew", "commit", "abort"][dice.roll(0..6) as usize];
            let note = now.to_le_bytes();
            pipeline.cmd("EVALSHA").arg(&hash).arg(1).arg(format!("id {id}"));
            pipeline.arg(what).arg(token).arg(LEASE).arg(TTL).arg(&note).arg(now);
            let model = models.entry(id).or_default();
            let (fence, answer) = (model.fence, model.ask(what, token, &note, now));
            assert!(model.fence >= fence);
            answers[answer.0 as usize] += 1;
            expected.push((what, answer));
        }
        let replies: Vec<(u64, u64, Value)> = pipeline.query_async(&mut connection).await.unwrap();
        for (reply, (what, (code, number, note))) in replies.into_iter().zip(expected) {
            assert_eq!(reply, (code, number, Value::BulkString(note)), "{what}");
        }
    }
    assert!(answers.iter().all(|&count| count > 1_000), "{answers:?}");
}
