//! Who may say how much.

use core::fmt;

use super::{Formatter, Level};

/// Names a service of one [`Logger`](super::Logger).
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ServiceId(pub(super) u8);

impl ServiceId {
    /// The row that all services share for which there was no other. It is named "other", and has no settings: what it
    /// shows stays [`Show::Normal`].
    pub const OTHER: Self = Self(u8::MAX);
}

/// The log level of a service: how much of it is shown (nothing, the ordinary, all).
#[doc(alias = "EnvFilter")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Show {
    /// All but [`Level::Debug`].
    #[default]
    Normal,
    /// Nothing but errors: a disabled service.
    OnlyErrors,
    /// Nothing at all, errors included.
    Silent,
    /// Everything.
    Verbose,
}

impl Show {
    /// True if a line of this level is shown.
    #[must_use]
    pub const fn admits(self, level: Level) -> bool {
        match self {
            Self::Normal => !matches!(level, Level::Debug),
            Self::OnlyErrors => matches!(level, Level::Error),
            Self::Silent => false,
            Self::Verbose => true,
        }
    }
}

/// There is no room for another formatter; nothing was changed.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FormattersFull;

impl fmt::Display for FormattersFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no room for another formatter")
    }
}

impl core::error::Error for FormattersFull {}

#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) prefix: Option<&'static str>,
    pub(super) show: Show,
}

#[derive(Clone, Debug)]
pub(super) struct Services<const N: usize> {
    rows: heapless::Vec<Service, N>,
    other: Service,
}

impl<const N: usize> Services<N> {
    pub(super) const fn new() -> Self {
        const { assert!(N < ServiceId::OTHER.0 as usize, "at most 254 services") };
        Self { rows: heapless::Vec::new(), other: Service { name: "other", prefix: None, show: Show::Normal } }
    }

    pub(super) fn find(&self, name: &str) -> Option<ServiceId> {
        let index = self.rows.iter().position(|row| row.name == name)?;
        u8::try_from(index).ok().map(ServiceId)
    }

    pub(super) fn find_or_add(&mut self, name: &'static str) -> ServiceId {
        if let Some(id) = self.find(name) {
            return id;
        }
        match (u8::try_from(self.rows.len()), self.rows.push(Service { name, prefix: None, show: Show::Normal })) {
            (Ok(index), Ok(())) => ServiceId(index),
            _ => ServiceId::OTHER,
        }
    }

    pub(super) fn get(&self, id: ServiceId) -> &Service {
        self.rows.get(usize::from(id.0)).unwrap_or(&self.other)
    }

    /// The row whose settings may be changed: what all others share has none.
    pub(super) fn get_mut(&mut self, id: ServiceId) -> Option<&mut Service> {
        self.rows.get_mut(usize::from(id.0))
    }
}

#[derive(Clone, Debug)]
pub(super) struct Formatters<const N: usize> {
    rows: heapless::Vec<Row, N>,
}

#[derive(Clone, Debug)]
struct Row {
    service: &'static str,
    kind: &'static str,
    formatter: Formatter,
}

impl<const N: usize> Formatters<N> {
    pub(super) const fn new() -> Self {
        Self { rows: heapless::Vec::new() }
    }

    pub(super) fn set(
        &mut self,
        service: &'static str,
        kind: &'static str,
        formatter: Formatter,
    ) -> Result<(), FormattersFull> {
        if let Some(row) = self.rows.iter_mut().find(|row| row.service == service && row.kind == kind) {
            row.formatter = formatter;
            return Ok(());
        }
        self.rows.push(Row { service, kind, formatter }).map_err(|_row| FormattersFull)
    }

    pub(super) fn get(&self, service: &str, kind: &str) -> Option<Formatter> {
        self.rows.iter().find(|row| row.service == service && row.kind == kind).map(|row| row.formatter)
    }
}
