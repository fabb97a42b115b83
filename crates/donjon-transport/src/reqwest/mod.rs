//! The same layers around `reqwest::Client`: an adapter between its requests and those of `http`.
//!
//! Whoever has a `reqwest::Client` already, with its proxies, cookies and certificates, keeps it; everything else is as
//! with [`Transport`](crate::Transport): bodies stream in both directions, a [`TransportError`](crate::TransportError)
//! says what was not sent, and the URL that reqwest puts into its errors is taken out, since it may hold a secret.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use donjon_concurrency_limit::ConcurrencyLimitLayer;
//! use donjon_core::CallError;
//! use donjon_json::JsonClient;
//! use donjon_retry::RetryLayer;
//! use donjon_timeout::{DeadlineLayer, TimeoutLayer};
//! use donjon_transport::ReqwestTransport;
//! use tower::ServiceBuilder;
//!
//! // What these layers do is left out of the client: see below.
//! let client = reqwest::Client::builder()
//!     .retry(reqwest::retry::never())
//!     .redirect(reqwest::redirect::Policy::none())
//!     .connect_timeout(Duration::from_secs(1))
//!     .build()?;
//! let stack = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(Duration::from_secs(5)))
//!     .layer(RetryLayer::http())
//!     .layer(ConcurrencyLimitLayer::http(64).queue(128))
//!     .layer(TimeoutLayer::new(Duration::from_secs(1)))
//!     .map_err(CallError::from)
//!     .service(ReqwestTransport::new(client).follows_redirects(false));
//! let api = JsonClient::new(stack).base("https://api.example.com")?;
//! # drop(api.get("/users/42").send::<String>());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What to switch off in reqwest
//!
//! - **Its retries** (`.retry(reqwest::retry::never())`): it sends a request again, without a word, when an HTTP/2 peer
//!   has not taken it. Two budgets of extra load multiply.
//! - **Its timeout** (`.timeout(..)`, none by default): a deadline belongs to the whole stack. Its `connect_timeout` is
//!   of use: an attempt that ends by it was not sent, and any method may be sent again.
//! - **Redirects** (`.redirect(Policy::none())`), unless they are wanted: reqwest follows ten by default, all of them
//!   inside of one attempt. A body that is neither `Full<Bytes>` nor empty cannot be sent to the next place. Which of its
//!   requests has failed reqwest does not say, so a POST that could not connect is not repeated unless the adapter is told
//!   that there are no redirects ([`follows_redirects`](ReqwestTransport::follows_redirects)).
//!
//! reqwest has no bound on its connections: each call of a burst opens one. The concurrency limit is what bounds them.

mod body;
mod future;
mod service;

pub use self::{body::ReqwestBody, future::ReqwestFuture, service::ReqwestTransport};
