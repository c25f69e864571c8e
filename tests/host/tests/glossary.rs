//! The glossary of the std crate holds: whoever searches the docs for a term of another crate's finds the page that the
//! glossary names.

use std::{fs, path::Path};

const GLOSSARY: &str = include_str!("../../../std-adapter/docs/glossary.md");

/// One row: terms, and the path of the item that its last column links first.
#[derive(Debug, PartialEq)]
struct Row<'a> {
    terms: Vec<&'a str>,
    item: Option<&'a str>,
}

fn rows(glossary: &str) -> Vec<Row<'_>> {
    let cells = |line: &'_ str| -> Option<(usize, usize)> {
        let inner = line.strip_prefix("| ")?;
        Some((2 + inner.find(" |")?, 2 + inner.rfind(" |")?))
    };
    glossary
        .lines()
        .filter(|line| !line.starts_with("| term |"))
        .filter_map(|line| {
            let (first_end, last_end) = cells(line)?;
            let here = line.get(..last_end)?.rsplit_once(" | ")?.1;
            let terms = line.get(2..first_end)?.split(", ").map(|term| term.trim_matches('`')).collect();
            let item = here.split_once("](crate::").and_then(|(_, rest)| rest.split(')').next());
            Some(Row { terms, item })
        })
        .collect()
}

/// What rustdoc shows or finds of an item: its doc comment and its attributes, with the aliases among them.
fn pages(source: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut above = String::new();
    let mut in_attribute = false;
    for line in source.lines().map(str::trim_start) {
        in_attribute |= line.starts_with("#[");
        if let Some(text) = line.strip_prefix("///") {
            above.push(' ');
            above.push_str(text.trim());
        } else if in_attribute {
            above.push(' ');
            above.push_str(line);
            in_attribute = !line.ends_with(']');
        } else {
            if defines(line, name) {
                found.push(above.clone());
            }
            above.clear();
        }
    }
    found
}

fn defines(line: &str, name: &str) -> bool {
    let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    words.next() == Some("pub")
        && words
            .find(|word| !["async", "const"].contains(word))
            .is_some_and(|kind| ["enum", "fn", "struct", "trait", "type"].contains(&kind))
        && words.next() == Some(name)
}

/// The files of one crate.
fn sources(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![fs::read_to_string(path).unwrap()] })
        .collect()
}

/// The page of an item in one crate, empty if it has none of its own. A method's lies in a file with an `impl` of its type.
fn page_in(files: &[String], item: &str) -> String {
    let (owner, name) = item.rsplit_once("::").unwrap_or(("", item));
    let owner = owner.rsplit("::").next().filter(|owner| owner.starts_with(char::is_uppercase));
    let concerns = |file: &&String| {
        let is_of =
            |line: &str, owner| (line.starts_with("impl") || line.starts_with("pub trait")) && line.contains(owner);
        owner.is_none_or(|owner| file.lines().any(|line| is_of(line, owner)))
    };
    files.iter().filter(concerns).flat_map(|file| pages(file, name)).collect()
}

/// The variant of an enum is on the page of the enum.
fn page_of(item: &str) -> &str {
    match item.rsplit_once("::") {
        Some((owner, variant))
            if variant.starts_with(char::is_uppercase)
                && owner.rsplit("::").next().is_some_and(|name| name.starts_with(char::is_uppercase)) =>
        {
            owner
        }
        _ => item,
    }
}

fn contains(page: &str, term: &str) -> bool {
    page.to_lowercase().contains(&term.to_lowercase())
}

/// What is wrong with the rows: a type names its terms in every crate that has it, a method in one at least.
fn complaints(rows: &[Row<'_>], crates: &[Vec<String>]) -> Vec<String> {
    let mut found = Vec::new();
    for Row { terms, item } in rows {
        let Some(item) = item.map(page_of) else { continue };
        let pages: Vec<String> =
            crates.iter().map(|files| page_in(files, item)).filter(|page| !page.is_empty()).collect();
        let is_type = item.rsplit("::").next().is_some_and(|name| name.starts_with(char::is_uppercase));
        for term in terms {
            let naming = pages.iter().filter(|page| contains(page, term)).count();
            if naming == 0 || (is_type && naming < pages.len()) {
                found.push(format!("{item} does not name `{term}` in {} of its pages", pages.len() - naming));
            }
        }
    }
    found
}

#[test]
fn a_term_of_another_crate_finds_our_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let crates = ["core", "std-adapter"].map(|folder| sources(&root.join(folder).join("src")));
    let rows = rows(GLOSSARY);
    let terms = rows.iter().filter(|row| row.item.is_some()).map(|row| row.terms.len()).sum::<usize>();
    assert!(terms > 100, "{terms} terms are few: is the glossary still read?");
    let complaints = complaints(&rows, &crates);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_row_has_its_terms_and_the_first_item_that_it_links() {
    let text = "| term | in | here |\n|---|---|---|\n| single flight, `get_with` | moka | see [`A`](crate::a::A), [`B`](crate::B) |\n| x | y | none |";
    let expected =
        [Row { terms: vec!["single flight", "get_with"], item: Some("a::A") }, Row { terms: vec!["x"], item: None }];
    assert_eq!(rows(text), expected);
}

#[test]
fn a_page_without_the_term_is_noticed() {
    let core = "/// A bucket of\n/// tokens.\n#[doc(alias(\"leaky\", \"GCRA\"))]\n#[derive(Debug)]\npub struct Gcra;\n\n/// Other.\npub const fn gcra() {}\n";
    let page = pages(core, "Gcra").concat();
    assert!(contains(&page, "bucket of tokens") && contains(&page, "leaky") && contains(&page, "gcra"));
    assert!(!contains(&page, "token bucket") && !contains(&page, "Other"));
    assert_eq!(pages(core, "gcra"), [" Other."]);
    assert_eq!(pages("/// A.\n#[cfg_attr(\n    feature = \"serde\"\n)]\npub struct B<T>;", "B").len(), 1);

    let adapter = "/// A bucket.\npub struct Gcra;\nimpl Gcra {\n    /// Leaky.\n    pub fn take() {}\n}\n";
    let crates = [vec![core.to_owned()], vec![adapter.to_owned()]];
    let row = |terms, item| Row { terms, item: Some(item) };
    let rows = [
        row(vec!["bucket"], "Gcra"),
        row(vec!["leaky"], "Gcra"), // not on the adapter's page
        row(vec!["leaky"], "Gcra::take"),
        row(vec!["bucket"], "Gcra::take"),
        row(vec!["bucket"], "Gone"),
    ];
    let expected = [
        "Gcra does not name `leaky` in 1 of its pages",
        "Gcra::take does not name `bucket` in 1 of its pages",
        "Gone does not name `bucket` in 0 of its pages",
    ];
    assert_eq!(complaints(&rows, &crates), expected);
}
