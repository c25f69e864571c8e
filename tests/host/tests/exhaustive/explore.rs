//! Machines that cannot be cloned, as models of stateright: a state is the shortest script that leads to it.

use std::{
    collections::BTreeSet,
    fmt::{self, Debug, Write as _},
    hash::{Hash, Hasher},
    sync::{Arc, Mutex},
    time::Duration,
};

use stateright::{Checker, HasDiscoveries, Model, Property};
use steadfast_core::Instant;

/// A machine, all that can be done to it, and what must come of it.
pub trait Scenario: Clone + Send + Sync + 'static {
    /// The machine with what its users hold, and what a naive reading of its contract expects of it.
    type Run;
    type Action: Clone + Debug + PartialEq + Send + Sync + 'static;

    fn start(&self) -> Self::Run;

    fn actions(&self, run: &Self::Run) -> Vec<Self::Action>;

    /// Does it, and says in a word what came of it, or what must not have.
    fn step(&self, run: &mut Self::Run, action: &Self::Action) -> Result<&'static str, String>;

    /// Equal only for runs with the same future.
    fn fingerprint(&self, run: &Self::Run) -> String;

    /// Whether the machine serves again once its users leave it alone for a while.
    fn recovers(&self, run: Self::Run) -> Result<(), String>;
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Explored<A> {
    /// What the steps said.
    pub seen: BTreeSet<&'static str>,
    /// A shortest way to what must not happen, and what that is.
    pub unsafe_after: Option<(Vec<A>, String)>,
    /// A shortest way to where service does not come back, and why.
    pub stuck_after: Option<(Vec<A>, String)>,
}

impl<A: Debug> Explored<A> {
    /// Nothing wrong was found, and all these were seen.
    #[track_caller]
    pub fn assert_safe_and_live(&self, seen: &[&str]) {
        assert!(self.unsafe_after.is_none() && self.stuck_after.is_none(), "{self:#?}");
        let missing: Vec<_> = seen.iter().filter(|seen| !self.seen.contains(*seen)).collect();
        assert!(missing.is_empty(), "never seen: {missing:?}; seen: {:?}", self.seen);
    }
}

/// Visits every reachable state, breadth first; panics if there are more than `most`.
pub fn explore<S: Scenario>(scenario: S, most: usize) -> Explored<S::Action> {
    let explored = Explored { seen: BTreeSet::new(), unsafe_after: None, stuck_after: None };
    let explored = Arc::new(Mutex::new(explored));
    let model = Scripts { scenario, explored: explored.clone() };
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.target_state_count(most.saturating_mul(16)).spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{states} states, {} steps, at most {} from the start", checker.state_count(), checker.max_depth());
    assert!(states <= most, "{states} states: does the fingerprint forget what is over?");
    explored.lock().unwrap().clone()
}

struct Scripts<S: Scenario> {
    scenario: S,
    explored: Arc<Mutex<Explored<S::Action>>>,
}

struct State<A> {
    script: Vec<A>,
    actions: Vec<A>,
    fingerprint: String,
    is_safe: bool,
}

impl<S: Scenario> Scripts<S> {
    fn replay(&self, script: &[S::Action]) -> (S::Run, Result<&'static str, String>) {
        let (mut run, mut last) = (self.scenario.start(), Ok(""));
        for action in script {
            last = self.scenario.step(&mut run, action);
        }
        (run, last)
    }

    fn state(&self, script: Vec<S::Action>) -> State<S::Action> {
        let (run, last) = self.replay(&script);
        let (is_safe, fingerprint) = (last.is_ok(), self.scenario.fingerprint(&run));
        let actions = if is_safe { self.scenario.actions(&run) } else { Vec::new() };
        let mut explored = self.explored.lock().unwrap();
        match last {
            Ok(seen) => drop(explored.seen.insert(seen)),
            Err(why) => drop(explored.unsafe_after.get_or_insert_with(|| (script.clone(), why))),
        }
        drop(explored);
        State { script, actions, fingerprint, is_safe }
    }

    fn is_live(&self, state: &State<S::Action>) -> bool {
        let (run, _) = self.replay(&state.script);
        let Err(why) = self.scenario.recovers(run) else { return true };
        self.explored.lock().unwrap().stuck_after.get_or_insert_with(|| (state.script.clone(), why));
        false
    }
}

impl<S: Scenario> Model for Scripts<S> {
    type State = State<S::Action>;
    type Action = S::Action;

    fn init_states(&self) -> Vec<Self::State> {
        vec![self.state(Vec::new())]
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<S::Action>) {
        actions.extend_from_slice(&state.actions);
    }

    fn next_state(&self, state: &Self::State, action: S::Action) -> Option<Self::State> {
        let script = [state.script.as_slice(), &[action]].concat();
        Some(self.state(script)).filter(|next| next != state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing happens that must not", |_, state: &Self::State| state.is_safe),
            Property::always("service comes back", |model: &Self, state: &Self::State| {
                !state.is_safe || model.is_live(state)
            }),
        ]
    }
}

impl<A> Hash for State<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.fingerprint, self.is_safe).hash(state);
    }
}

impl<A> PartialEq for State<A> {
    fn eq(&self, other: &Self) -> bool {
        (&self.fingerprint, self.is_safe) == (&other.fingerprint, other.is_safe)
    }
}

impl<A: Clone> Clone for State<A> {
    fn clone(&self) -> Self {
        let Self { script, actions, fingerprint, is_safe } = self;
        Self { script: script.clone(), actions: actions.clone(), fingerprint: fingerprint.clone(), is_safe: *is_safe }
    }
}

impl<A: Debug> Debug for State<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fingerprint)
    }
}

/// The unit of time of these tests.
pub const TICK: Duration = Duration::from_secs(1);

/// When they begin: late enough for what lies before it.
pub const START: Instant = Instant::from_secs(1_000);

/// The time, and how many ticks before and after it a machine can tell one instant from another.
#[derive(Clone, Copy)]
pub struct View {
    pub now: Instant,
    pub far: i64,
}

impl View {
    /// `at` in ticks from now.
    pub fn ticks(self, at: Instant) -> i64 {
        let ticks = |at: Instant| i64::try_from(at.as_nanos() / TICK.as_nanos() as u64).unwrap_or(i64::MAX / 2);
        (ticks(at) - ticks(self.now)).clamp(-self.far, self.far)
    }

    /// The whole of a machine as it prints itself: whatever fields it has, none is left out. Instants are ticks from now,
    /// counts (`stats`) are dropped, and every other number is what `number` makes of it and its field's name.
    pub fn text_of(self, machine: &impl Debug, mut number: impl FnMut(&str, u64) -> u64) -> String {
        let text = format!("{machine:?}");
        let (mut out, mut name, mut is_counts) = (String::with_capacity(text.len()), "", false);
        for word in text.split(' ') {
            is_counts |= word == "stats:";
            if is_counts {
                is_counts = !word.starts_with('}');
                continue;
            }
            let start = word.find(|digit: char| digit.is_ascii_digit()).unwrap_or(word.len());
            let digits = &word[start..];
            let digits = &digits[..digits.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(digits.len())];
            let (before, after) = (&word[..start], &word[start + digits.len()..]);
            out.push_str(before);
            if let Ok(value) = digits.parse() {
                let _ = match before.ends_with("Instant(") {
                    true => write!(out, "{:+}", self.ticks(Instant::from_nanos(value))),
                    false => write!(out, "{}", number(name, value)),
                };
            }
            out.push_str(after);
            out.push(' ');
            name = word;
        }
        out
    }
}
