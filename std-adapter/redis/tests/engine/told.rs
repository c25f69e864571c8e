//! A connection that runs the script's test build in place of the script: another clock, and a log of what it decided.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering},
};

use redis::{Cmd, Pipeline, RedisFuture, Value, aio::ConnectionLike};

const SCRIPT: &str = include_str!("../../src/engine/allow.lua");
const DEDUP: &str = include_str!("../../src/engine/dedup.lua");

/// The script with a part in the place of another, which has to be in it once.
fn with(script: &str, part: &str, other: &str) -> String {
    assert_eq!(script.matches(part).count(), 1, "{part}");
    script.replace(part, other)
}

/// With `now` in microseconds as the last argument, and without an end of the keys, which would come by the real clock.
pub(crate) fn at_given_time() -> String {
    let script = with(SCRIPT, "local now = time[1] * 1000000 + time[2]", "local now = tonumber(ARGV[#ARGV])");
    with(&script, "'PX', string.format('%.0f', ttl)", "'PX', '100000000'")
}

/// The script of ids, with `now` in microseconds as the last argument.
pub(crate) fn ids_at_given_time() -> String {
    let script = with(DEDUP, "local now = time[1] * 1000000 + time[2]", "local now = tonumber(ARGV[#ARGV])");
    with(&script, "'PX', string.format('%.0f', math.max(ends, 1))", "'PX', '100000000'")
}

/// With an offset of the clock as the last argument.
fn shifted(script: &str) -> String {
    with(script, "+ time[2]\n", "+ time[2] + tonumber(ARGV[#ARGV])\n")
}

/// The same call of another script, with one more argument.
fn call_of(script: &str, cmd: &Cmd, offset: i64) -> (Cmd, Vec<Vec<u8>>) {
    let words: Vec<Vec<u8>> = cmd
        .args_iter()
        .map(|arg| match arg {
            redis::Arg::Simple(word) => word.to_vec(),
            _ => panic!("a cursor"),
        })
        .collect();
    assert_eq!((&*words[0], &*words[2]), (b"EVALSHA".as_slice(), b"1".as_slice()), "one key");
    let mut other = redis::cmd("EVAL");
    other.arg(script);
    words[2..].iter().for_each(|word| _ = other.arg(word));
    other.arg(offset);
    (other, words)
}

/// With an offset of the clock; returns the number of the call and the time beside the answer.
fn with_offset() -> String {
    with(
        &shifted(SCRIPT),
        "return { all, unpack(owed) }",
        "return { redis.call('INCR', 'calls'), now, all, unpack(owed) }",
    )
}

/// What the script decided for one key.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) number: i64,
    /// By the engine, in microseconds.
    pub(crate) now: u64,
    pub(crate) interval: u64,
    pub(crate) burst: u32,
    pub(crate) cost: u32,
    pub(crate) is_allowed: bool,
    pub(crate) owed: u64,
}

#[derive(Clone)]
pub(crate) struct Told<C> {
    connection: C,
    script: Arc<str>,
    /// In microseconds.
    pub(crate) offset: Arc<AtomicI64>,
    pub(crate) calls: Arc<Mutex<Vec<Call>>>,
}

impl<C> Told<C> {
    pub(crate) fn new(connection: C) -> Self {
        Self { connection, script: with_offset().into(), offset: Arc::default(), calls: Arc::default() }
    }
}

impl<C: ConnectionLike + Send> ConnectionLike for Told<C> {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let (other, words) = call_of(&self.script, cmd, self.offset.load(Ordering::SeqCst));
        let number = |word: &[u8]| str::from_utf8(word).unwrap().parse::<u64>().unwrap();
        let [interval, burst, cost] = [4, 5, 6].map(|place| number(&words[place]));
        let calls = self.calls.clone();
        Box::pin(async move {
            let reply: Vec<i64> = other.query_async(&mut self.connection).await?;
            let [number, now, is_allowed, owed] = reply[..] else { panic!("{reply:?}") };
            calls.lock().unwrap().push(Call {
                number,
                now: now as u64,
                interval,
                burst: burst as u32,
                cost: cost as u32,
                is_allowed: is_allowed == 1,
                owed: owed as u64,
            });
            Ok(Value::Array(vec![Value::Int(is_allowed), Value::Int(owed)]))
        })
    }

    fn req_packed_commands<'a>(&'a mut self, _: &'a Pipeline, _: usize, _: usize) -> RedisFuture<'a, Vec<Value>> {
        unimplemented!("nobody sends pipelines")
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

/// Runs the script of ids by a clock that differs from the engine's.
#[derive(Clone)]
pub(crate) struct Shifted<C> {
    connection: C,
    script: Arc<str>,
    /// In microseconds.
    pub(crate) offset: Arc<AtomicI64>,
}

impl<C> Shifted<C> {
    pub(crate) fn new(connection: C) -> Self {
        Self { connection, script: shifted(DEDUP).into(), offset: Arc::default() }
    }
}

impl<C: ConnectionLike + Send> ConnectionLike for Shifted<C> {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let (other, _) = call_of(&self.script, cmd, self.offset.load(Ordering::SeqCst));
        Box::pin(async move { other.query_async(&mut self.connection).await })
    }

    fn req_packed_commands<'a>(&'a mut self, _: &'a Pipeline, _: usize, _: usize) -> RedisFuture<'a, Vec<Value>> {
        unimplemented!("nobody sends pipelines")
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}
