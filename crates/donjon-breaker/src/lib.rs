//! Stop calling what fails: a tower circuit breaker with bounded probes, and client throttling.
//!
//! [`BreakerLayer`] counts what comes of the calls. When too many fail it opens: calls are refused at once with a
//! [`Rejection`](donjon_core::Rejection) that says when to come again, and the service has time to recover. Then a few
//! calls are let through as probes; when they succeed it closes.
//!
//! - **It opens by a score** ([`Trip::score`]): 7 calls into an outage, 17 where half of all calls fail, and falsely less
//!   than once in ten million calls at 5 %. Failures in a row, the rate of failures and the rate of slow calls over a
//!   sliding window are there too ([`Trip`]), and so is client throttling ([`Throttle`]).
//! - **Probes are bounded, and none is lost.** Each has a lease; one that is dropped gives its place to the next call, one
//!   that hangs has failed when its lease is over. Three in a row that were dropped have failed too, a lease after the first
//!   of them: a service that hangs is not probed for ever, though each caller leaves.
//! - **Late results do not count.** A call belongs to the state in which it was let in.
//! - **Outcomes are classified.** Refusals of inner layers and calls that were cancelled are not failures of the service,
//!   a `503` is one ([`BreakerLayer::http`]).
//! - **`Retry-After` keeps it open** at least until then: the furthest one of the failures that have opened it, and of those
//!   that come when it has ([`BreakerLayer::max_retry_after`]).
//!
//! It does not repeat, does not time out (put the timeout inside: see [`OnCancel`]), and has one circuit for all that goes
//! through it: put it on each endpoint, or into a layer per key.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use donjon_breaker::{BreakerLayer, State};
//! use donjon_core::{CallError, Reject, RejectionKind};
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let breaker = BreakerLayer::new();
//! let handle = breaker.handle();
//! let mut service = breaker.layer(service_fn(|up: bool| async move {
//!     if up { Ok("pong") } else { Err(CallError::new("connection refused")) }
//! }));
//!
//! for _ in 0..7 {
//!     service.ready().await?.call(false).await.unwrap_err();
//! }
//! assert_eq!(handle.state(), State::Open);
//!
//! let refused = service.ready().await?.call(true).await.unwrap_err();
//! let refused = refused.as_rejection().expect("the service was not called");
//! assert_eq!(refused.kind(), RejectionKind::CircuitOpen);
//!
//! tokio::time::sleep(refused.retry_after().expect("it knows when")).await;
//! for _ in 0..3 {
//!     assert_eq!(service.ready().await?.call(true).await?, "pong");
//! }
//! assert_eq!(handle.state(), State::Closed);
//! # Ok::<(), CallError>(()) }).unwrap();
//! ```
//!
//! # Sharing
//!
//! The circuit lives in the layer value: clones of the layer, the services that it makes, and their clones share it.
//! Over two different upstreams use a layer each, or [`Fresh::fresh`](donjon_core::Fresh::fresh): one that is down would
//! else shut off the other.
//!
//! # Cancellation
//!
//! Dropping a call counts as [`OnCancel`] says: by default as nothing, but for probes in a row. A panic of the inner
//! service is a drop. With [`backpressure`](BreakerLayer::backpressure) a service that waits to be ready and is dropped
//! leaves nothing behind.
//!
//! # What it costs
//!
//! A success while nothing fails is two loads of one word and a reference count; no lock is taken, and no clock is read. A
//! failure is a compare-and-swap; one that says `Retry-After` reads the clock and takes the lock too. Windows cost more
//! ([`Trip`]), and lock no more. A refusal reads the clock.
//!
//! A closed circuit allocates nothing, but for the places in which threads count their references: a layer has 16 of them,
//! and the first call of a thread in each allocates once. Nor does a refusal allocate.
//!
//! # Events
//!
//! With the feature `tracing` of `donjon-core` each change of the state is one event: `WARN` when it opens by itself, `INFO`
//! else ([`state_changed`](donjon_core::state_changed)).
//!
//! # Feature flags
//!
//! - `http` (on): `BreakerLayer::http`, which classifies responses by their status.

mod cancel;
mod circuit;
mod future;
mod gate;
mod handle;
mod layer;
mod observe;
mod running;
mod service;
mod settings;
mod shares;
mod sync;
mod tally;
mod throttle;
mod trip;
mod wait;
mod window;
mod word;

pub use self::{
    cancel::OnCancel,
    future::ResponseFuture,
    handle::{Handle, State, Stats, WindowStats},
    layer::BreakerLayer,
    service::Breaker,
    throttle::Throttle,
    trip::{Trip, Window},
};
