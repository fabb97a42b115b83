use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use donjon_core::Key;
use http::{Extensions, HeaderMap, Request};

use super::forwarded;

/// The address of whoever holds the other end of the connection: an extension that the server puts into each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// The extractor of [`client_ip`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ClientIp {
    peer: fn(&Extensions) -> Option<IpAddr>,
    field: fn(&HeaderMap, usize) -> Option<IpAddr>,
    proxies: usize,
    ipv6_prefix: u8,
}

/// The address of the client: of the peer of the connection, unless a number of trusted proxies is stated.
///
/// The peer is read from the extension [`PeerAddr`], or from a bare `SocketAddr`; see [`ClientIp::peer`] for others. An
/// IPv4 address inside an IPv6 one is the IPv4 address. Of an IPv6 address the first 64 bits are the key, since a
/// client commonly has all the rest to itself; see [`ClientIp::ipv6_prefix`].
pub const fn client_ip() -> ClientIp {
    ClientIp { peer: peer_of, field: forwarded::x_forwarded_for, proxies: 0, ipv6_prefix: 64 }
}

// ===== impl ClientIp =====

impl ClientIp {
    /// This many proxies stand in front, and each appends to `X-Forwarded-For` the address that it was called from. The
    /// client is the one that the outermost of them saw: counted from the right, the `proxies`-th address. Whatever
    /// stands further left was written by strangers, and is not read. 0 reads the peer of the connection alone.
    ///
    /// A request with fewer addresses than that, or whose address is none, has the key of its peer. But who reaches the server
    /// without its proxies writes the field himself, and has as many keys as he invents: it must be reachable through them
    /// alone.
    pub const fn behind(mut self, proxies: usize) -> Self {
        self.field = forwarded::x_forwarded_for;
        self.proxies = proxies;
        self
    }

    /// As [`behind`](Self::behind), where the proxies append to `Forwarded` (RFC 7239). Only the field that the proxies
    /// really write is read: the other one could say anything.
    pub const fn behind_forwarded(mut self, proxies: usize) -> Self {
        self.field = forwarded::forwarded;
        self.proxies = proxies;
        self
    }

    /// How to find the peer of the connection in the extensions of a request. For axum's `ConnectInfo`:
    /// `.peer(|e| e.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip()))`.
    pub const fn peer(mut self, peer: fn(&Extensions) -> Option<IpAddr>) -> Self {
        self.peer = peer;
        self
    }

    /// How many of the first bits of an IPv6 address make the key: 64 unless said; 128 and more take all of them, and 0
    /// makes one key of all clients with IPv6.
    pub const fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_prefix = bits;
        self
    }
}

impl<B> Key<Request<B>> for ClientIp {
    type Key = IpAddr;

    fn key(&self, req: &Request<B>) -> Option<IpAddr> {
        let seen = match self.proxies {
            0 => None,
            proxies => (self.field)(req.headers(), proxies),
        };
        let address = seen.or_else(|| (self.peer)(req.extensions()))?;
        Some(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(prefix(address, self.ipv6_prefix)),
            address => address,
        })
    }
}

fn prefix(address: Ipv6Addr, bits: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

fn peer_of(extensions: &Extensions) -> Option<IpAddr> {
    let bare = || extensions.get::<SocketAddr>();
    extensions.get().map(|PeerAddr(address)| address).or_else(bare).map(SocketAddr::ip)
}
