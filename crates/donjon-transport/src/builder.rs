use std::{sync::Arc, time::Duration};

use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioTimer,
};

#[cfg(feature = "tls")]
use crate::{RootCertificate, tls};
use crate::{Transport, background::Executor, connector::Connector, limit::Limit, service::Inner};

/// The settings of a [`Transport`].
///
/// ```
/// use std::time::Duration;
/// use donjon_transport::Transport;
///
/// let transport = Transport::builder()
///     .connect_timeout(Duration::from_secs(1))
///     .connections_per_host(16)
///     .build();
/// assert_eq!(transport.open_connections(), 0);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TransportBuilder {
    connect_timeout: Duration,
    connections_per_host: usize,
    idle_timeout: Duration,
    idle_per_host: usize,
    nodelay: bool,
    protocol: Protocol,
    #[cfg(feature = "http2")]
    ping: Option<(Duration, Duration)>,
    #[cfg(feature = "tls")]
    webpki_roots: bool,
    #[cfg(feature = "tls")]
    roots: Vec<RootCertificate>,
}

/// Further away than any connection lives, and still an instant that the timers of hyper can compute: 30 years.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Auto,
    Http1,
    #[cfg(feature = "http2")]
    Http2,
}

// ===== impl TransportBuilder =====

impl TransportBuilder {
    pub(crate) fn new() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            connections_per_host: 100,
            idle_timeout: Duration::from_secs(30),
            idle_per_host: usize::MAX,
            nodelay: true,
            protocol: Protocol::Auto,
            #[cfg(feature = "http2")]
            ping: None,
            #[cfg(feature = "tls")]
            webpki_roots: true,
            #[cfg(feature = "tls")]
            roots: Vec::new(),
        }
    }

    /// How long a call may wait for a connection: for its turn under the bound, for the name to resolve, for TCP and
    /// for the TLS handshake, all together. 5 s by default; zero never opens one in time.
    ///
    /// Where a name has several addresses, each gets its share of the time.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How many connections may be open to one origin at a time, idle ones included. 100 by default; 0 refuses all
    /// calls.
    pub fn connections_per_host(mut self, limit: usize) -> Self {
        self.connections_per_host = limit;
        self
    }

    /// How long an idle connection stays in the pool. 30 s by default; zero switches the pool off, so that each call
    /// opens its own connection.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How many idle connections to one origin the pool keeps. By default all of them, which the bound on connections
    /// bounds; 0 switches the pool off.
    pub fn idle_per_host(mut self, limit: usize) -> Self {
        self.idle_per_host = limit;
        self
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`). They are by default.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Speaks HTTP/1.1 alone. By default ALPN chooses under TLS, and without TLS it is HTTP/1.1.
    pub fn http1_only(mut self) -> Self {
        self.protocol = Protocol::Http1;
        self
    }

    /// Speaks HTTP/2 alone, and so without TLS by prior knowledge (h2c). One connection per origin is shared by all
    /// calls.
    #[cfg(feature = "http2")]
    pub fn http2_only(mut self) -> Self {
        self.protocol = Protocol::Http2;
        self
    }

    /// Sends a ping over an HTTP/2 connection with calls in flight after `interval` without a frame, and closes it when
    /// no answer comes within `timeout`: so that a peer that has vanished does not hold all calls. Off by default,
    /// since some servers close connections that ping often; an interval below one second counts as one second.
    #[cfg(feature = "http2")]
    pub fn http2_ping(mut self, interval: Duration, timeout: Duration) -> Self {
        self.ping = Some((interval.clamp(Duration::from_secs(1), FAR), timeout.min(FAR)));
        self
    }

    /// Trusts this certificate authority as well.
    #[cfg(feature = "tls")]
    pub fn root(mut self, root: RootCertificate) -> Self {
        self.roots.push(root);
        self
    }

    /// Trusts only the authorities given with [`root`](Self::root), and not the public ones of webpki-roots.
    #[cfg(feature = "tls")]
    pub fn without_public_roots(mut self) -> Self {
        self.webpki_roots = false;
        self
    }

    /// The transport. Opens nothing, and needs no runtime yet.
    #[must_use]
    pub fn build(self) -> Transport {
        let limit = Arc::new(Limit::new(self.connections_per_host));
        let connector = Connector::new(self.connector(), Arc::clone(&limit), self.connect_timeout, self.is_http2());
        let mut client = Client::builder(Executor);
        client
            .retry_canceled_requests(false)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(self.idle_timeout.min(FAR))
            .pool_max_idle_per_host(if self.idle_timeout.is_zero() { 0 } else { self.idle_per_host });
        #[cfg(feature = "http2")]
        if let Some((interval, timeout)) = self.ping {
            client.http2_keep_alive_interval(interval).http2_keep_alive_timeout(timeout);
        }
        Transport::new(client.build(connector), limit)
    }

    fn is_http2(&self) -> bool {
        #[cfg(feature = "http2")]
        return self.protocol == Protocol::Http2;
        #[cfg(not(feature = "http2"))]
        false
    }

    fn connector(&self) -> Inner {
        let mut http = HttpConnector::new();
        http.set_nodelay(self.nodelay);
        http.set_connect_timeout(Some(self.connect_timeout.min(FAR)));
        #[cfg(feature = "tls")]
        {
            http.enforce_http(false);
            let alpn: &[&[u8]] = match self.protocol {
                #[cfg(feature = "http2")]
                Protocol::Auto => &[b"h2", b"http/1.1"],
                #[cfg(not(feature = "http2"))]
                Protocol::Auto => &[b"http/1.1"],
                Protocol::Http1 => &[b"http/1.1"],
                #[cfg(feature = "http2")]
                Protocol::Http2 => &[b"h2"],
            };
            tls::connector(http, self.webpki_roots, &self.roots, alpn)
        }
        #[cfg(not(feature = "tls"))]
        http
    }
}
