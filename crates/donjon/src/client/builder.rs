use std::time::Duration;

use donjon_budget::{Backoff, Budget};
use donjon_concurrency_limit::{ConcurrencyLimitLayer, Http as LimitHttp};
use donjon_core::Fresh;
use donjon_http::CollectLayer;
use donjon_json::{JsonClient, JsonError};
use donjon_retry::{Http as RetryHttp, RetryLayer};
use donjon_timeout::{DeadlineLayer, Http as TimeoutHttp, PropagateDeadlineLayer, TimeoutLayer};
use donjon_transport::{Transport, transport};
use tower_layer::{Identity, Layer};

#[cfg(feature = "cache")]
use super::Cached;
use super::{AnyError, Client, Handles, Sending, Stack};

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
pub struct ClientBuilder<T = Transport, C = Identity> {
    deadline: DeadlineLayer<TimeoutHttp>,
    retry: RetryLayer<RetryHttp>,
    limit: ConcurrencyLimitLayer<LimitHttp>,
    /// What was said of it; what was not follows the limit.
    queue: Option<usize>,
    max_wait: Duration,
    attempt: TimeoutLayer<TimeoutHttp>,
    collect: CollectLayer,
    propagate: PropagateDeadlineLayer,
    transport: T,
    cache: C,
    #[cfg(feature = "cache")]
    cache_handle: Option<super::CacheHandle>,
}

/// For a place under the limit.
const MAX_WAIT: Duration = Duration::from_millis(250);

// ===== impl ClientBuilder =====

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            deadline: DeadlineLayer::http(Duration::from_secs(5)).ignore_headers(),
            retry: RetryLayer::http(),
            limit: ConcurrencyLimitLayer::http(64).max_wait(MAX_WAIT),
            queue: None,
            max_wait: MAX_WAIT,
            attempt: TimeoutLayer::http(Duration::from_secs(1)),
            collect: CollectLayer::new(),
            propagate: PropagateDeadlineLayer::new().bypass(),
            transport: transport(),
            cache: Identity::new(),
            #[cfg(feature = "cache")]
            cache_handle: None,
        }
    }
}

impl<T, C> ClientBuilder<T, C> {
    /// How long a call may take with everything: queue, attempts, sleeps between them, body. 5 s by default; zero
    /// refuses every call, `Duration::MAX` sets no deadline.
    pub fn deadline(mut self, timeout: Duration) -> Self {
        self.deadline = DeadlineLayer::http(timeout).ignore_headers();
        self
    }

    /// How long one attempt may take, its body included. 1 s by default; `Duration::MAX` leaves it to the deadline.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt = TimeoutLayer::http(timeout);
        self
    }

    /// Attempts in all. 4 by default; 0 and 1 switch retries off.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.retry = self.retry.max_attempts(attempts);
        self
    }

    /// How long to wait between attempts. Exponential from 50 ms to 20 s with full jitter by default.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.retry = self.retry.backoff(backoff);
        self
    }

    /// How much extra load retries may add. [`Budget::new`] by default; share one between clients that share a fate.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.retry = self.retry.budget(budget);
        self
    }

    /// How many attempts may be in flight. 64 by default; 0 refuses every call. The queue is twice as long, unless
    /// [`queue`](Self::queue) says otherwise.
    pub fn max_in_flight(mut self, max: usize) -> Self {
        let limit = ConcurrencyLimitLayer::http(max).max_wait(self.max_wait);
        self.limit = match self.queue {
            Some(bound) => limit.queue(bound),
            None => limit,
        };
        self
    }

    /// How many attempts may wait for a place. Twice as many as may be in flight by default: 128; 0 sheds.
    pub fn queue(mut self, bound: usize) -> Self {
        self.queue = Some(bound);
        self.limit = self.limit.queue(bound);
        self
    }

    /// How long an attempt may wait for a place. 250 ms by default; zero does not wait.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self.limit = self.limit.max_wait(wait);
        self
    }

    /// How much of a response is read inside of the attempt, so that a truncated one is retried. What is longer streams
    /// on, and its reading is not retried. 1 MiB by default.
    pub fn collect(mut self, bytes: usize) -> Self {
        self.collect = CollectLayer::new().cap(bytes);
        self
    }

    /// Tells the upstream how long the answer is still waited for, in the field `x-request-timeout-ms` of each attempt.
    /// Off by default: a server that does not know the field has no use for it.
    pub fn propagate_deadline(mut self) -> Self {
        self.propagate = PropagateDeadlineLayer::new();
        self
    }

    /// Draws the jitter from this seed, so that a run repeats itself.
    pub fn seed(mut self, seed: u64) -> Self {
        self.retry = self.retry.seed(seed);
        self
    }

    /// Over this transport: one with other settings, or any HTTP service.
    pub fn transport<U>(self, transport: U) -> ClientBuilder<U, C> {
        self.map(|_| transport, |cache| cache)
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
    pub fn cache(self, ttl: Duration) -> ClientBuilder<T, Cached> {
        self.cache_layer(donjon_cache::CacheLayer::http().ttl(ttl))
    }

    /// With this cache: stale answers, refreshes ahead of time, a capacity, more fields in the key.
    #[cfg(feature = "cache")]
    pub fn cache_layer(self, cache: Cached) -> ClientBuilder<T, Cached> {
        let handle = cache.handle();
        let mut this = self.map(|transport| transport, |_| cache);
        this.cache_handle = Some(handle);
        this
    }

    fn map<U, D>(self, t: impl FnOnce(T) -> U, c: impl FnOnce(C) -> D) -> ClientBuilder<U, D> {
        ClientBuilder {
            deadline: self.deadline,
            retry: self.retry,
            limit: self.limit,
            queue: self.queue,
            max_wait: self.max_wait,
            attempt: self.attempt,
            collect: self.collect,
            propagate: self.propagate,
            transport: t(self.transport),
            cache: c(self.cache),
            #[cfg(feature = "cache")]
            cache_handle: self.cache_handle,
        }
    }

    /// The operator's ends of the layers. Take them after the settings.
    #[must_use]
    pub fn handles(&self) -> Handles {
        let handles = Handles::new(&self.deadline, &self.retry, &self.limit, &self.attempt);
        #[cfg(feature = "cache")]
        let handles = handles.with_cache(self.cache_handle.clone());
        handles
    }
}

impl<T, C: Layer<Sending<T>>> ClientBuilder<T, C> {
    /// The stack, without the JSON client.
    pub fn build_stack(self) -> Stack<T, C> {
        let inner = self.propagate.layer(AnyError::new(self.transport));
        let sending = self.retry.layer(self.limit.layer(self.attempt.layer(self.collect.layer(inner))));
        self.deadline.layer(self.cache.layer(sending))
    }

    /// The client, for this base URL.
    ///
    /// # Errors
    ///
    /// If `base` is not an absolute `http` or `https` URL.
    pub fn build(self, base: impl AsRef<str>) -> Result<Client<T, C>, JsonError> {
        JsonClient::new(self.build_stack()).base(base)
    }
}
