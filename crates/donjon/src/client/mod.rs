//! The ready-made client stack.
//!
//! From the outside in: deadline, retry with a budget, concurrency limit with a queue, attempt timeout, a step that
//! reads the body so that a truncated one is retried, and a pooled connection with TLS. With `ClientBuilder::cache` (feature
//! `cache`) a cache stands between the deadline and the retry.
//!
//! | Setting | Default | |
//! |---|---|---|
//! | [`deadline`](ClientBuilder::deadline) | 5 s | for a call with everything: queue, attempts, sleeps, body |
//! | [`attempt_timeout`](ClientBuilder::attempt_timeout) | 1 s | for one attempt, its body included |
//! | [`max_attempts`](ClientBuilder::max_attempts) | 4 | in all |
//! | [`budget`](ClientBuilder::budget) | [`Budget::new`](donjon_budget::Budget::new) | extra load: 24 tokens, 0.3 for each first-try success |
//! | [`max_in_flight`](ClientBuilder::max_in_flight) | 64 | attempts; a retry that sleeps holds no place |
//! | [`queue`](ClientBuilder::queue) | 128 | attempts that wait for a place |
//! | [`max_wait`](ClientBuilder::max_wait) | 250 ms | for a place |
//! | `cache` | none | for how long an answer may be given again |
//! | [`transport`](ClientBuilder::transport) | [`donjon_transport::transport`] | 100 connections per host, 5 s to connect |
//!
//! Only what is idempotent is sent again, unless nothing of it was sent: GET, HEAD, PUT, DELETE, OPTIONS, TRACE, and
//! whatever carries an `Idempotency-Key`.
//!
//! # Sharing
//!
//! Clones of a client share all: pool, limit, budget. Two clients share nothing; use one for each upstream.
//!
//! # Cancellation
//!
//! Dropping a call drops what it has in flight: the permit, the queue place and the exchange are given back at once.

mod any_error;
mod builder;
mod handles;

use donjon_concurrency_limit::{ConcurrencyLimit, Http as LimitHttp};
use donjon_http::collect::Collect;
use donjon_json::{JsonClient, JsonError};
use donjon_retry::{Http as RetryHttp, Retry};
use donjon_timeout::{Http as TimeoutHttp, PropagateDeadline, Timeout, WithDeadline};
use donjon_transport::Transport;
use tower_layer::{Identity, Layer};

pub use self::{any_error::AnyError, builder::ClientBuilder, handles::Handles};

/// The layers of the ready-made client, from the outside in, over the transport `T`; `C` is the layer of the cache, if
/// there is one.
pub type Stack<T = Transport, C = Identity> = WithDeadline<<C as Layer<Sending<T>>>::Service, TimeoutHttp>;

/// The part of the [`Stack`] that sends: what is inside of the cache.
pub type Sending<T = Transport> =
    Retry<ConcurrencyLimit<Timeout<Collect<PropagateDeadline<AnyError<T>>>, TimeoutHttp>, LimitHttp>, RetryHttp>;

/// The ready-made client: a [`JsonClient`] over the [`Stack`]. `Clone`, and called through `&self`: keep it in a field.
pub type Client<T = Transport, C = Identity> = JsonClient<Stack<T, C>>;

/// The ready-made client with [`cache`](ClientBuilder::cache).
#[cfg(feature = "cache")]
pub type CachedClient<T = Transport> = Client<T, Cached>;

/// The cache of a client.
#[cfg(feature = "cache")]
pub type Cached = donjon_cache::CacheLayer<
    donjon_http::sharing::HttpRequests,
    donjon_http::sharing::HttpKey,
    donjon_cache::http::CachedResponse,
    donjon_cache::http::Http,
>;

/// The operator's end of the cache of a client.
#[cfg(feature = "cache")]
pub type CacheHandle = donjon_cache::Handle<donjon_http::sharing::HttpKey, donjon_cache::http::CachedResponse>;

/// A client for this base URL with all the defaults: see the [module](self).
///
/// # Errors
///
/// If `base` is not an absolute `http` or `https` URL.
///
/// # Example
///
/// ```
/// struct Billing {
///     api: donjon::client::Client,
/// }
///
/// let billing = Billing { api: donjon::client::standard("https://billing.example.com/v1")? };
/// # let _ = billing.api;
/// # Ok::<(), donjon::JsonError>(())
/// ```
pub fn standard(base: impl AsRef<str>) -> Result<Client, JsonError> {
    builder().build(base)
}

/// Settings for a client, to begin with the defaults of the [module](self).
pub fn builder() -> ClientBuilder {
    ClientBuilder::new()
}
