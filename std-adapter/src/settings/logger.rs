//! Settings of loggers.

use core::fmt;
use std::collections::BTreeMap;

use serde::{
    Deserializer, Serialize,
    de::{MapAccess, Visitor},
};

use super::{
    form::{Path, Read, Seed, Value, form, settings},
    values::{Positive, Shown},
};
use crate::logger::{Logger, LoggerBuilder, Show};

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
                    let shown = map.next_value_seed(Seed::new(&self.0.at(&service)))?;
                    services.insert(service, shown);
                }
                Ok(Services(services))
            }
        }

        from.deserialize_map(Table(path))
    }
}

/// Settings of a [`Logger`]: `quiet`, `max_age`, and `show`, a table of services.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoggerSettings {
    form: LoggerForm,
}

impl LoggerSettings {
    fn check(form: LoggerForm) -> Result<Self, String> {
        if form.quiet.is_some() != form.max_age.is_some() {
            let missing = if form.quiet.is_some() { "max_age" } else { "quiet" };
            return Err(format!("{missing}: expected beside the other of `quiet` and `max_age`, which is missing"));
        }
        if form.quiet.zip(form.max_age).is_some_and(|(quiet, max_age)| max_age.get() < quiet.get()) {
            return Err("max_age: is shorter than `quiet`".to_owned());
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
    ///
    /// A file that was read anew may no longer name a service: see [`show_instead_of`](Self::show_instead_of).
    #[must_use]
    pub fn show_in(&self, logger: &Logger) -> bool {
        self.services().fold(true, |has_room, (service, shown)| logger.set_show(service, shown.0) && has_room)
    }

    /// [`show_in`](Self::show_in), when they are read anew: a service that `former` named and these settings do not is
    /// shown as one that was never named.
    ///
    /// ```
    /// use steadfast::{logger::WriteSink, settings::LoggerSettings};
    ///
    /// let former: LoggerSettings = toml::from_str(r#"show = { payments = "silent" }"#)?;
    /// let logger = former.builder().build(WriteSink::new(std::io::sink()))?;
    /// let log = logger.service("payments");
    /// log.info(format_args!("silent"));
    /// assert_eq!(logger.stats().filtered, 1);
    ///
    /// let settings: LoggerSettings = toml::from_str("")?; // the line was taken out of the file
    /// assert!(settings.show_instead_of(&former, &logger));
    /// log.info(format_args!("shown"));
    /// assert_eq!(logger.stats().filtered, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn show_instead_of(&self, former: &Self, logger: &Logger) -> bool {
        let is_named = |name: &String| self.services().any(|(service, _)| service == name);
        former.services().filter(|(name, _)| !is_named(name)).for_each(|(name, _)| {
            _ = logger.set_show(name, Show::Normal); // refused only where it has no settings
        });
        self.show_in(logger)
    }

    fn services(&self) -> impl Iterator<Item = (&String, &Shown)> {
        self.form.show.iter().flat_map(|services| &services.0)
    }
}

settings!(LoggerSettings: LoggerForm);
