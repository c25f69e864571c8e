//! Networks in CIDR notation.

use core::{error::Error, fmt, net::IpAddr, str::FromStr};

/// All addresses that share the first bits with one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    pub(super) fn contains(self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && first_of(address, self.bits) == self.first
    }
}

/// The first address of the network of so many bits that `address` is in.
pub(super) fn first_of(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = || BadNetwork(text.to_owned());
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address = IpAddr::from_str(address).ok().ok_or_else(bad)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), u8::from_str).ok().ok_or_else(bad)?;
        let (address, bits) = match address.to_canonical() {
            v4 @ IpAddr::V4(_) if address.is_ipv6() => (v4, bits.checked_sub(96).ok_or_else(bad)?),
            address => (address, bits),
        };
        let all = if address.is_ipv4() { 32 } else { 128 };
        if !(1..=all).contains(&bits) {
            return Err(bad());
        }
        Ok(Self { first: first_of(address, bits), bits })
    }
}

/// What is no network in CIDR notation, such as `10.0.0.0/8`, or is one of no bits, which would trust everyone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadNetwork(String);

impl fmt::Display for BadNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no network such as 10.0.0.0/8, of at least one bit", self.0)
    }
}

impl Error for BadNetwork {}
