//! Numbers that many threads add to, and how they are written.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A count of something.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1234567` as `1.2M`.
pub(crate) fn short(number: f64) -> String {
    match number {
        _ if number < 999.5 => format!("{number:.0}"),
        _ if number < 9_950.0 => format!("{:.1}k", number / 1e3),
        _ if number < 999_500.0 => format!("{:.0}k", number / 1e3),
        _ if number < 9_950_000.0 => format!("{:.1}M", number / 1e6),
        _ => format!("{:.0}M", number / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_can_be_read() {
        assert_eq!(["0", "999", "1,000", "12,345,678"].map(String::from), [0, 999, 1_000, 12_345_678].map(grouped));
        let written = [0.0, 999.4, 999.6, 9_960.0, 999_600.0, 12_345_678.0].map(short);
        assert_eq!(written, ["0", "999", "1.0k", "10k", "1.0M", "12M"]);
    }
}
