//! How a share is written down: `"50%"` where people read it, else in permille. A bare number of a person's would be
//! either.

use core::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

use super::percent::Percent;

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let permille = self.as_permille();
        if !to.is_human_readable() {
            return to.serialize_u16(permille);
        }
        match (permille / 10, permille % 10) {
            (whole, 0) => to.collect_str(&format_args!("{whole}%")),
            (whole, tenths) => to.collect_str(&format_args!("{whole}.{tenths}%")),
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            return from.deserialize_str(Text);
        }
        let permille = u16::deserialize(from)?;
        Self::try_from_permille(permille).ok_or_else(|| D::Error::custom("a share is from 1 to 1000 permille"))
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Percent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a share from \"0.1%\" to \"100%\", with its sign, in tenths at most")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Percent, E> {
        let unexpected = serde::de::Unexpected::Str(text);
        parse(text).ok_or_else(|| E::invalid_value(unexpected, &self))
    }
}

fn parse(text: &str) -> Option<Percent> {
    let number = text.strip_suffix('%')?.trim_end();
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = whole.bytes().chain(tenths.bytes()).all(|digit| digit.is_ascii_digit());
    if tenths.len() != 1 || !is_digits {
        return None;
    }
    let permille = whole.parse::<u16>().ok()?.checked_mul(10)?.checked_add(tenths.parse().ok()?)?;
    Percent::try_from_permille(permille)
}
