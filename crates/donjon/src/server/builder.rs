use std::{hash::Hash, net::IpAddr, time::Duration};

use donjon_concurrency_limit::{ConcurrencyLimitLayer, Http as LimitHttp};
use donjon_core::Fresh;
use donjon_http::{
    key::{self, ClientIp},
    respond,
    respond::{Problem, Render},
};
use donjon_per_key::{ExceptLayer, PerKeyLayer, Unkeyed};
use donjon_rate_limit::{Rate, RateLimitLayer};
use donjon_timeout::{DeadlineLayer, Http as TimeoutHttp};
use tower_layer::Identity;

use super::{Handles, ServerLayer, ServerLayerExcept};

/// The settings of the ready-made server: see the [module](super) for what they are by default.
///
/// Clones share the state of the layers, as clones of what it builds do.
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerBuilder<X = ClientIp, K = IpAddr, R = Problem, C = Identity, P = ()> {
    deadline: DeadlineLayer<TimeoutHttp>,
    timeout: Duration,
    /// Whether clients have a say in it.
    ask_clients: bool,
    rate: PerKeyLayer<X, RateLimitLayer, K>,
    limit: ConcurrencyLimitLayer<LimitHttp>,
    /// What was said of it; what was not follows the limit.
    queue: Option<usize>,
    max_wait: Duration,
    render: R,
    retry_after: Option<Duration>,
    cache: C,
    /// Which requests the limits leave out.
    except: P,
}

/// That there are requests which the limits leave out: see [`ServerBuilder::except`].
#[derive(Clone, Copy, Debug)]
pub struct Excepted<Q>(Q);

// ===== impl ServerBuilder =====

impl ServerBuilder {
    pub(super) fn new() -> Self {
        let timeout = Duration::from_secs(5);
        let max_wait = Duration::from_millis(250);
        // Off: behind a proxy that nobody has spoken of, all clients would be one.
        let rate = PerKeyLayer::new(key::client_ip(), RateLimitLayer::new(Rate::per_second(0))).bypass();
        Self {
            deadline: DeadlineLayer::http(timeout),
            timeout,
            ask_clients: true,
            rate,
            limit: ConcurrencyLimitLayer::http(256).max_wait(max_wait),
            queue: None,
            max_wait,
            render: Problem,
            retry_after: Some(Duration::from_secs(1)),
            cache: Identity::new(),
            except: (),
        }
    }
}

impl<X, K, R, C, P> ServerBuilder<X, K, R, C, P> {
    /// How long a request may take with everything: queue, handler, response body. 5 s by default; a client that says
    /// less gets less. Zero refuses every request, `Duration::MAX` leaves it to the client.
    ///
    /// It ends streams too. For server-sent events, WebSockets excepted, set it to `Duration::MAX`, or put a
    /// `RequestTimeout` into the extensions of such a request further out.
    pub fn deadline(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self.set_deadline();
        self
    }

    /// Clients have no say in how long their requests may take.
    pub fn ignore_client_deadlines(mut self) -> Self {
        self.ask_clients = false;
        self.set_deadline();
        self
    }

    fn set_deadline(&mut self) {
        let deadline = DeadlineLayer::http(self.timeout);
        self.deadline = if self.ask_clients { deadline } else { deadline.ignore_headers() };
    }

    /// How many requests may be in flight, each to the end of its response body. 256 by default; 0 refuses all. The
    /// queue is twice as long, unless [`queue`](Self::queue) says otherwise.
    pub fn max_in_flight(mut self, max: usize) -> Self {
        let limit = ConcurrencyLimitLayer::http(max).max_wait(self.max_wait);
        self.limit = match self.queue {
            Some(bound) => limit.queue(bound),
            None => limit,
        };
        self
    }

    /// How many requests may wait. Twice as many as may be in flight by default; 0 sheds.
    pub fn queue(mut self, bound: usize) -> Self {
        self.queue = Some(bound);
        self.limit = self.limit.queue(bound);
        self
    }

    /// How long a request may wait. 250 ms by default; zero does not wait.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self.limit = self.limit.max_wait(wait);
        self
    }

    /// So many requests per time for each client, by its address: that of the connection's peer, which the server has to
    /// put into the request's extensions ([`PeerAddr`](donjon_http::key::PeerAddr)). Those whose address is not known share
    /// one rate, so that a server that says no addresses does not go unlimited; how many they are is in the figures of the
    /// [handle](Handles::rate_limits) (`without_key`).
    ///
    /// Off by default. With axum, or behind proxies, say which key: [`rate_limit_by`](Self::rate_limit_by).
    pub fn rate_limit(self, rate: Rate) -> ServerBuilder<ClientIp, IpAddr, R, C, P> {
        self.rate_limit_by(key::client_ip(), rate)
    }

    /// So many requests per time for each key: a user, an API key, a client behind trusted proxies (see
    /// [`donjon_http::key`]). Requests without one share one rate.
    ///
    /// axum says the address of the peer in a type of its own:
    ///
    /// ```
    /// use std::net::{IpAddr, SocketAddr};
    /// use axum::{Router, extract::ConnectInfo, routing::get};
    /// use donjon::{http::key, rate_limit::Rate};
    ///
    /// let peer = key::client_ip().peer(|extensions| {
    ///     extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| -> IpAddr { peer.ip() })
    /// });
    /// let server = donjon::server::builder().rate_limit_by(peer, Rate::per_second(20).burst(60)).build();
    /// let app: Router = Router::new().route("/", get(async || "hello")).layer(server);
    /// // And it says it if it is asked to: `axum::serve(listener, service)` with this.
    /// let service = app.into_make_service_with_connect_info::<SocketAddr>();
    /// # drop(service);
    /// ```
    pub fn rate_limit_by<Y, L>(self, key: Y, rate: Rate) -> ServerBuilder<Y, L, R, C, P>
    where
        L: Hash + Eq,
    {
        self.rate_limit_with(PerKeyLayer::new(key, RateLimitLayer::new(rate)).without_key(Unkeyed::Share))
    }

    /// As [`rate_limit_by`](Self::rate_limit_by), with settings of your own: how many keys, what becomes of requests without
    /// one, who waits for a turn and for how long.
    pub fn rate_limit_with<Y, L>(self, rate: PerKeyLayer<Y, RateLimitLayer, L>) -> ServerBuilder<Y, L, R, C, P> {
        let Self {
            deadline,
            timeout,
            ask_clients,
            rate: _,
            limit,
            queue,
            max_wait,
            render,
            retry_after,
            cache,
            except,
        } = self;
        ServerBuilder {
            deadline,
            timeout,
            ask_clients,
            rate,
            limit,
            queue,
            max_wait,
            render,
            retry_after,
            cache,
            except,
        }
    }

    /// Writes refusals in this way in place of problem documents: see
    /// [`RespondLayer::render`](donjon_http::RespondLayer::render).
    pub fn render<Q: Render>(self, render: Q) -> ServerBuilder<X, K, Q, C, P> {
        let Self {
            deadline,
            timeout,
            ask_clients,
            rate,
            limit,
            queue,
            max_wait,
            render: _,
            retry_after,
            cache,
            except,
        } = self;
        ServerBuilder {
            deadline,
            timeout,
            ask_clients,
            rate,
            limit,
            queue,
            max_wait,
            render,
            retry_after,
            cache,
            except,
        }
    }

    /// What those are told who are refused for want of room: to come back after this long, or nothing. 1 s by default.
    pub fn retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// The operator's ends of the layers. Take them after the settings.
    #[must_use]
    pub fn handles(&self) -> Handles<K> {
        Handles { deadline: self.deadline.handle(), rate: self.rate.handle(), limit: self.limit.handle() }
    }

    /// The rate limit and the concurrency limit leave out the requests for which `except(&request)` is true: `/health`,
    /// say. Such a request takes no permit and no token, and waits in no queue; the deadline and the cache are there for it
    /// too. Said again, the last one holds.
    ///
    /// With it each request costs one more clone of the handler.
    ///
    /// ```
    /// # use http_body_util::Full;
    /// # use tower::{Layer, ServiceExt};
    /// use http::Request;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # type Body = Full<bytes::Bytes>;
    /// # let handler = tower::service_fn(|_: Request<Body>| async {
    /// #     Ok::<_, std::convert::Infallible>(http::Response::new(Body::from("hello")))
    /// # });
    /// let server = donjon::server::builder()
    ///     .max_in_flight(0)
    ///     .except(|request: &Request<Body>| request.uri().path() == "/health");
    ///
    /// let app = server.build().layer(handler);
    /// let status = async |path| {
    ///     let request = Request::get(path).body(Body::default()).expect("it is a path");
    ///     app.clone().oneshot(request).await.map(|response| response.status().as_u16())
    /// };
    /// assert_eq!((status("/health").await?, status("/").await?), (200, 503));
    /// # Ok::<_, std::convert::Infallible>(())
    /// # }).unwrap();
    /// ```
    pub fn except<Q>(self, except: Q) -> ServerBuilder<X, K, R, C, Excepted<Q>> {
        let Self { deadline, timeout, ask_clients, rate, limit, queue, max_wait, render, retry_after, cache, .. } =
            self;
        let except = Excepted(except);
        ServerBuilder {
            deadline,
            timeout,
            ask_clients,
            rate,
            limit,
            queue,
            max_wait,
            render,
            retry_after,
            cache,
            except,
        }
    }
}

impl<X, K, R, C> ServerBuilder<X, K, R, C> {
    /// The layer. In axum it is one for `Router::layer`, `Router::route_layer` and `MethodRouter::layer`.
    pub fn build(self) -> ServerLayer<X, K, R, C>
    where
        R: Render,
    {
        let layers = (self.deadline, self.rate, self.limit, self.cache);
        respond(layers).render(self.render).retry_after(self.retry_after)
    }
}

impl<X, K, R, C, Q> ServerBuilder<X, K, R, C, Excepted<Q>> {
    /// The layer. In axum it is one for `Router::layer`, `Router::route_layer` and `MethodRouter::layer`.
    pub fn build(self) -> ServerLayerExcept<X, K, Q, R, C>
    where
        X: Clone,
        K: Hash + Eq,
        R: Render,
    {
        let limits = ExceptLayer::new(self.except.0, (self.rate, self.limit));
        respond((self.deadline, limits, self.cache)).render(self.render).retry_after(self.retry_after)
    }
}

#[cfg(feature = "cache")]
impl<X, K, R, C, P> ServerBuilder<X, K, R, C, P> {
    /// Keeps what may be kept of the handler's answers, for this long, by the strict rule of
    /// [`CacheLayer::http`](donjon_cache::CacheLayer::http): 200 to GET and HEAD, nothing that belongs to a user. Off by
    /// default.
    pub fn cache(self, ttl: Duration) -> ServerBuilder<X, K, R, super::HttpCache, P> {
        self.cache_with(donjon_cache::CacheLayer::http().ttl(ttl))
    }

    /// As [`cache`](Self::cache), with a cache of your own settings. Keep its handle, to invalidate.
    pub fn cache_with<D>(self, cache: D) -> ServerBuilder<X, K, R, D, P> {
        let Self {
            deadline,
            timeout,
            ask_clients,
            rate,
            limit,
            queue,
            max_wait,
            render,
            retry_after,
            cache: _,
            except,
        } = self;
        ServerBuilder {
            deadline,
            timeout,
            ask_clients,
            rate,
            limit,
            queue,
            max_wait,
            render,
            retry_after,
            cache,
            except,
        }
    }
}

#[cfg(feature = "cache")]
impl<X, K, R, P> ServerBuilder<X, K, R, super::HttpCache, P> {
    /// The operator's end of the cache: figures, removals, knobs.
    #[must_use]
    pub fn cache_handle(&self) -> super::HttpCacheHandle {
        self.cache.handle()
    }
}
