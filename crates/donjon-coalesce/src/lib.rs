//! Many waiters, one call: single-flight with promotion, as a primitive and as a tower layer.
//!
//! While the call of a key is in flight, [`CoalesceLayer`] lets others with that key join it instead of calling again: a
//! hundred callers that miss a cache at once are one call of the service behind. [`Flights`] is the same without a
//! service.
//!
//! - **The call belongs to those who wait for it.** Whoever started it drives it. If that one is dropped, or its deadline
//!   passes, the next one is woken and goes on with the same call: it does not start again. The last to leave ends it.
//! - **Whoever drives in the end gets the end as it is**, an error included; the others get a clone of the answer, or a
//!   [`Rejection`](donjon_core::Rejection) of kind `Shared`, with the outcome of the failure and its words behind an
//!   `Arc`. So a response has to be `Clone`, and an error has not.
//! - **Nobody suffers what was not meant for all.** A panic is the driver's own: the key is free, and the others start
//!   again. So they do when the call was ended by the deadline of one that had less time, or was refused to one that is
//!   less important, and each makes a call of its own if the answer turns out to be for one alone.
//! - **Each caller has its own deadline**, the ambient [`Deadline`](donjon_core::Deadline), and gives up at it.
//! - **Followers are bounded**: 1,024 a call unless said. Those beyond are refused as `Overloaded`, since letting them
//!   through would send to a slow service what it is being spared.
//!
//! It remembers nothing: when a call has ended, the next caller makes another. That is the work of a cache.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use donjon_coalesce::CoalesceLayer;
//! use donjon_core::Rejection;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let coalesce = CoalesceLayer::new(|n: &u64| Some(*n));
//! let service = coalesce.layer(service_fn(|n: u64| async move {
//!     tokio::time::sleep(Duration::from_millis(10)).await;
//!     Ok::<_, Rejection>(2 * n)
//! }));
//!
//! let call = |n| service.clone().oneshot(n);
//! let (first, second, other) = tokio::join!(call(21), call(21), call(5));
//! assert_eq!((first.unwrap(), second.unwrap(), other.unwrap()), (42, 42, 10));
//! assert_eq!(coalesce.handle().stats().started, 2);
//! # });
//! ```
//!
//! HTTP, by a strict rule (see `HttpRequests` and `HttpResponses`):
//!
//! ```
//! # #[cfg(feature = "http")] {
//! use bytes::Bytes;
//! use donjon_coalesce::CoalesceLayer;
//! use donjon_core::CallError;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let coalesce = CoalesceLayer::http();
//! let service = coalesce.layer(service_fn(|_: Request<Full<Bytes>>| async {
//!     tokio::task::yield_now().await;
//!     Ok::<_, CallError>(Response::new(Full::<Bytes>::from("hello")))
//! }));
//! let get = |user: Option<&'static str>| {
//!     let mut request = Request::new(Full::default());
//!     if let Some(user) = user {
//!         request.headers_mut().insert("authorization", user.parse().expect("it is a value"));
//!     }
//!     service.clone().oneshot(request)
//! };
//!
//! let (a, b) = tokio::join!(get(None), get(None));
//! assert!(a.is_ok() && b.is_ok());
//! assert_eq!(coalesce.handle().stats().started, 1, "anybody gets the same");
//!
//! let (a, b) = tokio::join!(get(Some("Ada")), get(Some("Bob")));
//! assert!(a.is_ok() && b.is_ok());
//! assert_eq!(coalesce.handle().stats().passed, 2, "two users make two calls");
//! # });
//! # }
//! ```
//!
//! # Whose answer it is
//!
//! **The key is the whole of the rule**: callers with equal keys get one answer. What the answer depends on has to be in
//! the key, and what is one user's has to be kept apart by it, or to have no key (`None`). A layer over two upstreams
//! wants [`fresh`](donjon_core::Fresh::fresh) for one of them, or the authority in its key. Only what is safe to make
//! once for many is to have a key: not a payment.
//!
//! An answer may be **older than the call** that gets it: it was asked for when the first caller came. One that has just
//! written, and reads what it wrote, may join a call from before; give such a request no key.
//!
//! A call that asks for its own key from within, through the same layer, waits for itself.
//!
//! # Deadlines and importance
//!
//! The inner call runs in the ambient scope of whoever polls it: first that of the caller that started it, later that of
//! the one that was promoted. Scopes only shorten, so nobody sees more time than it has. Promotion polls the call once, so
//! that what asks for the deadline sees the new one.
//!
//! An inner layer may have fixed the first caller's deadline (a queue does when it is entered), and then ends the call at
//! that instant though its driver is another by now. Such an end is known by its kind, `DeadlineExceeded`: those who have
//! more time than anybody who has driven the call start again, together; the others share it. Before that instant only a
//! refusal that was not sent counts as one for want of time: a time limit inside of the layer that is shorter than the
//! deadlines outside is the same for all, and shared.
//!
//! The criticality of the scope is handled alike: those who are more important than anybody who has driven the call do
//! not share its `Overloaded`, and start again.
//!
//! The phase of a caller that gives up is `Attempt` once the inner service was called; before that it is `Ready` for the
//! driver, and `Queue` for the others.
//!
//! # Sharing
//!
//! The calls in flight, the bound and the figures live in the layer value: clones of the layer, the services that it
//! makes, and their clones share them. Services with other types of key, response or error have calls of their own.
//! [`Fresh::fresh`](donjon_core::Fresh::fresh) makes a layer with calls of its own; [`handle`](CoalesceLayer::handle)
//! reads and turns the running one.
//!
//! # Cancellation
//!
//! Nothing happens before the first poll. After that, dropping a caller makes it leave: see above. A panic of the inner
//! service is the end of that call, and of the driver alone.
//!
//! The call is polled by its driver; when it has to be polled, one other is woken besides. If the driver comes, that one
//! has nothing to do; if the driver is kept without being polled, as in a stream whose consumer is busy, that one polls the
//! call in its place, provided that it has no less time and is no less important. The end is the driver's all the same:
//! its error, its panic.
//!
//! # Cost
//!
//! The layer is always ready, and readies a clone of the inner service inside the call. A call that nobody joins allocates
//! twice: its entry, and the box of the running call, which makes the inner future `Send + 'static` (this is the one layer
//! that asks for it). Those who join allocate next to nothing. A lock is held to find the key and to leave it, and one to
//! look at a call that is pending or has been joined, none while foreign code runs, but for the comparison of keys and the
//! clone of a waker. A timer is armed, and the clock read, only if a caller has a deadline and has to wait. Keys are hashed
//! with a seed of the layer's own, by a fast hash that is no cryptographic one.
//!
//! # Feature flags
//!
//! - `http` (on): `CoalesceLayer::http`, with the strict key of requests and the rule of which answers may be shared.

mod call;
mod cause;
mod control;
mod flight;
mod flights;
pub mod future;
mod handle;
#[cfg(feature = "http")]
mod http;
mod joined;
mod layer;
mod means;
mod observe;
mod registry;
mod seat;
mod service;
mod share;
mod state;
mod sync;

#[cfg(feature = "http")]
pub use self::http::{HttpKey, HttpRequests, HttpResponses};
pub use self::{
    call::{Alone, Call},
    control::Stats,
    flights::{Again, Flights, Lead, Role},
    handle::Handle,
    joined::{Joined, Landing},
    layer::CoalesceLayer,
    service::Coalesce,
    share::{Anything, Classified, Share},
    state::Run,
};

/// The name of this layer in rejections.
pub(crate) const LAYER: &str = "coalesce";
