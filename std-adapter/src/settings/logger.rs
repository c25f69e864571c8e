//! Settings of loggers.

use core::fmt;
use std::collections::BTreeMap;

use serde::{
    Deserializer, Serialize,
    de::{Error, MapAccess, Visitor},
};

use super::{
    form::{Path, Read, Reader, Value, form, settings},
    values::{Positive, Shown},
};
use crate::logger::{Logger, LoggerBuilder};

form! {
    LoggerForm {
        quiet: Positive,
        max_age: Positive,
        show: Services,
    }
}

/// How much of which service is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Services(BTreeMap<String, Shown>);

impl Read for Services {
    fn read<'de, D: Deserializer<'de>>(from: D, path: &Path<'_>) -> Result<Self, D::Error> {
        struct Table<'p>(&'p Path<'p>);

        impl<'de> Visitor<'de> for Table<'_> {
            type Value = Services;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{}` to be a table of services, each ", self.0)?;
                Shown::allowed(f)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Services, A::Error> {
                let mut services = BTreeMap::new();
                while let Some(service) = map.next_key::<String>()? {
                    let shown: String = map.next_value()?;
                    let shown = Reader(self.0, core::marker::PhantomData)
                        .visit_str(&shown)
                        .map_err(|error: A::Error| A::Error::custom(format_args!("{service} in {error}")))?;
                    services.insert(service, shown);
                }
                Ok(Services(services))
            }
        }

        from.deserialize_map(Table(path))
    }
}

/// Settings of a [`Logger`]: `quiet`, `max_age`, and `show`, a table of services.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggerSettings {
    form: LoggerForm,
}

impl LoggerSettings {
    fn check(form: LoggerForm) -> Result<Self, String> {
        if form.quiet.is_some() != form.max_age.is_some() {
            let missing = if form.quiet.is_some() { "max_age" } else { "quiet" };
            return Err(format!("{missing}: expected beside the other of `quiet` and `max_age`, which is missing"));
        }
        let services = form.show.as_ref().map_or(0, |services| services.0.len());
        if services > 64 {
            return Err(format!("show: expected at most 64 services, found {services}"));
        }
        Ok(Self { form })
    }

    /// The builder of a logger with these settings.
    #[must_use]
    pub fn builder(&self) -> LoggerBuilder {
        let mut builder = Logger::builder();
        if let (Some(quiet), Some(max_age)) = (self.form.quiet, self.form.max_age) {
            builder = builder.window(quiet.get(), max_age.get());
        }
        for (service, shown) in self.services() {
            builder = builder.show([service], shown.0);
        }
        builder
    }

    /// Shows as much of each service that is named as these settings say; the others stay as they are, and so does the
    /// window. False if there was no room for one of them.
    #[must_use]
    pub fn show_in(&self, logger: &Logger) -> bool {
        self.services().fold(true, |has_room, (service, shown)| logger.set_show(service, shown.0) && has_room)
    }

    fn services(&self) -> impl Iterator<Item = (&String, &Shown)> {
        self.form.show.iter().flat_map(|services| &services.0)
    }
}

settings!(LoggerSettings: LoggerForm);
