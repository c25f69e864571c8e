//! Sockets of both IP families, as one.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::{
    net::UdpSocket,
    select,
    sync::{OnceCell, SetOnce},
};

/// A socket where it was asked for, and one of the other IP family as soon as somebody is written to who has that.
#[derive(Debug)]
pub(super) struct Sockets {
    main: UdpSocket,
    reach: Reach,
    making: OnceCell<()>,
    other: SetOnce<UdpSocket>,
}

/// Whom the main socket reaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reach {
    Both,
    V4,
    V6,
}

impl Sockets {
    /// Sockets that listen at `address`.
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let main = UdpSocket::bind(address).await?;
        let other = SetOnce::new();
        let mut reach = if address.is_ipv4() { Reach::V4 } else { Reach::V6 };
        if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            // On most systems this is any address of either family; where it is not, the other one is taken as well.
            let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, main.local_addr()?.port()));
            match UdpSocket::bind(everywhere).await {
                Ok(socket) => _ = other.set(socket),
                Err(error) if error.kind() == ErrorKind::AddrInUse => reach = Reach::Both,
                Err(_) => {}
            }
        }
        Ok(Self { main, reach, making: OnceCell::new(), other })
    }

    /// Where the main socket is.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.main.local_addr()
    }

    pub(super) async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        let to = canonical(to);
        match (self.reach, to) {
            (Reach::V4, SocketAddr::V4(_)) | (Reach::V6 | Reach::Both, SocketAddr::V6(_)) => {
                self.main.send_to(datagram, to).await?;
            }
            (Reach::Both, SocketAddr::V4(v4)) => {
                let mapped = SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port()));
                self.main.send_to(datagram, mapped).await?;
            }
            (Reach::V4, SocketAddr::V6(_)) | (Reach::V6, SocketAddr::V4(_)) => {
                self.other().await?.send_to(datagram, to).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        // Which of the two has something to read; then it is read without waiting.
        loop {
            let socket = select! {
                ready = self.main.readable() => ready.map(|()| &self.main)?,
                ready = async { let other = self.other.wait().await; other.readable().await.map(|()| other) } => ready?,
            };
            match socket.try_recv_from(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                received => return received.map(|(length, source)| (length, canonical(source))),
            }
        }
    }

    /// The socket of the other family. It is as reachable as the main one: from this machine alone if that is so.
    async fn other(&self) -> io::Result<&UdpSocket> {
        let make = || async {
            if self.other.get().is_none() {
                let ip: IpAddr = match self.main.local_addr()?.ip() {
                    IpAddr::V4(ip) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
                    IpAddr::V6(ip) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
                    IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED.into(),
                    IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED.into(),
                };
                let _ = self.other.set(UdpSocket::bind((ip, 0)).await?);
            }
            io::Result::Ok(())
        };
        self.making.get_or_try_init(make).await?;
        self.other.get().ok_or_else(|| ErrorKind::AddrNotAvailable.into())
    }
}

/// An IPv4 address as itself, though it may be written as one of IPv6.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(from: &Sockets, to: SocketAddr, at: &Sockets) -> SocketAddr {
        from.send_to(b"hello", to).await.unwrap();
        let mut buffer = [0; 10];
        let (length, source) = at.receive(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"hello");
        source
    }

    #[tokio::test]
    async fn found_f7_one_peer_reaches_and_hears_those_of_both_families() {
        let [four, six] = ["127.0.0.1:0", "[::1]:0"].map(|address| address.parse().unwrap());
        let (four, six) = (Sockets::bind(four).await.unwrap(), Sockets::bind(six).await.unwrap());
        for any in ["0.0.0.0:0", "[::]:0", "127.0.0.1:0", "[::1]:0"] {
            let sockets = Sockets::bind(any.parse().unwrap()).await.unwrap();
            for other in [&four, &six, &four] {
                let address = other.address().unwrap();
                let source = pass(&sockets, address, other).await;
                assert_eq!(source.is_ipv4(), address.is_ipv4(), "from {any}");
                assert_eq!(pass(other, source, &sockets).await, address, "to {any}");
            }
        }
    }

    #[tokio::test]
    async fn found_f7_a_mapped_address_is_the_one_it_maps() {
        let four = Sockets::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let port = four.address().unwrap().port();
        let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{port}").parse().unwrap();
        let other = Sockets::bind("[::1]:0".parse().unwrap()).await.unwrap();
        assert!(pass(&other, mapped, &four).await.is_ipv4());
        assert_eq!(canonical(mapped), four.address().unwrap());
    }

    #[tokio::test]
    async fn what_listens_everywhere_answers_from_where_it_listens() {
        let everywhere = Sockets::bind("[::]:0".parse().unwrap()).await.unwrap();
        let port = everywhere.address().unwrap().port();
        for ip in ["127.0.0.1", "::1"].map(|ip| ip.parse::<IpAddr>().unwrap()) {
            let client = Sockets::bind((ip, 0).into()).await.unwrap();
            let source = pass(&client, (ip, port).into(), &everywhere).await;
            assert_eq!(source, client.address().unwrap());
            assert_eq!(pass(&everywhere, source, &client).await, SocketAddr::from((ip, port)));
        }
    }
}
