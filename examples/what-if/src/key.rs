//! By what a limit tells clients apart.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// What a limit counts for itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyBy {
    /// The client's address, or its network: so many bits of it.
    Address {
        /// Bits of an IPv4 address, at most 32.
        v4: u8,
        /// Bits of an IPv6 address, at most 128. Who has one address has 2^64 of them.
        v6: u8,
    },
    /// Whom the server took the client for.
    User,
    /// The path of the URL, without its query.
    Path,
    /// A field by its name: of a JSON line, a header of the request, or `name=value` behind a line.
    Field(String),
}

impl KeyBy {
    /// By each address of IPv4, and by 64 bits of IPv6.
    pub const ADDRESS: Self = Self::Address { v4: 32, v6: 64 };

    /// Reads `address`, `address/24/56` (bits of IPv4 and of IPv6), `user`, `path`, or the name of a field.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        match text {
            "" => Err(String::from("a key is `address`, `address/24/56`, `user`, `path`, or the name of a field")),
            "address" => Ok(Self::ADDRESS),
            "user" => Ok(Self::User),
            "path" => Ok(Self::Path),
            field => match field.strip_prefix("address/") {
                None => Ok(Self::Field(String::from(field))),
                Some(bits) => {
                    let (v4, v6) = bits.split_once('/').unwrap_or((bits, "64"));
                    let (v4, v6) =
                        (v4.parse().ok().filter(|bits| *bits <= 32), v6.parse().ok().filter(|bits| *bits <= 128));
                    let (Some(v4), Some(v6)) = (v4, v6) else {
                        return Err(format!("`{field}`: IPv4 has up to 32 bits, IPv6 up to 128"));
                    };
                    Ok(Self::Address { v4, v6 })
                }
            },
        }
    }

    /// The key of who is written as `client`, an address with or without a port, or a host's name.
    #[must_use]
    pub fn of_client<'a>(&self, client: &'a str) -> Cow<'a, str> {
        let Self::Address { v4, v6 } = *self else { return Cow::Borrowed(client) };
        match address(client).map(|address| address.to_canonical()) {
            None => Cow::Borrowed(client),
            Some(IpAddr::V4(_)) if v4 == 32 && client.parse::<Ipv4Addr>().is_ok() => Cow::Borrowed(client),
            Some(IpAddr::V4(address)) if v4 == 32 => address.to_string().into(),
            Some(IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(v4.into())).unwrap_or(0);
                format!("{}/{v4}", Ipv4Addr::from_bits(address.to_bits() & mask)).into()
            }
            Some(IpAddr::V6(address)) if v6 == 128 => address.to_string().into(),
            Some(IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(v6.into())).unwrap_or(0);
                format!("{}/{v6}", Ipv6Addr::from_bits(address.to_bits() & mask)).into()
            }
        }
    }

    /// The type of such a key in Rust.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Address { .. } => "IpAddr",
            Self::User | Self::Path | Self::Field(_) => "String",
        }
    }
}

/// The address in `203.0.113.7`, `203.0.113.7:443`, `2001:db8::1`, `[2001:db8::1]`, or `[2001:db8::1]:443`.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    bare.and_then(|text| text.parse().ok()).or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

/// The path of a URL or of a request's target, without query and fragment.
pub(crate) fn path(target: &str) -> &str {
    let target = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    };
    target.split(['?', '#']).next().unwrap_or(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_cut_to_its_network() {
        for (by, client, key) in [
            ("address", "203.0.113.7", "203.0.113.7"),
            ("address", "203.0.113.7:4711", "203.0.113.7"),
            ("address", "::ffff:203.0.113.7", "203.0.113.7"),
            ("address", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("address", "[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::/64"),
            ("address", "[2001:db8::1]", "2001:db8::/64"),
            ("address", "host.example", "host.example"),
            ("address/24", "203.0.113.7", "203.0.113.0/24"),
            ("address/0/0", "203.0.113.7", "0.0.0.0/0"),
            ("address/0/0", "2001:db8::1", "::/0"),
            ("address/32/128", "2001:db8::1", "2001:db8::1"),
            ("user", "203.0.113.7:4711", "203.0.113.7:4711"),
        ] {
            assert_eq!(KeyBy::read(by).unwrap().of_client(client), key, "{by} of {client}");
        }
        for wrong in ["", "address/33", "address/", "address/24/129", "address/a/b"] {
            assert!(KeyBy::read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(KeyBy::read("x-api-key"), Ok(KeyBy::Field(String::from("x-api-key"))));
    }

    #[test]
    fn a_path_has_no_query() {
        assert_eq!(
            ["/a?b", "/a#b", "*", "https://host:1/a/b?c", "https://host"].map(path),
            ["/a", "/a", "*", "/a/b", "/"]
        );
    }
}
