//! What a setting can be: durations, shares, numbers, rates, words.

use core::{fmt, marker::PhantomData, num::NonZeroU32, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{IntoDeserializer, MapAccess, Visitor, value::StrDeserializer},
};
use steadfast_core::{
    circuit_breaker::{Outcome, Percent},
    dedup_cache, logger,
    rate_limiter::{self, Enforce},
    retry::Jitter,
};

use super::{
    duration::{self, Human},
    form::{Path, Read, Reader, Value, form, read_values},
};

/// A duration, which may be zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span(pub(super) Duration);

impl Value for Span {
    fn allowed(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(duration::ALLOWED)
    }

    fn from_text(text: &str) -> Option<Self> {
        duration::parse(text).map(Self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        duration::serialize(&self.0, to)
    }
}

/// A duration that is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Positive(pub(super) Span);

impl Positive {
    pub(super) const fn get(self) -> Duration {
        self.0.0
    }
}

impl Value for Positive {
    fn allowed(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, above zero", duration::ALLOWED)
    }

    fn from_text(text: &str) -> Option<Self> {
        Span::from_text(text).filter(|span| !span.0.is_zero()).map(Self)
    }
}

/// A whole number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Count<const MIN: u64, const MAX: u64>(pub(super) u64);

/// From 1 on.
pub(super) type Some32 = Count<1, { u32::MAX as u64 }>;
/// From 0 on.
pub(super) type Any32 = Count<0, { u32::MAX as u64 }>;
/// For how many keys there is room.
pub(super) type Capacity = Count<1, { u32::MAX as u64 - 1 }>;

impl<const MIN: u64, const MAX: u64> Count<MIN, MAX> {
    pub(super) fn to_u8(self) -> u8 {
        u8::try_from(self.0).unwrap_or(u8::MAX)
    }

    pub(super) fn to_u16(self) -> u16 {
        u16::try_from(self.0).unwrap_or(u16::MAX)
    }

    pub(super) fn to_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    pub(super) fn to_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    pub(super) fn non_zero_u32(self) -> NonZeroU32 {
        NonZeroU32::new(self.to_u32()).unwrap_or(NonZeroU32::MIN)
    }
}

impl<const MIN: u64, const MAX: u64> Value for Count<MIN, MAX> {
    fn allowed(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {MAX}")
    }

    fn from_text(text: &str) -> Option<Self> {
        if text.starts_with('+') { None } else { text.parse().ok().and_then(Self::from_number) }
    }

    fn from_number(number: u64) -> Option<Self> {
        (MIN..=MAX).contains(&number).then_some(Self(number))
    }
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Flag(pub(super) bool);

impl Value for Flag {
    fn allowed(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    fn from_flag(flag: bool) -> Option<Self> {
        Some(Self(flag))
    }
}

/// A share of all calls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Share(pub(super) Percent);

impl Value for Share {
    fn allowed(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a share from \"0.1%\" to \"100%\", with its sign, in tenths at most, such as \"50%\" or \"2.5%\"")
    }

    fn from_text(text: &str) -> Option<Self> {
        let text: StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
        Percent::deserialize(text).ok().map(Self)
    }
}

/// Whose denials a limiter enforces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Enforced(pub(super) Enforce);

impl Value for Enforced {
    fn allowed(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"yes\", \"observe\", or the share of the keys for which it holds, such as \"20%\" or \"2.5%\"")
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(match text {
            "yes" => Enforce::Yes,
            "observe" => Enforce::Observe,
            _ => Enforce::Percent(Share::from_text(text)?.0),
        }))
    }
}

impl Serialize for Enforced {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Enforce::Observe => to.serialize_str("observe"),
            Enforce::Percent(share) => share.serialize(to),
            _ => to.serialize_str("yes"),
        }
    }
}

/// A whole percentage that may be above 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct WholePercent(pub(super) u32);

impl Value for WholePercent {
    fn allowed(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole percentage from \"0%\" to \"1000%\", with its sign, such as \"20%\"")
    }

    fn from_text(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?.trim_end();
        let is_number = number.bytes().all(|digit| digit.is_ascii_digit());
        number.parse().ok().filter(|percent| is_number && *percent <= 1_000).map(Self)
    }
}

impl Serialize for WholePercent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}%", self.0))
    }
}

/// So many in so much time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    pub(super) limit: u32,
    pub(super) per: Duration,
}

form! {
    RateForm {
        limit: Some32,
        per: Positive,
    }
}

impl Value for Rate {
    fn allowed(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a rate above zero with its time (ns, us, ms, s, m, h, d), such as \"100/s\", \"5 / 10m\" or { limit = 100, per = \"1s\" }, \
             at most one a nanosecond",
        )
    }

    fn from_text(text: &str) -> Option<Self> {
        let (limit, per) = text.split_once('/')?;
        let (limit, per) = (limit.trim(), per.trim());
        let limit = Some32::from_text(limit)?.to_u32();
        let is_unit = per.starts_with(|c: char| !c.is_ascii_digit());
        let per = if is_unit { duration::parse(&format!("1{per}")) } else { duration::parse(per) };
        Self::new(limit, per?)
    }
}

impl Rate {
    fn new(limit: u32, per: Duration) -> Option<Self> {
        (per.as_nanos() >= u128::from(limit)).then_some(Self { limit, per })
    }
}

impl Read for Rate {
    fn read<'de, D: Deserializer<'de>>(from: D, path: &Path<'_>) -> Result<Self, D::Error> {
        struct TextOrTable<'p>(&'p Path<'p>);

        impl<'de> Visitor<'de> for TextOrTable<'_> {
            type Value = Rate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Reader::<Rate>(self.0, PhantomData).expecting(f)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Rate, E> {
                Reader(self.0, PhantomData).visit_str(text)
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Rate, E> {
                Reader(self.0, PhantomData).visit_u64(number)
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Rate, E> {
                Reader(self.0, PhantomData).visit_i64(number)
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Rate, E> {
                Reader(self.0, PhantomData).visit_f64(number)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rate, A::Error> {
                let form = RateForm::read(serde::de::value::MapAccessDeserializer::new(map), self.0)?;
                let rate = form.limit.zip(form.per).and_then(|(limit, per)| Rate::new(limit.to_u32(), per.get()));
                Reader(self.0, PhantomData).or_refuse(rate, "less or more than a limit and its time")
            }
        }

        from.deserialize_any(TextOrTable(path))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{} / {}", self.limit, Human(self.per)))
    }
}

/// How far a window of a breaker reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Window {
    Calls(u16),
    Time(Duration),
}

impl Value for Window {
    fn allowed(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of calls from \"1 call\" to \"65535 calls\", such as \"100 calls\", or a duration, such as \"10s\"")
    }

    fn from_text(text: &str) -> Option<Self> {
        match text.strip_suffix("calls").or_else(|| text.strip_suffix("call")) {
            Some(calls) => calls.trim().parse().ok().filter(|calls| *calls > 0).map(Self::Calls),
            None => Positive::from_text(text).map(|span| Self::Time(span.get())),
        }
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Calls(calls) => to.collect_str(&format_args!("{calls} calls")),
            Self::Time(span) => duration::serialize(span, to),
        }
    }
}

/// A setting that is one of a few words.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident($type:ty) { $first:literal => $first_value:path $(, $word:literal => $value:path)* $(,)? } $(; not $gone:literal: $instead:literal)?)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(super) struct $name(pub(super) $type);

        impl Value for $name {
            fn allowed(f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!("\"", $first, "\"" $(, " or \"", $word, "\"")*))
            }

            fn from_text(text: &str) -> Option<Self> {
                match text {
                    $first => Some(Self($first_value)),
                    $($word => Some(Self($value)),)*
                    _ => None,
                }
            }

            $(
                fn instead_of(text: &str) -> Option<&'static str> {
                    (text == $gone).then_some($instead)
                }
            )?
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let word = if self.0 == $first_value { $first } $(else if self.0 == $value { $word })* else { $first };
                to.serialize_str(word)
            }
        }

        read_values!($name);
    )+};
}

words! {
    FullLimiter(rate_limiter::OnFull) {
        "deny" => rate_limiter::OnFull::Deny,
        "serve" => rate_limiter::OnFull::Serve,
        "allow" => rate_limiter::OnFull::Allow,
    }; not "share": "what new keys shared one quota for, the ledger does; leave it out, or write \"deny\""
    FullCache(dedup_cache::OnFull) {
        "refuse" => dedup_cache::OnFull::Refuse,
        "forget-oldest" => dedup_cache::OnFull::ForgetOldest,
    }
    CountsAs(Outcome) {
        "ignored" => Outcome::Ignored,
        "failure" => Outcome::Failure,
        "success" => Outcome::Success,
    }
    Spread(Jitter) {
        "full" => Jitter::Full,
        "equal" => Jitter::Equal,
        "decorrelated" => Jitter::Decorrelated,
        "none" => Jitter::None,
    }
    Shown(logger::Show) {
        "normal" => logger::Show::Normal,
        "only-errors" => logger::Show::OnlyErrors,
        "silent" => logger::Show::Silent,
        "verbose" => logger::Show::Verbose,
    }
}

read_values!(Span, Positive, Flag, Share, Enforced, WholePercent, Window, const MIN, MAX; Count<MIN, MAX>);
