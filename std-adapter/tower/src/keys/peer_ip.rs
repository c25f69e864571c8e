//! The address of a client behind proxies.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};
use std::sync::Arc;

use http::{Extensions, HeaderMap, Request};

use super::{
    BadNetwork, KeyOf, NoKey,
    network::{Network, first_of},
};

/// The client's address, for a limiter of [`IpAddr`].
///
/// Say how many proxies there are, or which: there is no mode that guesses, because a client writes into
/// `X-Forwarded-For` what it likes, and only what your own proxies add to it is true.
///
/// ```
/// use http::Request;
/// use steadfast_tower::keys::{KeyOf, PeerIp};
///
/// // The client claims to be 10.9.8.7. The load balancer saw 203.0.113.7, and the ingress saw the load balancer.
/// let request = Request::builder().header("X-Forwarded-For", "10.9.8.7, 203.0.113.7, 10.0.0.2").body(()).unwrap();
/// assert_eq!(PeerIp::behind(2).key_of(&request), Ok(Some([203, 0, 113, 7].into())));
/// ```
///
/// - IPv6 addresses count by their first 64 bits, since whoever has one address has all of these, and rotates them: see
///   [`v6_prefix`](Self::v6_prefix). IPv4 addresses in IPv6 form (`::ffff:203.0.113.7`) are IPv4 addresses.
/// - Lines of `X-Forwarded-For` are one list, in their order. Ports and brackets are left out. Empty elements count as
///   none. `Forwarded` (RFC 7239) is not read: what a client writes there can hide what a proxy adds after it, by a quote
///   that it does not close.
/// - Where no address is to be had, the request has [`NoKey`].
///
/// # Who is at the other end of the connection
///
/// With the feature `axum`, axum's `ConnectInfo<SocketAddr>` tells: serve by `into_make_service_with_connect_info`.
/// Elsewhere insert a [`PeerAddr`] into the request's extensions, or say by [`peer`](Self::peer) where to look, as for
/// tonic:
///
/// ```
/// # mod tonic { pub mod transport { pub mod server {
/// # #[derive(Clone)] pub struct TcpConnectInfo;
/// # impl TcpConnectInfo { pub fn remote_addr(&self) -> Option<std::net::SocketAddr> { None } }
/// # } } }
/// use steadfast_tower::keys::PeerIp;
/// use tonic::transport::server::TcpConnectInfo;
///
/// let peer_ip = PeerIp::direct().peer(|extensions| Some(extensions.get::<TcpConnectInfo>()?.remote_addr()?.ip()));
/// ```
#[doc(alias("SmartIp", "X-Forwarded-For", "PeerIpKeyExtractor", "ConnectInfo"))]
#[derive(Clone, Debug)]
pub struct PeerIp {
    proxies: Proxies,
    v6_prefix: u8,
    peer: fn(&Extensions) -> Option<IpAddr>,
}

/// The address of a connection, in the extensions of its requests: for [`PeerIp`] in a server without axum.
///
/// ```
/// use http::Request;
/// use steadfast_tower::keys::{KeyOf, PeerAddr, PeerIp};
///
/// let mut request = Request::new(());
/// request.extensions_mut().insert(PeerAddr(([203, 0, 113, 7], 40_000).into()));
/// assert_eq!(PeerIp::direct().key_of(&request), Ok(Some([203, 0, 113, 7].into())));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerAddr(
    /// Who connected.
    pub SocketAddr,
);

#[derive(Clone, Debug)]
enum Proxies {
    Count(usize),
    Trusted(Arc<[Network]>),
}

impl PeerIp {
    /// The client itself connects: nobody's header counts.
    #[must_use]
    pub const fn direct() -> Self {
        Self::behind(0)
    }

    /// Each request comes through so many proxies, each of which appends to `X-Forwarded-For` who connected to it: the
    /// client is the `hops`-th from the right. With 0 it is [`direct`](Self::direct).
    ///
    /// If there are fewer, it came another way and has no key. So whoever can reach the server past the proxies can
    /// claim any address: let only them connect, or use [`trusted`](Self::trusted).
    #[must_use]
    pub const fn behind(hops: usize) -> Self {
        Self { proxies: Proxies::Count(hops), v6_prefix: 64, peer }
    }

    /// The proxies are those in these networks, in CIDR notation. The client is the first that is in none of them: the
    /// other end of the connection, or from the right in `X-Forwarded-For`.
    ///
    /// If all that is told is in these networks, it is the farthest of them; what a proxy tells behind an element that is
    /// no address is not looked at.
    ///
    /// ```
    /// use http::Request;
    /// use steadfast_tower::keys::{KeyOf, PeerAddr, PeerIp};
    ///
    /// let peer_ip = PeerIp::trusted(["10.0.0.0/8", "fd00::/8"])?;
    /// let mut request = Request::builder().header("X-Forwarded-For", "10.9.8.7, 203.0.113.7").body(()).unwrap();
    /// request.extensions_mut().insert(PeerAddr(([10, 0, 0, 2], 40_000).into()));
    /// assert_eq!(peer_ip.key_of(&request), Ok(Some([203, 0, 113, 7].into())));
    ///
    /// // Past the proxies nobody is believed.
    /// request.extensions_mut().insert(PeerAddr(([198, 51, 100, 1], 40_000).into()));
    /// assert_eq!(peer_ip.key_of(&request), Ok(Some([198, 51, 100, 1].into())));
    /// # Ok::<(), steadfast_tower::keys::BadNetwork>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BadNetwork`] for what is none, and for one of no bits: it would trust everyone.
    pub fn trusted<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, BadNetwork> {
        let networks = networks.into_iter().map(Network::from_str).collect::<Result<_, _>>()?;
        Ok(Self { proxies: Proxies::Trusted(networks), ..Self::direct() })
    }

    /// IPv6 addresses count by their first `bits`: 64 unless it is said, 56 or 48 where providers hand out more.
    #[must_use]
    pub const fn v6_prefix(mut self, bits: u8) -> Self {
        self.v6_prefix = bits;
        self
    }

    /// Where to look for the other end of the connection.
    #[must_use]
    pub const fn peer(mut self, peer: fn(&Extensions) -> Option<IpAddr>) -> Self {
        self.peer = peer;
        self
    }

    fn find(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = || (self.peer)(extensions).map(|peer| peer.to_canonical());
        match &self.proxies {
            Proxies::Count(0) => peer(),
            Proxies::Count(hops) => address(forwarded(headers).nth(hops.saturating_sub(1))?),
            Proxies::Trusted(networks) => {
                let mut told = forwarded(headers);
                let mut client = peer()?;
                while networks.iter().any(|network| network.contains(client)) {
                    let Some(next) = told.next().and_then(address) else { break };
                    client = next;
                }
                Some(client)
            }
        }
    }
}

impl<B> KeyOf<Request<B>> for PeerIp {
    type Key = IpAddr;

    fn key_of(&self, request: &Request<B>) -> Result<Option<IpAddr>, NoKey> {
        let address = self.find(request.headers(), request.extensions()).ok_or(NoKey)?;
        Ok(Some(if address.is_ipv6() { first_of(address, self.v6_prefix) } else { address }))
    }
}

fn peer(extensions: &Extensions) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(peer)) = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
        return Some(peer.ip());
    }
    extensions.get().map(|PeerAddr(peer)| peer.ip())
}

/// The elements of `X-Forwarded-For` from the right, whatever they are.
fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let elements = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// The address that an element is: with or without brackets, with or without a port.
fn address(element: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(element).ok()?;
    let (address, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        (
            IpAddr::V6(Ipv6Addr::from_str(address).ok()?),
            port.strip_prefix(':').or_else(|| port.is_empty().then_some("0")),
        )
    } else if let Ok(address) = IpAddr::from_str(text) {
        (address, Some("0"))
    } else {
        let (address, port) = text.split_once(':')?;
        (IpAddr::V4(Ipv4Addr::from_str(address).ok()?), Some(port))
    };
    u16::from_str(port?).ok()?;
    Some(address.to_canonical())
}
