//! Settings for services that nobody has asked for yet.

use steadfast_core::logger::Show;

use super::SERVICES;

/// At most as many as there can be services with settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    rows: Vec<(String, Show)>,
    /// How many services were asked for and have settings.
    pub(super) services: usize,
}

impl Settings {
    /// False if there is no room for another, here or among the services.
    pub(super) fn set(&mut self, service: &str, show: Show) -> bool {
        if self.services >= SERVICES {
            return false; // what is kept is of no use any more
        }
        if show == Show::Normal {
            _ = self.take(service); // so is a service shown that has no settings
            return true;
        }
        if let Some(setting) = self.rows.iter_mut().find(|(name, _)| name == service) {
            setting.1 = show;
            return true;
        }
        let has_room = self.rows.len() < SERVICES;
        if has_room {
            self.rows.push((service.to_owned(), show));
        }
        has_room
    }

    pub(super) fn take(&mut self, service: &str) -> Option<Show> {
        let index = self.rows.iter().position(|(name, _)| name == service)?;
        Some(self.rows.swap_remove(index).1)
    }
}
