//! What services report.

/// The log level of a line.
#[doc(alias = "LogLevel")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Shown only for a verbose service.
    Debug,
    /// Worth knowing.
    #[default]
    Info,
    /// Worth a look.
    Warn,
    /// Shown even for a disabled service.
    Error,
}

impl Level {
    /// What a line begins with whose service has no prefix of its own.
    pub(super) const fn mark(self) -> &'static str {
        match self {
            Self::Debug | Self::Info => "•",
            Self::Warn => "⚠️",
            Self::Error => "❌",
        }
    }
}

/// An event that a service reports, to be grouped with others of its kind. The kind is an infinitive verb: `store`,
/// `fetch`.
///
/// ```
/// use steadfast_core::logger::{Event, Level};
///
/// let event = Event::new("store", "alice").target("bob").message("stored 2.3KB");
/// assert_eq!((event.kind, event.target, event.level), ("store", "bob", Level::Info));
/// ```
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[doc(alias = "LogEntry")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event<'a> {
    /// The type of the event; the program chooses it, not a peer. A verb in its infinitive: "alice did store to bob".
    #[doc(alias = "EventType")]
    pub kind: &'static str,
    /// Who did it; empty if nobody did.
    pub actor: &'a str,
    /// To whom it was done; empty if to nobody.
    #[doc(alias = "WithTarget")]
    pub target: &'a str,
    /// What to say about it; of a group, the last that is not empty is shown.
    #[doc(alias = "WithMessage")]
    pub message: &'a str,
    /// A group has the highest level of its events.
    pub level: Level,
    /// How often it happened: what a group adds up.
    #[doc(alias = "WithCount")]
    pub count: u32,
    /// Leaves at once, alone.
    #[doc(alias = "Instant")]
    pub instant: bool,
}

impl<'a> Event<'a> {
    /// `actor` did `kind`, once, at [`Level::Info`].
    #[must_use]
    pub const fn new(kind: &'static str, actor: &'a str) -> Self {
        Self { kind, actor, target: "", message: "", level: Level::Info, count: 1, instant: false }
    }

    /// To whom it was done.
    #[must_use]
    pub const fn target(self, target: &'a str) -> Self {
        Self { target, ..self }
    }

    /// What to say about it.
    #[must_use]
    pub const fn message(self, message: &'a str) -> Self {
        Self { message, ..self }
    }

    /// How much it matters.
    #[must_use]
    pub const fn level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// How often it happened.
    #[must_use]
    pub const fn count(self, count: u32) -> Self {
        Self { count, ..self }
    }

    /// Leaves at once, alone.
    #[must_use]
    pub const fn instant(self) -> Self {
        Self { instant: true, ..self }
    }
}
