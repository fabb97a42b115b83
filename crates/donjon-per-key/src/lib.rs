//! Any tower layer with one state per host, tenant or user: bounded, and never forgotten while in use.
//!
//! [`PerKeyLayer`] takes a key from each request, and sends the call through a [fresh](donjon_core::Fresh) layer that
//! belongs to this key: two calls in flight per host, twenty a second per user, a breaker for each tenant.
//! [`ExceptLayer`] leaves calls out of a layer by a predicate.
//!
//! - **A key delays no other.** There is no queue in front of the keys, and readiness is that of the inner service.
//! - **The number of keys is bounded**: 10,000 unless said. To make room, the key leaves that has not been used for the
//!   longest time (about: the order is kept by shard; up to 64 keys it is exact), and a key that has been idle for ten
//!   minutes leaves in any case, or later where the layer remembers for longer, as a slow rate limit does.
//! - **A key in use never leaves**: neither while a call of it is in flight, nor while anything holds its state, such as
//!   a response body with its permit (see [`Fresh::is_held`](donjon_core::Fresh::is_held)). When all keys are in use, a
//!   call with another one is refused as `Overloaded`, unless [said otherwise](PerKeyLayer::when_full).
//! - **A call without a key goes past the layer**, unless [said otherwise](PerKeyLayer::without_key).
//!
//! It extracts no keys: those of HTTP are in `donjon_http::key`, and any closure is an extractor. It does not join what
//! several processes know of a key.
//!
//! # Example
//!
//! ```
//! use donjon_concurrency_limit::ConcurrencyLimitLayer;
//! use donjon_core::{Rejection, RejectionKind};
//! use donjon_per_key::PerKeyLayer;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let limit = ConcurrencyLimitLayer::new(1).queue(0);
//! let per_tenant = PerKeyLayer::new(|request: &(&'static str, u64)| Some(request.0), limit);
//! let service = per_tenant.layer(service_fn(|(_, n): (&'static str, u64)| async move {
//!     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
//!     Ok::<_, Rejection>(2 * n)
//! }));
//!
//! let call = |tenant, n| service.clone().oneshot((tenant, n));
//! let (a, again, b) = tokio::join!(call("a", 1), call("a", 2), call("b", 3));
//! assert_eq!(a.unwrap(), 2);
//! assert_eq!(again.unwrap_err().kind(), RejectionKind::Overloaded, "one of this tenant is in flight");
//! assert_eq!(b.unwrap(), 6, "another tenant");
//!
//! let handle = per_tenant.handle();
//! assert_eq!(handle.stats().keys, 2);
//! assert_eq!(handle.with("a", |limit| limit.handle().stats().admitted), Some(1));
//! # });
//! ```
//!
//! Several layers for each key are a tuple, the first being the outermost:
//!
//! ```
//! use donjon_concurrency_limit::ConcurrencyLimitLayer;
//! use donjon_core::Rejection;
//! use donjon_http::key;
//! use donjon_per_key::{ExceptLayer, PerKeyLayer};
//! use http::Request;
//! use tower::{Layer, service_fn};
//!
//! let limit = ConcurrencyLimitLayer::new(2);
//! let small = ExceptLayer::new(|request: &Request<()>| request.uri().path() == "/", ConcurrencyLimitLayer::new(1));
//! let per_host = PerKeyLayer::new(key::authority(), (limit, small));
//! let service = per_host.layer(service_fn(|_: Request<()>| async { Ok::<_, Rejection>(()) }));
//! # fn is_service<R>(_: impl tower::Service<R>) {}
//! # is_service::<Request<()>>(service);
//! ```
//!
//! # What can be multiplied
//!
//! Any `L: Layer<S> + Fresh` whose services forward `poll_ready`, as all layers of donjon do. For each call, the layer of
//! the key is laid around the inner service that was readied, and the result is called: what a *service* keeps from one
//! call to the next (and does not share with its clones) is lost, what the *layer* keeps is the state of the key.
//!
//! # Sharing
//!
//! The keys, their states, the bounds and the figures live in the layer value: clones of the layer, the services that it
//! makes, and their clones share them. axum applies a layer once per route and again per connection; a user's limit holds
//! over all of them. What becomes of calls without a key or without room belongs to each layer value.
//! [`Fresh::fresh`](donjon_core::Fresh::fresh) makes a layer with keys of its own, so layers can be nested;
//! [`handle`](PerKeyLayer::handle) reads and turns the running one.
//!
//! # What an operator sees
//!
//! [`Handle::stats`] counts the keys, and the calls that were refused by the layers of all keys together; the figures are
//! those of [`Observe`](donjon_core::Observe) as well. The state of one key is seen through [`Handle::with`], and
//! [`Handle::with_template`] changes what the keys to come are given.
//!
//! There is an event ([`state_changed`](donjon_core::state_changed)) when a knob of the handle is turned; a warning when
//! a call finds no room since all keys are in use, and the matching event when there is room again, which is when new keys
//! have found it 64 times in a row (or as often as there may be keys, if these are fewer); and one warning when the first
//! call comes without a key.
//!
//! # Cancellation
//!
//! Dropping a call drops the call of the layer inside, and with it what that one holds; then the key is no longer in use
//! by it. A panic is a drop.
//!
//! # Cost
//!
//! For a key that has a state: the extraction, a hash, a lock of one shard for a look-up, a reference count, one clone of
//! the inner service, and what the layer costs to lay around a service (donjon's: reference counts). Nothing is
//! allocated, and the clock is read at every sixty-fourth call. A new key allocates its state, and reads the clock. A call
//! that is refused counts itself where those of all keys do.
//!
//! # Feature flags
//!
//! None.

mod except;
pub mod future;
mod handle;
mod kept;
mod keys;
mod layer;
mod lru;
mod observe;
mod room;
mod service;
mod sync;
mod unkeyed;

pub use self::{
    except::{Except, ExceptLayer},
    handle::{Handle, Stats},
    layer::PerKeyLayer,
    service::PerKey,
    unkeyed::Unkeyed,
};

/// The name of this layer in rejections.
pub(crate) const LAYER: &str = "per-key";
