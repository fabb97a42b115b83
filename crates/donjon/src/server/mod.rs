//! The ready-made server stack: layers around a service that cannot fail, such as an axum router.
//!
//! ```text
//! respond               refusals become responses: 503, 429, 504, with Retry-After; gRPC in its own words
//! └ DeadlineLayer       5 s, or what the client says in `grpc-timeout` or `x-request-timeout-ms`, body included
//!   └ PerKeyLayer       a rate limit for each client; off unless asked for
//!     └ ConcurrencyLimitLayer  256 at once, 512 wait for up to 250 ms; a request counts to the end of its body
//!       └ CacheLayer    off unless asked for
//!         └ handler
//! ```
//!
//! The order has reasons. The deadline counts the time in the queue. Who calls too often is told so before taking a place
//! in it. An answer from the cache needs a permit too: it is short, and its body may go to a slow reader.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use donjon::rate_limit::Rate;
//! use tower::{Layer, ServiceExt};
//! # use http_body_util::Full;
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let server = donjon::server::builder()
//!     .deadline(Duration::from_secs(2))
//!     .max_in_flight(64)
//!     .rate_limit(Rate::per_second(20).burst(60)); // For each client; with axum see `rate_limit_by`.
//! let handles = server.handles();
//! # let handler = tower::service_fn(|_: http::Request<Full<bytes::Bytes>>| async {
//! #     Ok::<_, std::convert::Infallible>(http::Response::new(Full::<bytes::Bytes>::from("hello")))
//! # });
//!
//! // With axum: `Router::new().route("/", get(handler)).layer(server.build())`.
//! let app = server.build().layer(handler);
//! let response = app.clone().oneshot(http::Request::new(Full::default())).await.unwrap();
//! assert_eq!(response.status(), 200);
//!
//! handles.limit().set_max(0)?; // While running: refuse everything.
//! let response = app.oneshot(http::Request::new(Full::default())).await.unwrap();
//! assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));
//! # Ok::<_, donjon::OutOfRange>(())
//! # }).unwrap();
//! ```
//!
//! What must never be refused, such as `/health`, is left out of the limits by a predicate ([`ServerBuilder::except`]), or
//! routed outside of the layer: in axum, by a route that is added after it.

mod builder;
mod handles;

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_http::{RespondLayer, respond::Problem};
use donjon_per_key::{ExceptLayer, PerKeyLayer};
use donjon_rate_limit::RateLimitLayer;
use donjon_timeout::DeadlineLayer;
use tower_layer::Identity;

pub use self::{
    builder::{Excepted, ServerBuilder},
    handles::Handles,
};

/// The layers of a ready-made server. `X` is the key of the rate limit and `K` its value, `R` writes refusals, and `C` is
/// the cache.
pub type ServerLayer<X, K, R = Problem, C = Identity> = RespondLayer<Layers<X, K, C>, R>;

/// What [`respond`](donjon_http::respond()) stands around; the first is the outermost.
pub type Layers<X, K, C> = (
    DeadlineLayer<donjon_timeout::Http>,
    PerKeyLayer<X, RateLimitLayer, K>,
    ConcurrencyLimitLayer<donjon_concurrency_limit::Http>,
    C,
);

/// The layers of a ready-made server whose limits leave requests out, by the predicate `Q`: see
/// [`ServerBuilder::except`].
pub type ServerLayerExcept<X, K, Q, R = Problem, C = Identity> = RespondLayer<LayersExcept<X, K, Q, C>, R>;

/// As [`Layers`], where the two limits are behind the predicate `Q`.
pub type LayersExcept<X, K, Q, C> = (
    DeadlineLayer<donjon_timeout::Http>,
    ExceptLayer<Q, (PerKeyLayer<X, RateLimitLayer, K>, ConcurrencyLimitLayer<donjon_concurrency_limit::Http>)>,
    C,
);

/// The cache of [`ServerBuilder::cache`].
#[cfg(feature = "cache")]
pub type HttpCache = donjon_cache::CacheLayer<
    donjon_http::sharing::HttpRequests,
    donjon_http::sharing::HttpKey,
    donjon_cache::http::CachedResponse,
    donjon_cache::http::Http,
>;

/// The operator's end of that cache: see [`ServerBuilder::cache_handle`].
#[cfg(feature = "cache")]
pub type HttpCacheHandle = donjon_cache::Handle<donjon_http::sharing::HttpKey, donjon_cache::http::CachedResponse>;

/// The settings of a ready-made server, to begin with the defaults that the [module](self) names.
pub fn builder() -> ServerBuilder {
    ServerBuilder::new()
}
