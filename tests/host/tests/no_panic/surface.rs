//! The public functions in a source, each with the type that it is of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A public function.
pub struct Function {
    /// The type, `Shared<Type>` for a face, or the module of a function of no type.
    owner: String,
    pub name: String,
    pub path: String,
    pub line: usize,
}

impl Function {
    /// It is of no type, so the compiler may name it without its module.
    pub fn is_alone(&self) -> bool {
        self.owner.starts_with(char::is_lowercase)
    }

    pub fn is(&self, owner: &str, name: &str) -> bool {
        self.owner == owner && self.name == name
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.owner, self.name)
    }
}

/// What types and modules are called.
#[derive(Default)]
pub struct Names {
    /// What a type is, by its other name.
    aliases: BTreeMap<String, String>,
    public_modules: BTreeSet<String>,
}

impl Names {
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = Self::default();
        for line in texts.into_iter().flat_map(str::lines) {
            if let Some((_, alias)) = line.split_once("type ").filter(|(before, _)| before.starts_with("pub")) {
                if let Some((_, type_)) = alias.rsplit_once(" = ") {
                    names.aliases.insert(word(alias).to_owned(), face(type_));
                }
            } else if let Some(module) = line.strip_prefix("pub mod ") {
                names.public_modules.insert(word(module).to_owned());
            }
        }
        names
    }

    /// Where users find what stands in a file: the innermost public module, or the crate.
    fn module<'a>(&self, path: &'a str) -> &'a str {
        let path = path.strip_suffix(".rs").unwrap_or(path);
        path.rsplit('/').find(|module| self.public_modules.contains(*module)).unwrap_or("steadfast_core")
    }
}

/// All that are in a source as rustfmt leaves it, but for those that make a future.
///
/// `names` tells what types and modules are called.
pub fn functions(path: &str, text: &str, names: &Names) -> Vec<Function> {
    let mut found = Vec::new();
    let mut owner = names.module(path).to_owned();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        if line.starts_with("impl") {
            let mut head = line.to_owned();
            while !head.contains('{') {
                let Some((_, more)) = lines.next() else { break };
                head.push(' ');
                head.push_str(more.trim());
            }
            owner = implementor(&head);
            owner = names.aliases.get(&owner).cloned().unwrap_or(owner);
        } else if line == "}" {
            names.module(path).clone_into(&mut owner);
        } else if let Some(name) = function(line) {
            let mut makes_future = line.contains("-> impl Future");
            while !line.ends_with(['{', '}']) {
                let Some((_, more)) = lines.next_if(|(_, more)| !more.ends_with('}')) else { break };
                makes_future |= more.contains("-> impl Future");
                if more.ends_with('{') {
                    break;
                }
            }
            if !makes_future {
                found.push(Function {
                    owner: owner.clone(),
                    name: name.to_owned(),
                    path: path.to_owned(),
                    line: at + 1,
                });
            }
        }
    }
    found
}

/// The name of the public function that a line begins, unless it is `async`.
fn function(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let rest = rest.strip_prefix("const ").unwrap_or(rest).strip_prefix("fn ")?;
    Some(word(rest))
}

/// The word that a text begins with.
pub fn word(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    &text[..end]
}

/// What follows the closing bracket of the `<` that a text begins with; the text itself if it begins with none.
pub fn behind_brackets(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut last = ' ';
    for (at, letter) in text.char_indices() {
        match letter {
            '<' => depth += 1,
            '>' if last != '-' && last != '=' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return if at == 0 { text } else { &text[at + 1..] };
        }
        last = letter;
    }
    ""
}

/// The type that the head of an `impl` is for.
fn implementor(head: &str) -> String {
    let rest = behind_brackets(head.strip_prefix("impl").unwrap_or(head)).trim_start();
    face(rest.split_once(" for ").map_or(rest, |(_, implementor)| implementor))
}

/// The name of a type, without its arguments; of a [`Shared`](steadfast_core::Shared) also the name of what it shares.
pub fn face(text: &str) -> String {
    let name = word(text);
    let shared = text.strip_prefix("Shared<").map(word).filter(|shared| shared.len() > 1);
    shared.map_or_else(|| name.to_owned(), |shared| format!("{name}<{shared}>"))
}

#[test]
fn each_function_is_found_with_its_type() {
    let text = "\
pub type DedupCache<K, const N: usize, H = HashSeed> = DedupCacheIn<K, Inline<N>>;
pub(super) type Queue<B, L, T> = Shared<BatchQueueIn<B>, L, T>;
pub fn median(votes: &mut [i64]) -> Option<i64> {
}

impl<M, L: Lock<Target = M>, T> Shared<M, L, T> {
    pub const fn timer(&self) -> &T {
    }
    pub(crate) fn hidden(&self) {
    }
    pub async fn call<F>(&self) {
    }
    pub fn call_with<F>(
        &self,
    ) -> impl Future<Output = F> {
    }
}

impl<K, S, L, T> Shared<DedupCacheIn<K, S>, L, T>
where
    F: Fn(u8) -> u8,
{
    pub fn check(
        &self,
    ) {
    }
}

impl<K> DedupCache<K> {
    pub fn new() -> Self {}
    pub fn check(&mut self) {
    }
}

impl<B, L, T> Queue<B, L, T> {
    pub fn flush(&self) {
    }
}
";
    let names = Names::of([text, "pub mod aggregate;\nmod mean;"]);
    let found = functions("core/src/aggregate/mean.rs", text, &names);
    let found: Vec<_> = found.iter().map(|function| format!("{function} {}", function.line)).collect();
    let expected = [
        "aggregate::median 3",
        "Shared::timer 7",
        "Shared<DedupCacheIn>::check 23",
        "DedupCacheIn::new 30",
        "DedupCacheIn::check 31",
        "Shared<BatchQueueIn>::flush 36",
    ];
    assert_eq!(found, expected);
    assert_eq!(names.module("core/src/foundation/time.rs"), "steadfast_core");
}
