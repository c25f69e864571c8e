//! What a key is called on the engine.

use core::fmt::Write;

/// The beginning of a key's name there, and the end of it.
pub(crate) struct Prefix {
    begin: String,
    end: String,
    is_tagged_by_key: bool,
}

impl Prefix {
    pub(crate) fn new(name: &str, is_tagged_by_key: bool) -> Self {
        let name = escaped(name);
        let (begin, end) = if is_tagged_by_key {
            ("sf:{/".to_owned(), format!("}}{name}"))
        } else {
            (format!("sf:{{{name}/"), "}".to_owned())
        };
        Self { begin, end, is_tagged_by_key }
    }

    /// Of the ids of a name.
    pub(crate) fn of_ids(name: &str) -> Self {
        Self { begin: format!("sf:id:{{{}/", escaped(name)), end: "}".to_owned(), is_tagged_by_key: false }
    }

    pub(crate) fn of(&self, key: &[u8]) -> Vec<u8> {
        [self.begin.as_bytes(), key, self.end.as_bytes()].concat()
    }

    /// Whether a key of both lies in one slot.
    pub(crate) const fn has_slot_of(&self, other: &Self) -> bool {
        self.is_tagged_by_key && other.is_tagged_by_key
    }
}

/// Without what ends a name: so that no two of name and key are called the same.
fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for sign in name.chars() {
        if matches!(sign, '/' | '{' | '}' | '%') {
            let _ = write!(escaped, "%{:02x}", u32::from(sign)); // into a text it cannot fail
        } else {
            escaped.push(sign);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(name: &str, key: &str, by_key: bool) -> String {
        String::from_utf8(Prefix::new(name, by_key).of(key.as_bytes())).unwrap()
    }

    #[test]
    fn a_key_is_called_by_name_and_key() {
        assert_eq!(called("api", "tenant-7", false), "sf:{api/tenant-7}");
        assert_eq!(called("api", "tenant-7", true), "sf:{/tenant-7}api");
    }

    #[test]
    fn no_two_are_called_the_same() {
        let parts = ["a", "b", "a/b", "b/c", "c", "a}b", "b}c", "/", "{", "}", "%2f", "}c"];
        let mut seen = std::collections::HashSet::new();
        for name in parts {
            for key in parts {
                for by_key in [false, true] {
                    assert!(seen.insert(called(name, key, by_key)), "{name} {key} {by_key}");
                }
                let id = String::from_utf8(Prefix::of_ids(name).of(key.as_bytes())).unwrap();
                assert!(seen.insert(id), "{name} {key}");
            }
        }
    }
}
