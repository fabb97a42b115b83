use std::time::Duration;

use donjon_budget::{Backoff, Budget};
use donjon_concurrency_limit::{ConcurrencyLimitLayer, Http as LimitHttp};
use donjon_core::Fresh;
#[cfg(feature = "fallback")]
use donjon_fallback::FallbackLayer;
use donjon_http::CollectLayer;
use donjon_json::{JsonClient, JsonError};
use donjon_retry::{Http as RetryHttp, RetryLayer};
use donjon_timeout::{DeadlineLayer, Http as TimeoutHttp, PropagateDeadlineLayer, TimeoutLayer};
use donjon_transport::{Transport, transport};
use tower_layer::{Identity, Layer};

#[cfg(feature = "cache")]
use super::Cached;
#[cfg(feature = "hedge")]
use super::Hedged;
#[cfg(feature = "hedge")]
use super::place::sealed::Place as _;
use super::{AnyError, Attempt, Client, Handles, Place, Sending, Stack};
#[cfg(feature = "breaker")]
use super::{Breaker, Breakers};

/// The settings of the ready-made client: see the [module](super) for what they are by default.
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// let builder = donjon::client::builder().deadline(Duration::from_secs(2)).max_in_flight(16);
/// let handles = builder.handles();
/// let api = builder.build("https://api.example.com")?;
///
/// handles.limit().set_max(8)?; // While running.
/// assert_eq!(handles.limit().stats().max, 8);
/// # let _ = api;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientBuilder<T = Transport, C = Identity, F = Identity, H = Identity, B = Identity> {
    settings: Settings,
    transport: T,
    cache: C,
    fallback: F,
    hedge: H,
    breaker: B,
}

/// Of what every client has.
#[derive(Clone, Debug)]
struct Settings {
    deadline: DeadlineLayer<TimeoutHttp>,
    /// Of the retry, and of what else adds load.
    budget: Budget,
    retry: RetryLayer<RetryHttp>,
    limit: ConcurrencyLimitLayer<LimitHttp>,
    /// What was said of it; what was not follows the limit.
    queue: Option<usize>,
    max_wait: Duration,
    attempt: TimeoutLayer<TimeoutHttp>,
    collect: CollectLayer,
    propagate: PropagateDeadlineLayer,
    /// Whether what a breaker takes for a failure follows the times above.
    follows: bool,
}

/// For a place under the limit.
const MAX_WAIT: Duration = Duration::from_millis(250);

/// One for each host.
#[cfg(feature = "breaker")]
pub(super) fn breakers(breaker: Breaker) -> Breakers {
    donjon_per_key::PerKeyLayer::new(donjon_http::key::authority(), breaker)
}

// ===== impl Settings =====

impl Settings {
    /// Half of what an attempt has at the most. One that was begun late, and had less, says nothing of its service.
    fn patience(&self) -> Duration {
        let (deadline, attempt) = (self.deadline.handle().timeout(), self.attempt.handle().timeout());
        deadline.into_iter().chain(attempt).min().map_or(Duration::MAX, |most| most / 2)
    }
}

// ===== impl ClientBuilder =====

impl ClientBuilder {
    pub(super) fn new() -> Self {
        let budget = Budget::new();
        let settings = Settings {
            deadline: DeadlineLayer::http(Duration::from_secs(5)).ignore_headers(),
            retry: RetryLayer::http().budget(budget.clone()),
            budget,
            limit: ConcurrencyLimitLayer::http(64).max_wait(MAX_WAIT),
            queue: None,
            max_wait: MAX_WAIT,
            attempt: TimeoutLayer::http(Duration::from_secs(1)),
            collect: CollectLayer::new(),
            propagate: PropagateDeadlineLayer::new().bypass(),
            follows: false,
        };
        let none = Identity::new;
        Self { settings, transport: transport(), cache: none(), fallback: none(), hedge: none(), breaker: none() }
    }
}

impl<T, C, F, H, B> ClientBuilder<T, C, F, H, B> {
    /// How long a call may take with everything: queue, attempts, sleeps between them, body. 5 s by default; zero
    /// refuses every call, `Duration::MAX` sets no deadline.
    pub fn deadline(mut self, timeout: Duration) -> Self
    where
        B: Place,
    {
        self.settings.deadline = DeadlineLayer::http(timeout).ignore_headers();
        self.follow()
    }

    /// How long one attempt may take, its body included. 1 s by default; `Duration::MAX` leaves it to the deadline.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self
    where
        B: Place,
    {
        self.settings.attempt = TimeoutLayer::http(timeout);
        self.follow()
    }

    /// The ready-made breakers, by the times that there are now.
    fn follow(mut self) -> Self
    where
        B: Place,
    {
        if self.settings.follows {
            self.breaker = self.breaker.with_patience(self.settings.patience());
        }
        self
    }

    /// Attempts in all. 4 by default; 0 and 1 switch retries off.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.retry = self.settings.retry.max_attempts(attempts);
        self
    }

    /// How long to wait between attempts. Exponential from 50 ms to 20 s with full jitter by default.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.retry = self.settings.retry.backoff(backoff);
        self
    }

    /// How much extra load there may be: what retries draw on, and hedges and the refreshes of the cache on its share.
    /// [`Budget::new`] by default; give one to several clients that share a fate. A cache that was given a budget of its own
    /// keeps that.
    pub fn budget(mut self, budget: Budget) -> Self
    where
        H: Place,
    {
        self.settings.retry = self.settings.retry.budget(budget.clone());
        self.hedge = self.hedge.paid_from(&budget);
        self.settings.budget = budget;
        self
    }

    /// How many attempts may be in flight. 64 by default; 0 refuses every call. The queue is twice as long, unless
    /// [`queue`](Self::queue) says otherwise.
    pub fn max_in_flight(mut self, max: usize) -> Self {
        let limit = ConcurrencyLimitLayer::http(max).max_wait(self.settings.max_wait);
        self.settings.limit = match self.settings.queue {
            Some(bound) => limit.queue(bound),
            None => limit,
        };
        self
    }

    /// How many attempts may wait for a place. Twice as many as may be in flight by default: 128; 0 sheds.
    pub fn queue(mut self, bound: usize) -> Self {
        self.settings.queue = Some(bound);
        self.settings.limit = self.settings.limit.queue(bound);
        self
    }

    /// How long an attempt may wait for a place. 250 ms by default; zero does not wait.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.settings.max_wait = wait;
        self.settings.limit = self.settings.limit.max_wait(wait);
        self
    }

    /// How much of a response is read inside of the attempt, so that a truncated one is retried. What is longer streams
    /// on, and its reading is not retried. 1 MiB by default.
    pub fn collect(mut self, bytes: usize) -> Self {
        self.settings.collect = CollectLayer::new().cap(bytes);
        self
    }

    /// Tells the upstream how long the answer is still waited for, in the field `x-request-timeout-ms` of each attempt.
    /// Off by default: a server that does not know the field has no use for it.
    pub fn propagate_deadline(mut self) -> Self {
        self.settings.propagate = PropagateDeadlineLayer::new();
        self
    }

    /// Draws the jitter from this seed, so that a run repeats itself.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.retry = self.settings.retry.seed(seed);
        self
    }

    /// Over this transport: one with other settings, or any HTTP service.
    pub fn transport<U>(self, transport: U) -> ClientBuilder<U, C, F, H, B> {
        let Self { settings, cache, fallback, hedge, breaker, .. } = self;
        ClientBuilder { settings, transport, cache, fallback, hedge, breaker }
    }

    /// Answers again from memory what was answered within this time, and makes one call of those that ask for the same at
    /// once. Never on by default.
    ///
    /// By the strict rule of [`donjon_cache::http`]: only `GET` and `HEAD`, only 200, and nothing that may be one user's.
    /// So a client that sends `Authorization` or `Cookie` caches nothing. Zero stores nothing, and still makes one call of
    /// many.
    ///
    /// The cache stands between the deadline and the retry, so a hit waits for no place under the limit. Nothing stale is
    /// served; for that and all else that a cache can do there is [`cache_layer`](Self::cache_layer).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let builder = donjon::client::builder().cache(Duration::from_secs(30));
    /// let handles = builder.handles();
    /// let api: donjon::client::CachedClient = builder.build("https://api.example.com")?;
    ///
    /// let cache = handles.cache().expect("there is one");
    /// cache.invalidate_uri(&"https://api.example.com/users/42".parse()?);
    /// assert_eq!(cache.stats().hits, 0);
    /// # let _ = api;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "cache")]
    pub fn cache(self, ttl: Duration) -> ClientBuilder<T, Cached, F, H, B> {
        self.cache_layer(donjon_cache::CacheLayer::http().ttl(ttl))
    }

    /// With this cache: stale answers, refreshes ahead of time, a capacity, more fields in the key. Its refreshes are paid
    /// from the share of the client's [`budget`](Self::budget), unless it was given another.
    #[cfg(feature = "cache")]
    pub fn cache_layer(self, cache: Cached) -> ClientBuilder<T, Cached, F, H, B> {
        let Self { settings, transport, fallback, hedge, breaker, .. } = self;
        ClientBuilder { settings, transport, cache, fallback, hedge, breaker }
    }

    /// A second answer, where the retries have failed. Never on by default.
    ///
    /// It stands between the cache and the retry: what it answers may be cached. A [`FallbackLayer::service`] of what
    /// [`build_sending`](Self::build_sending) has made asks a replica:
    ///
    /// ```
    /// use donjon::{CallError, FallbackLayer, client};
    /// use http::{Request, Response, uri::Uri};
    /// use http_body_util::Full;
    /// use tower::{ServiceExt, service_fn};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// // The primary is down. A transport in memory stands for the network; leave it out, and it is the network.
    /// type Bytes = Full<bytes::Bytes>;
    /// let network = service_fn(|request: Request<Bytes>| async move {
    ///     match request.uri().host() {
    ///         Some("replica") => Ok(Response::new(Bytes::from("42"))),
    ///         _ => Err(CallError::new("connection refused")),
    ///     }
    /// });
    ///
    /// let replica = client::builder().transport(network).max_attempts(1).build_sending();
    /// let replica = replica.map_request(|mut request: Request<Bytes>| {
    ///     let mut parts = std::mem::take(request.uri_mut()).into_parts();
    ///     parts.authority = Some(http::uri::Authority::from_static("replica"));
    ///     *request.uri_mut() = Uri::from_parts(parts).expect("only the authority has changed");
    ///     request
    /// });
    /// let builder = client::builder().transport(network).fallback(FallbackLayer::service(replica).http());
    /// let handles = builder.handles();
    /// let api = builder.build("http://primary")?;
    ///
    /// assert_eq!(api.get("/answer").send::<u64>().await?, 42);
    /// assert_eq!(handles.fallback().expect("there is one").stats().answered, 1);
    /// # Ok::<(), donjon::JsonError>(()) }).unwrap();
    /// ```
    #[cfg(feature = "fallback")]
    pub fn fallback<P, D>(self, layer: FallbackLayer<P, D>) -> ClientBuilder<T, C, FallbackLayer<P, D>, H, B> {
        let Self { settings, transport, cache, hedge, breaker, .. } = self;
        ClientBuilder { settings, transport, cache, fallback: layer, hedge, breaker }
    }

    /// Sends a call that is late once more, and takes the first answer: the tail of the latencies is cut off for at most
    /// 2 % more calls. Never on by default.
    ///
    /// Only what is idempotent is hedged, after a delay that is learned ([`donjon_hedge::Delay::learned`]), and as far as the
    /// share of the client's [`budget`](Self::budget) goes.
    ///
    /// ```
    /// let builder = donjon::client::builder().hedge();
    /// let handles = builder.handles();
    /// let api = builder.build("https://api.example.com")?;
    /// assert_eq!(handles.hedge().expect("there is one").stats().hedges, 0);
    /// # let _ = api;
    /// # Ok::<(), donjon::JsonError>(())
    /// ```
    #[cfg(feature = "hedge")]
    pub fn hedge(self) -> ClientBuilder<T, C, F, Hedged, B> {
        self.hedge_layer(donjon_hedge::HedgeLayer::http())
    }

    /// With this hedge: another delay. Whatever budget it was given, it draws on the share of the client's; take its handle
    /// from the [`handles`](Self::handles) of the client.
    #[cfg(feature = "hedge")]
    pub fn hedge_layer(self, hedge: Hedged) -> ClientBuilder<T, C, F, Hedged, B> {
        let Self { settings, transport, cache, fallback, breaker, .. } = self;
        let hedge = hedge.paid_from(&settings.budget);
        ClientBuilder { settings, transport, cache, fallback, hedge, breaker }
    }

    /// Stops calling a host that fails, for 5 s at first and then until probes succeed: calls to it are refused at once. Each
    /// host and port has a breaker of its own. Never on by default.
    ///
    /// It opens by [`Trip::score`](donjon_breaker::Trip::score): seven failures into an outage. An attempt that is too slow
    /// is a failure, and so are 408, 425, 429 and 5xx. A refusal of the concurrency limit is none. Where the deadline comes
    /// before the attempt's timeout, an attempt is dropped and not told to be too slow: it has failed if it had lasted for
    /// half of the shorter of the two, whoever has dropped it. So the breakers are made anew when either is set afterwards,
    /// and follow neither when it is turned while running.
    ///
    /// ```
    /// use donjon::breaker::State;
    ///
    /// let builder = donjon::client::builder().breaker();
    /// let handles = builder.handles();
    /// let api = builder.build("https://api.example.com")?;
    ///
    /// // While running: what each host's breaker is doing, and the last word on one that has been called.
    /// let breakers = handles.breakers().expect("there are some");
    /// breakers.each(|host, breaker| println!("{host}: {}", breaker.handle().state().as_str()));
    /// breakers.with(&"api.example.com".parse::<http::uri::Authority>()?, |breaker| breaker.handle().force_open());
    /// # let _ = (api, State::Open);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "breaker")]
    pub fn breaker(self) -> ClientBuilder<T, C, F, H, Breakers> {
        let mut this = self.breaker_layer(donjon_breaker::BreakerLayer::http());
        this.settings.follows = true;
        this.follow()
    }

    /// With breakers like this one: another trip, another opening time. Each host gets a [fresh](Fresh::fresh) one. What an
    /// attempt says that is dropped, by a deadline shorter than its timeout above all, is this one's own
    /// ([`OnCancel`](donjon_breaker::OnCancel)): nothing, unless said.
    #[cfg(feature = "breaker")]
    pub fn breaker_layer(self, breaker: Breaker) -> ClientBuilder<T, C, F, H, Breakers> {
        let Self { mut settings, transport, cache, fallback, hedge, .. } = self;
        settings.follows = false;
        let breaker = breakers(breaker);
        ClientBuilder { settings, transport, cache, fallback, hedge, breaker }
    }

    /// The operator's ends of the layers. Take them after the settings.
    #[must_use]
    pub fn handles(&self) -> Handles
    where
        C: Place,
        F: Place,
        H: Place,
        B: Place,
    {
        let Settings { deadline, retry, limit, attempt, .. } = &self.settings;
        let mut handles = Handles::new(deadline, retry, limit, attempt);
        self.cache.add_to(&mut handles);
        self.fallback.add_to(&mut handles);
        self.hedge.add_to(&mut handles);
        self.breaker.add_to(&mut handles);
        handles
    }
}

impl<T, C, F, H, B> ClientBuilder<T, C, F, H, B>
where
    B: Layer<Attempt<T>>,
    H: Layer<B::Service>,
{
    /// The part of the stack that sends, without the deadline, the cache and the fallback: what the
    /// fallback of another client may call.
    pub fn build_sending(self) -> Sending<T, H, B> {
        let Settings { retry, limit, attempt, collect, propagate, .. } = self.settings;
        let inner = propagate.layer(AnyError::new(self.transport));
        let once = limit.layer(attempt.layer(collect.layer(inner)));
        retry.layer(self.hedge.layer(self.breaker.layer(once)))
    }

    /// The stack, without the JSON client.
    pub fn build_stack(self) -> Stack<T, C, F, H, B>
    where
        F: Layer<Sending<T, H, B>>,
        C: Layer<F::Service> + Place,
    {
        let none = Identity::new;
        let Self { settings, transport, cache, fallback, hedge, breaker } = self;
        let (deadline, cache) = (settings.deadline.clone(), cache.paid_from(&settings.budget));
        let sending = ClientBuilder { settings, transport, cache: none(), fallback: none(), hedge, breaker };
        deadline.layer(cache.layer(fallback.layer(sending.build_sending())))
    }

    /// The client, for this base URL.
    ///
    /// # Errors
    ///
    /// If `base` is not an absolute `http` or `https` URL.
    pub fn build(self, base: impl AsRef<str>) -> Result<Client<T, C, F, H, B>, JsonError>
    where
        F: Layer<Sending<T, H, B>>,
        C: Layer<F::Service> + Place,
    {
        JsonClient::new(self.build_stack()).base(base)
    }
}
