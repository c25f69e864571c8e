//! How settings are read, so that each error names its field and says what is allowed.

use core::{fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, Visitor},
};

/// Where a setting stands: `reset.after`.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    parent: Option<&'p Self>,
    name: &'p str,
}

impl<'p> Path<'p> {
    /// Where the settings of a utility begin.
    pub(super) const ROOT: Path<'static> = Path { parent: None, name: "" };

    pub(super) const fn at(&'p self, name: &'p str) -> Self {
        Self { parent: Some(self), name }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parent {
            Some(parent) if parent.parent.is_some() => write!(f, "{parent}.{}", self.name),
            _ => f.write_str(self.name),
        }
    }
}

/// What can be read where it stands.
pub(super) trait Read: Sized {
    fn read<'de, D: Deserializer<'de>>(from: D, path: &Path<'_>) -> Result<Self, D::Error>;
}

/// Reads what stands at a path.
pub(super) struct Seed<'p, T>(&'p Path<'p>, PhantomData<T>);

impl<'p, T> Seed<'p, T> {
    pub(super) const fn new(path: &'p Path<'p>) -> Self {
        Self(path, PhantomData)
    }
}

impl<'de, T: Read> DeserializeSeed<'de> for Seed<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        T::read(from, self.0)
    }
}

/// One setting: a text, or a number where it needs no unit. Environment variables write every number as a text.
pub(super) trait Value: Sized {
    /// What is allowed: "a number from 1 to 255".
    fn allowed(f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// `None` if that is not allowed.
    fn from_text(text: &str) -> Option<Self>;

    /// What to write instead of a text that was once allowed.
    fn instead_of(text: &str) -> Option<&'static str> {
        let _ = text;
        None
    }

    fn from_number(number: u64) -> Option<Self> {
        let _ = number;
        None
    }

    fn from_flag(flag: bool) -> Option<Self> {
        let _ = flag;
        None
    }
}

/// Reads a [`Value`]. What else can be allowed there is for `Read` to say.
pub(super) struct Reader<'p, T>(pub(super) &'p Path<'p>, pub(super) PhantomData<T>);

impl<T: Value> Reader<'_, T> {
    pub(super) fn or_refuse<E: Error>(&self, value: Option<T>, found: impl fmt::Display) -> Result<T, E> {
        value
            .ok_or_else(|| E::custom(format_args!("{}: expected {}, found {found}", self.0, Allowed::<T>(PhantomData))))
    }
}

struct Allowed<T>(PhantomData<T>);

impl<T: Value> fmt::Display for Allowed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::allowed(f)
    }
}

impl<T: Value> Visitor<'_> for Reader<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to be ", self.0)?;
        T::allowed(f)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        match T::instead_of(text.trim()) {
            Some(instead) => self.or_refuse(None, format_args!("{text:?}: {instead}")),
            None => self.or_refuse(T::from_text(text.trim()), format_args!("{text:?}")),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.or_refuse(T::from_number(number), number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.or_refuse(u64::try_from(number).ok().and_then(T::from_number), number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.or_refuse(None, number)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<T, E> {
        self.or_refuse(T::from_flag(flag), flag)
    }
}

/// `Read` of what is always one [`Value`].
macro_rules! read_values {
    ($($(const $min:ident, $max:ident;)? $value:ty),+ $(,)?) => {$(
        impl$(<const $min: u64, const $max: u64>)? $crate::settings::form::Read for $value {
            fn read<'de, D: serde::Deserializer<'de>>(
                from: D,
                path: &$crate::settings::form::Path<'_>,
            ) -> Result<Self, D::Error> {
                from.deserialize_any($crate::settings::form::Reader(path, core::marker::PhantomData))
            }
        }
    )+};
}
pub(super) use read_values;

/// The name of a setting: one of those that there are.
pub(super) struct Name<'p> {
    pub(super) path: &'p Path<'p>,
    pub(super) names: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<&'static str, D::Error> {
        from.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a setting")
    }

    fn visit_str<E: Error>(self, found: &str) -> Result<&'static str, E> {
        let known = self.names.iter().find(|name| **name == found);
        known.copied().ok_or_else(|| {
            let list = self.names.join("`, `");
            let dot = if self.path.parent.is_some() { "." } else { "" };
            E::custom(format_args!("{}{dot}{found}: no such setting; there are `{list}`", self.path))
        })
    }
}

/// A table of settings as it is written, each of which may be left out.
macro_rules! form {
    ($(#[$doc:meta])* $form:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
        pub(super) struct $form {
            $($(#[$field_doc])* #[serde(skip_serializing_if = "Option::is_none")] pub(super) $field: Option<$type>,)+
        }

        impl $crate::settings::form::Read for $form {
            fn read<'de, D: serde::Deserializer<'de>>(
                from: D,
                path: &$crate::settings::form::Path<'_>,
            ) -> Result<Self, D::Error> {
                struct Table<'p>(&'p $crate::settings::form::Path<'p>);

                impl<'de> serde::de::Visitor<'de> for Table<'_> {
                    type Value = $form;

                    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                        let names = [$(stringify!($field)),+].join("`, `");
                        write!(f, "`{}` to be a table of `{names}`", self.0)
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$form, A::Error> {
                        const NAMES: &[&str] = &[$(stringify!($field)),+];
                        let mut form = $form::default();
                        let name = || $crate::settings::form::Name { path: self.0, names: NAMES };
                        while let Some(name) = map.next_key_seed(name())? {
                            let path = self.0.at(name);
                            $(if name == stringify!($field) {
                                if form.$field.is_some() {
                                    return Err(serde::de::Error::custom(format_args!("{path}: given twice")));
                                }
                                form.$field = Some(map.next_value_seed($crate::settings::form::Seed::new(&path))?);
                            })+
                        }
                        Ok(form)
                    }
                }

                from.deserialize_map(Table(path))
            }
        }
    };
}
pub(super) use form;

/// Makes what is read and written as a form, and refuses what its `check` does.
macro_rules! settings {
    ($($settings:ty: $form:ty),+ $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $settings {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let form = <$form as $crate::settings::form::Read>::read(from, &$crate::settings::form::Path::ROOT)?;
                Self::check(form).map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $settings {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.form.serialize(to)
            }
        }
    )+};
}
pub(super) use settings;

/// A setting that has to be there.
pub(super) fn required<T: Clone>(value: &Option<T>, why: &str) -> Result<T, String> {
    value.clone().ok_or_else(|| format!("{why}, which is missing"))
}
