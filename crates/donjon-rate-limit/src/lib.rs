//! Bound how much per time: a tower rate limit by GCRA, lock-free, that refuses or lets wait up to a bound.
//!
//! [`RateLimitLayer`] admits so many tokens' worth of calls each period, and so many at once. What is beyond is told by a
//! [`Rejection`](donjon_core::Rejection) in the error type of the stack, of the kind `RateLimited`, with the time after
//! which it would be admitted; or it waits for its turn, if the layer says for how long.
//!
//! - **A [`Rate`] is tokens per time**: `Rate::per_second(20).burst(60)` is twenty each second, and sixty at once. Over
//!   any window of time no more is admitted than `burst + rate × window`.
//! - **Admission happens in `call`.** A service that is ready but not called has taken nothing.
//! - **A token is spent when the call begins**, and does not come back when the call fails or is dropped: what is limited
//!   is how often the service is called.
//! - **Waiting is for turns.** With [`max_wait`](RateLimitLayer::max_wait), a call that finds no token is told when its
//!   turn is, or refused at once if that is too late for its patience or for its ambient
//!   [`Deadline`](donjon_core::Deadline). Nobody passes those who wait.
//! - **Requests may cost more than one token**: [`cost`](RateLimitLayer::cost). One that costs more than the burst is
//!   refused for good, and its refusal says no time to come back.
//! - **Rates change while running**: [`Handle::set_rate`].
//!
//! It keeps one limit. For one limit per user or host put it into a per-key layer, which makes it anew for each key with
//! [`Fresh`](donjon_core::Fresh). A [`Limiter`] of your own, that asks another machine, stands behind the same layer:
//! [`RateLimitLayer::with_limiter`].
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use donjon_core::{Rejection, RejectionKind};
//! use donjon_rate_limit::{Rate, RateLimitLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let limit = RateLimitLayer::new(Rate::per_second(10).burst(2));
//! let service = ServiceBuilder::new()
//!     .layer(limit.clone())
//!     .service(service_fn(|n: u64| async move { Ok::<_, Rejection>(2 * n) }));
//!
//! let call = |n| service.clone().oneshot(n);
//! assert_eq!(call(1).await.unwrap(), 2);
//! assert_eq!(call(2).await.unwrap(), 4);
//! let refused = call(3).await.unwrap_err();
//! assert_eq!(refused.kind(), RejectionKind::RateLimited);
//! assert_eq!(refused.retry_after(), Some(Duration::from_millis(100)));
//!
//! tokio::time::sleep(Duration::from_millis(100)).await;
//! assert_eq!(call(3).await.unwrap(), 6);
//!
//! limit.handle().set_rate(Rate::per_second(100))?;
//! assert_eq!(limit.handle().stats().refused, 1);
//! # Ok::<(), donjon_core::OutOfRange>(()) }).unwrap();
//! ```
//!
//! # Sharing
//!
//! The rate, what was taken of it, and those who wait live in the layer value: clones of the layer, the services that it
//! makes, and their clones share them. axum applies a layer once per route and again per connection; the limit holds
//! over all of them. The longest wait, the cost and what is said in responses belong to each layer value.
//! [`Fresh::fresh`](donjon_core::Fresh::fresh) makes a limit of its own, with all of its burst;
//! [`handle`](RateLimitLayer::handle) reads and turns the running one.
//!
//! # Cancellation
//!
//! Dropping a call that was admitted gives nothing back. Dropping one that waits gives back what it can without letting
//! anybody start too early. The last of those who wait leaves as if it had never come. The turn of one that leaves
//! others behind it stays where it is in time, and is for the next newcomer who is content with it; those behind keep
//! their own. A turn that nobody takes before its time has run over is lost: the limit then admits less, never more.
//!
//! Turns keep to the rate exactly. A call starts when its task is polled at its turn or after it: tokio's timers are up
//! to a millisecond late, and a future that is not polled starts when it is, however close to the one behind it.
//!
//! # Cost
//!
//! Admitted at once, a call costs one look at the clock, one compare-and-swap and one count; it allocates nothing, takes
//! no lock, and arms no timer. A refusal allocates nothing either. A call that waits allocates once, takes a lock when it
//! comes and when it goes, and arms a timer when it is first polled.
//!
//! # Feature flags
//!
//! - `http` (on): `RateLimitLayer::http`, the fields `RateLimit` and `RateLimit-Policy` in responses.

mod cell;
mod cost;
pub mod future;
mod gcra;
mod handle;
#[cfg(feature = "http")]
mod http;
mod layer;
mod ledger;
mod limiter;
mod local;
mod mode;
mod observe;
mod rate;
mod service;
mod sync;

#[cfg(feature = "http")]
pub use self::http::{Fields, Http};
pub use self::{
    cost::{Cost, One},
    handle::{Handle, Stats},
    layer::RateLimitLayer,
    limiter::{Ask, Limiter, Standing, Turn, Verdict},
    local::{LocalLimiter, LocalTurn},
    mode::{Any, Mode, Note, Nothing},
    rate::Rate,
    service::RateLimit,
};
