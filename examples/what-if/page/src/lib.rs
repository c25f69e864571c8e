//! What the page calls: it writes bytes into [`buffer`], a piece of a log for [`push`] or a question in JSON for
//! [`ask`], whose answer it finds at [`answer`].
//!
//! Numbers alone cross the border, and no pointer comes in: there is no `unsafe` but in the names.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use what_if::{
    key::KeyBy,
    limit::Limit,
    log::Log,
    made_up::made_up_log,
    reader::Reader,
    replay::decisions,
    report::{Headline, bursts},
    storm::Storm,
    sweep::{Band, Least, Point, least_limits, sweep},
    table::{Tables, tables},
};

/// A question of the page.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
enum Question {
    /// A log follows, by [`push`].
    Open { key: String, most: usize },
    /// It has ended, or one of several files has.
    EndOfFile,
    /// It is all there.
    Close,
    /// Take the made-up traffic instead.
    MadeUp { seed: u64 },
    /// What the limit does.
    Headline { limit: Limit },
    /// What other rates do, with one of the bursts.
    Sweep { limit: Limit, burst: usize },
    /// The least limits.
    Least { limit: Limit },
    /// Keys in use, and full tables.
    Tables { limit: Limit },
    /// Every decision: a digit for each request in order of time, 1 if it is allowed.
    Decisions { limit: Limit },
    /// An upstream that fails, and what stands before it.
    Storm { storm: Storm, seed: u64 },
}

/// What is told.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Error { error: String },
    Read { requests: usize },
    Headline(Box<Headline>),
    Sweep(Vec<Point>),
    Least(Least),
    Tables(Tables),
    Decisions(Band<String>),
    Storm(what_if::storm::Played),
}

struct State {
    buffer: Vec<u8>,
    by: KeyBy,
    reader: Option<Reader>,
    log: Option<Log>,
}

thread_local! {
    static STATE: RefCell<State> =
        const { RefCell::new(State { buffer: Vec::new(), by: KeyBy::User, reader: None, log: None }) };
}

/// Room for so many bytes, which the page fills before its next call.
#[unsafe(no_mangle)]
pub extern "C" fn buffer(len: usize) -> *mut u8 {
    STATE.with_borrow_mut(|state| {
        state.buffer.clear();
        state.buffer.resize(len, 0);
        state.buffer.as_mut_ptr()
    })
}

/// Reads the bytes in the buffer as a piece of the log, and tells how many requests there are.
#[unsafe(no_mangle)]
pub extern "C" fn push() -> usize {
    STATE.with_borrow_mut(|State { buffer, reader, .. }| {
        reader.as_mut().map_or(0, |reader| {
            reader.push(buffer);
            reader.requests()
        })
    })
}

/// Answers the question in the buffer, and tells how long the answer is.
#[unsafe(no_mangle)]
pub extern "C" fn ask() -> usize {
    STATE.with_borrow_mut(|state| {
        let told = serde_json::from_slice(&state.buffer).map_err(|error| error.to_string());
        let told = told.and_then(|question| state.answer(question));
        let told = serde_json::to_vec(&told.unwrap_or_else(|error| Answer::Error { error }));
        state.buffer = told.unwrap_or_default();
        state.buffer.len()
    })
}

/// Where the answer is, until the next call.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> *const u8 {
    STATE.with_borrow(|state| state.buffer.as_ptr())
}

impl State {
    fn answer(&mut self, question: Question) -> Result<Answer, String> {
        match question {
            Question::Open { key, most } => {
                self.by = KeyBy::read(&key)?;
                (self.reader, self.log) = (Some(Reader::new(self.by.clone(), most)), None);
            }
            Question::EndOfFile => {
                if let Some(reader) = &mut self.reader {
                    reader.end_line();
                }
            }
            Question::Close => self.log = self.reader.take().map(Reader::finish),
            Question::MadeUp { seed } => (self.by, self.log) = (KeyBy::User, Some(made_up_log(seed))),
            Question::Storm { storm, seed } => return Ok(Answer::Storm(storm.play(seed))),
            Question::Headline { limit } => {
                return Ok(Answer::Headline(Box::new(Headline::of(self.log()?, &self.by, limit))));
            }
            Question::Sweep { limit, burst } => {
                let burst = bursts(limit.burst).get(burst).copied();
                let points = burst.map(|burst| Ok(sweep(self.log()?, limit.rate.per, burst)));
                return points.unwrap_or_else(|| Ok(Vec::new())).map(Answer::Sweep);
            }
            Question::Least { limit } => return Ok(Answer::Least(least_limits(self.log()?, limit))),
            Question::Tables { limit } => return Ok(Answer::Tables(tables(self.log()?, limit))),
            Question::Decisions { limit } => {
                let digits = |allowed: Vec<bool>| allowed.into_iter().map(|allowed| if allowed { '1' } else { '0' });
                let quota = limit.quota();
                let told = Band::of(self.log()?, |requests| digits(decisions(requests, &quota)).collect());
                return Ok(Answer::Decisions(told));
            }
        }
        let of_log = self.log.as_ref().map(|log| log.at_start.len());
        Ok(Answer::Read { requests: of_log.or(self.reader.as_ref().map(Reader::requests)).unwrap_or(0) })
    }

    fn log(&self) -> Result<&Log, String> {
        self.log.as_ref().ok_or_else(|| String::from("there is no log"))
    }
}
