//! The ready-made client stack.
//!
//! From the outside in: deadline, retry with a budget, concurrency limit with a queue, attempt timeout, a step that
//! reads the body so that a truncated one is retried, and a pooled connection with TLS. What else is asked for has its
//! place, in whichever order it is asked for:
//!
//! deadline → **cache** → **fallback** → retry → **hedge** → **breaker**, one for each host → concurrency limit → attempt
//! timeout → connection
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
//! | `cache` | none | for how long an answer may be given again (feature `cache`) |
//! | `fallback` | none | a second answer where the retries have failed (feature `fallback`) |
//! | `hedge` | none | a late call is sent once more (feature `hedge`) |
//! | `breaker` | none | a host that fails is not called for a while (feature `breaker`) |
//! | [`transport`](ClientBuilder::transport) | [`donjon_transport::transport`] | 100 connections per host, 5 s to connect |
//!
//! **One budget pays for all extra load**: the retries from its tokens; hedges and the refreshes of the cache from its
//! share, 2 % of the calls. A probe of the breaker is a call that was to be made in any case, and adds none.
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
mod place;

use donjon_concurrency_limit::{ConcurrencyLimit, Http as LimitHttp};
use donjon_http::collect::Collect;
use donjon_json::{JsonClient, JsonError};
use donjon_retry::{Http as RetryHttp, Retry};
use donjon_timeout::{Http as TimeoutHttp, PropagateDeadline, Timeout, WithDeadline};
use donjon_transport::Transport;
use tower_layer::Layer;

pub use self::{any_error::AnyError, builder::ClientBuilder, handles::Handles, place::Place};
#[doc(no_inline)]
pub use tower_layer::Identity;

/// The layers of the ready-made client, from the outside in, over the transport `T`. The others are the layers that were
/// asked for, or [`Identity`]: `C` the cache, `F` the fallback, `H` the hedge, `B` the breaker.
pub type Stack<T = Transport, C = Identity, F = Identity, H = Identity, B = Identity> =
    WithDeadline<<C as Layer<<F as Layer<Sending<T, H, B>>>::Service>>::Service, TimeoutHttp>;

/// The part of the [`Stack`] that sends, more than once if need be: what is inside of the cache and the fallback.
pub type Sending<T = Transport, H = Identity, B = Identity> =
    Retry<<H as Layer<<B as Layer<Attempt<T>>>::Service>>::Service, RetryHttp>;

/// The part of the [`Stack`] that sends once: what is inside of the breaker.
pub type Attempt<T = Transport> =
    ConcurrencyLimit<Timeout<Collect<PropagateDeadline<AnyError<T>>>, TimeoutHttp>, LimitHttp>;

/// The ready-made client: a [`JsonClient`] over the [`Stack`]. `Clone`, and called through `&self`: keep it in a field.
///
/// The layers that were asked for are named in the order in which a call meets them, such as
/// `Client<Transport, Cached, Identity, Hedged, Breakers>`; see `CachedClient` and `FullClient`, or
/// [box](JsonClient::boxed) it.
pub type Client<T = Transport, C = Identity, F = Identity, H = Identity, B = Identity> =
    JsonClient<Stack<T, C, F, H, B>>;

/// The ready-made client with [`cache`](ClientBuilder::cache).
#[cfg(feature = "cache")]
pub type CachedClient<T = Transport> = Client<T, Cached>;

/// The ready-made client with [`cache`](ClientBuilder::cache), [`hedge`](ClientBuilder::hedge) and
/// [`breaker`](ClientBuilder::breaker).
#[cfg(all(feature = "breaker", feature = "cache", feature = "hedge"))]
pub type FullClient<T = Transport> = Client<T, Cached, Identity, Hedged, Breakers>;

/// The hedge of a client.
#[cfg(feature = "hedge")]
pub type Hedged = donjon_hedge::HedgeLayer<donjon_hedge::Http>;

/// The breakers of a client: one for each host and port.
#[cfg(feature = "breaker")]
pub type Breakers = donjon_per_key::PerKeyLayer<donjon_http::key::Authority, Breaker, http::uri::Authority>;

/// What each of the [`Breakers`] is.
#[cfg(feature = "breaker")]
pub type Breaker = donjon_breaker::BreakerLayer<donjon_http::HttpClassify>;

/// The operator's end of the breakers of a client: `with` looks at that of one host.
#[cfg(feature = "breaker")]
pub type BreakerHandle = donjon_per_key::Handle<http::uri::Authority, Breaker>;

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
