//! Tower middleware that still stands when the rest has fallen.
//!
//! donjon is a set of small crates of tower middleware for programs that call, or are called, over a network. This crate
//! re-exports them behind features, and has the ready-made stacks, of clients and of servers.
//!
//! # A JSON client in one line
//!
//! ```
//! use serde::Deserialize;
//! # use http_body_util::Full;
//!
//! #[derive(Deserialize)]
//! struct User {
//!     name: String,
//! }
//!
//! # async fn run(url: String) -> Result<(), Box<dyn std::error::Error>> {
//! // Deadline, retry with a budget, concurrency limit, attempt timeout, connection pool.
//! let api = donjon::client::standard(url)?;
//! let user: User = api.get("/users/{id}").path("id", 42).send().await?;
//! assert_eq!(user.name, "Ada");
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! #     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
//! #     let url = format!("http://{}", listener.local_addr().unwrap());
//! #     tokio::spawn(async move {
//! #         let (stream, _) = listener.accept().await.unwrap();
//! #         let answer = hyper::service::service_fn(|_| async {
//! #             Ok::<_, std::convert::Infallible>(http::Response::new(Full::<bytes::Bytes>::from(r#"{"name":"Ada"}"#)))
//! #         });
//! #         let io = hyper_util::rt::TokioIo::new(stream);
//! #         let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, answer).await;
//! #     });
//! #     run(url).await.unwrap();
//! # });
//! ```
//!
//! What else it can have is asked for: a cache, a hedge, a breaker for each host, a fallback. One budget pays for what they
//! and the retries add.
//!
#![cfg_attr(
    all(feature = "cache", feature = "hedge", feature = "breaker"),
    doc = r#"
```
use std::time::Duration;

let builder = donjon::client::builder().cache(Duration::from_secs(30)).hedge().breaker();
let handles = builder.handles(); // Of each layer: its figures, and what may be turned while it runs.
let api = builder.build("https://api.example.com")?;

assert_eq!(handles.hedge().expect("there is one").stats().hedges, 0);
# let _ = api;
# Ok::<(), donjon::JsonError>(())
```
"#
)]
//! # The same, composed by hand
//!
//! ```
//! use std::time::Duration;
//! use donjon::{CallError, ConcurrencyLimitLayer, DeadlineLayer, JsonClient, RetryLayer, TimeoutLayer, transport};
//! use tower::ServiceBuilder;
//!
//! let stack = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(Duration::from_secs(5)))
//!     .layer(RetryLayer::http()) // budget, jitter, Retry-After, idempotency, replay
//!     .layer(ConcurrencyLimitLayer::http(64).queue(128).max_wait(Duration::from_millis(250)))
//!     .layer(TimeoutLayer::new(Duration::from_secs(1))) // per attempt
//!     .map_err(CallError::from)
//!     .service(transport());
//! let api = JsonClient::new(stack).base("https://api.example.com")?;
//!
//! let call = api.get("/users/{id}").path("id", 42).send::<String>(); // A future; nothing is sent before it is polled.
//! # drop(call);
//! # Ok::<(), donjon::JsonError>(())
//! ```
//!
//! # Many at once
//!
//! ```
//! use donjon::{Call, FanOutExt, JsonClient};
//! # use http_body_util::Full;
//!
//! # async fn run(api: donjon::BoxJsonClient) -> Result<(), Box<dyn std::error::Error>> {
//! let ids = 1..=100;
//! let mut replies = api.fan_out(ids.map(|id| (id, Call::<u64>::get("/double/{id}").path("id", id)))).at_once(10).as_completed();
//! while let Some((id, reply)) = replies.next().await {
//!     assert_eq!(reply?, 2 * id); // One failure ends nothing.
//! }
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! #     let stack = tower::service_fn(|request: http::Request<Full<bytes::Bytes>>| async move {
//! #         let id: u64 = request.uri().path().rsplit('/').next().unwrap().parse().unwrap();
//! #         Ok::<_, std::convert::Infallible>(http::Response::new(Full::<bytes::Bytes>::from((2 * id).to_string())))
//! #     });
//! #     run(JsonClient::new(stack).base("http://example.com").unwrap().boxed()).await.unwrap();
//! # });
//! ```
//!
//! # A server
//!
//! `respond` wraps layers around an infallible service, such as an axum router: refusals become responses, with a
//! status, a problem document and `Retry-After`; the error stays `Infallible`.
//!
//! ```
//! use donjon::{ConcurrencyLimitLayer, respond};
//! use tower::{Layer, ServiceBuilder, ServiceExt};
//! # use http_body_util::Full;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let limit = ConcurrencyLimitLayer::http(256).queue(512);
//! # let handler = tower::service_fn(|_: http::Request<Full<bytes::Bytes>>| async {
//! #     Ok::<_, std::convert::Infallible>(http::Response::new(Full::<bytes::Bytes>::from("hello")))
//! # });
//! let app = respond(ServiceBuilder::new().layer(limit.clone())).layer(handler);
//! limit.handle().set_max(0)?; // While running: refuse everything.
//!
//! let response = app.oneshot(http::Request::new(Full::default())).await.unwrap();
//! assert_eq!(response.status(), 503);
//! # Ok::<_, donjon::OutOfRange>(())
//! # }).unwrap();
//! ```
//!
//! # Compile errors
//!
#![cfg_attr(
    all(doc, feature = "client"),
    doc = "What the compiler says when a stack does not fit together, and what to write: [`errors`]."
)]
//!
//! # Feature flags
//!
//! One for each crate, and what belongs together:
//!
//! - `client` (on): the ready-made client stack, `client::builder`, and with it those of the line after the next.
//! - `server`: the ready-made server stack, `server::builder`.
//! - `retry`, `timeout`, `concurrency-limit`, `json`, `fanout`, `transport`, `budget`, `http`.
//! - `reqwest`: the same layers around a `reqwest::Client`.
//! - `store`: where cached values live.
//! - `tracing`: an event whenever the lasting state of a layer changes, and none for a call.
//! - `metrics`: the figures of all handles, for the facade of that name.
//! - `breaker`: what fails is not called for a while; brings `per-key`, since each host has one.
//! - `fallback`: a second answer where a call has failed.
//! - `hedge`: a late call is sent once more.
//! - `per-key`: any layer with one state per host, tenant or user; and layers that leave some requests out.
//! - `cache`: answers without calling.
//! - `rate-limit`: bound how much per time.
//! - `coalesce`: one call for many that ask for the same at once.

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod server;
// Its examples and links need the layers.
#[cfg(all(feature = "client", any(doc, doctest)))]
#[doc = include_str!("../docs/errors.md")]
pub mod errors {}

#[cfg(feature = "breaker")]
pub use donjon_breaker as breaker;
#[cfg(feature = "breaker")]
pub use donjon_breaker::BreakerLayer;
#[cfg(feature = "budget")]
pub use donjon_budget as budget;
#[cfg(feature = "budget")]
pub use donjon_budget::{Backoff, Budget};
#[cfg(feature = "cache")]
pub use donjon_cache as cache;
#[cfg(feature = "cache")]
pub use donjon_cache::CacheLayer;
#[cfg(feature = "coalesce")]
pub use donjon_coalesce as coalesce;
#[cfg(feature = "coalesce")]
pub use donjon_coalesce::CoalesceLayer;
#[cfg(feature = "concurrency-limit")]
pub use donjon_concurrency_limit as concurrency_limit;
#[cfg(feature = "concurrency-limit")]
pub use donjon_concurrency_limit::ConcurrencyLimitLayer;
pub use donjon_core as core;
#[cfg(feature = "metrics")]
pub use donjon_core::metrics;
pub use donjon_core::{
    BoxError, CallError, Classify, Criticality, Deadline, Fresh, Observe, OutOfRange, Outcome, Ratio, Reject,
    Rejection, RejectionKind, Replay, Scope, check_service,
};
#[cfg(feature = "fallback")]
pub use donjon_fallback as fallback;
#[cfg(feature = "fallback")]
pub use donjon_fallback::FallbackLayer;
#[cfg(feature = "fanout")]
pub use donjon_fanout as fanout;
#[cfg(feature = "fanout")]
pub use donjon_fanout::FanOutExt;
#[cfg(feature = "hedge")]
pub use donjon_hedge as hedge;
#[cfg(feature = "hedge")]
pub use donjon_hedge::HedgeLayer;
#[cfg(feature = "http")]
pub use donjon_http as http;
#[cfg(feature = "http")]
pub use donjon_http::{CollectLayer, HttpClassify, ReplayLayer, respond};
#[cfg(feature = "json")]
pub use donjon_json as json;
#[cfg(feature = "json")]
pub use donjon_json::{BoxJsonClient, Call, JsonClient, JsonError};
#[cfg(feature = "per-key")]
pub use donjon_per_key as per_key;
#[cfg(feature = "per-key")]
pub use donjon_per_key::{ExceptLayer, PerKeyLayer};
#[cfg(feature = "rate-limit")]
pub use donjon_rate_limit as rate_limit;
#[cfg(feature = "rate-limit")]
pub use donjon_rate_limit::{Rate, RateLimitLayer};
#[cfg(feature = "retry")]
pub use donjon_retry as retry;
#[cfg(feature = "retry")]
pub use donjon_retry::RetryLayer;
#[cfg(feature = "store")]
pub use donjon_store as store;
#[cfg(feature = "store")]
pub use donjon_store::MemoryStore;
#[cfg(feature = "timeout")]
pub use donjon_timeout as timeout;
#[cfg(feature = "timeout")]
pub use donjon_timeout::{DeadlineLayer, TimeoutLayer};
#[cfg(feature = "reqwest")]
pub use donjon_transport::ReqwestTransport;
#[cfg(feature = "transport")]
pub use donjon_transport::{Transport, transport};
