//! Bound what is in flight: a tower concurrency limit with a bounded, deadline-aware queue.
//!
//! [`ConcurrencyLimitLayer`] admits at most so many calls at once. Those beyond wait in a queue, which has a bound and
//! a longest wait, both by default; whoever finds no place, waits too long, or cannot make its deadline is told so by a
//! [`Rejection`](donjon_core::Rejection) in the error type of the stack.
//!
//! - **Admission happens in `call`.** A service that is ready but not called holds nothing, so neither an idle clone
//!   nor an idle connection starves others. [`backpressure`](ConcurrencyLimitLayer::backpressure) is the opt-in for
//!   those who choose by readiness.
//! - **A call is in flight until it has answered**, even if its finished future stays alive. `http` holds on to the end
//!   of the response body; a socket that a request was upgraded to holds on with a [`HeldPermit`].
//! - **The queue is fair.** It is first in, first out by the order of `call`, and no newcomer passes those who wait: a
//!   permit that is given back goes to the first of them. [`two_lane`](ConcurrencyLimitLayer::two_lane) trades that
//!   for more answers in time when there is too much to do.
//! - **Deadlines count.** A call whose ambient [`Deadline`](donjon_core::Deadline) has passed is refused at the door,
//!   and one that waits gives up at its deadline: both are `DeadlineExceeded`, everything else is `Overloaded`.
//!
//! It does not find the right limit by itself, knows no priorities, and does not limit per time.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use donjon_concurrency_limit::ConcurrencyLimitLayer;
//! use donjon_core::{Rejection, RejectionKind};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let limit = ConcurrencyLimitLayer::new(1).queue(1).max_wait(Duration::from_millis(250));
//! let service = ServiceBuilder::new().layer(limit.clone()).service(service_fn(|n: u64| async move {
//!     tokio::time::sleep(Duration::from_millis(100)).await;
//!     Ok::<_, Rejection>(2 * n)
//! }));
//!
//! let call = |n| service.clone().oneshot(n);
//! let (first, second, third) = tokio::join!(call(1), call(2), call(3));
//! assert_eq!(first.unwrap(), 2);
//! assert_eq!(second.unwrap(), 4, "it has waited for the first");
//! assert_eq!(third.unwrap_err().kind(), RejectionKind::Overloaded, "one is in flight and one waits");
//!
//! limit.handle().set_max(2)?;
//! assert_eq!(limit.handle().stats().max_in_flight, 1);
//! # Ok::<(), donjon_core::OutOfRange>(()) }).unwrap();
//! ```
//!
//! # Sharing
//!
//! The limit, the queue, its bound and its order live in the layer value: clones of the layer, the services that it
//! makes, and their clones share them. axum applies a layer once per route and again per connection; the limit holds
//! over all of them. The longest wait, backpressure and when an HTTP call gives its permit back belong to each layer
//! value. [`Fresh::fresh`](donjon_core::Fresh::fresh) makes a limit of its own with the same settings;
//! [`handle`](ConcurrencyLimitLayer::handle) reads and turns the running one.
//!
//! # Cancellation
//!
//! Dropping a call at any time gives back what it holds: its place in the queue, or its permit, which goes to the next
//! caller at once, even if it was granted at that very moment. A panic of the inner service is a drop.
//!
//! # Cost
//!
//! Admitted at once, a call costs two atomic operations on one word and a reference count; it allocates nothing, takes
//! no lock, arms no timer, and reads the clock only if there is a deadline. A refusal at the door allocates nothing
//! either. A call that waits allocates once, and arms a timer when it is first polled.
//!
//! # Feature flags
//!
//! - `http` (on): `ConcurrencyLimitLayer::http`, which holds the permit to the end of the response body.

pub mod future;
mod handle;
#[cfg(feature = "http")]
mod http;
mod layer;
mod mode;
mod observe;
mod permit;
mod queue;
mod service;
mod state;
mod sync;
mod two_lane;
mod word;

#[cfg(feature = "http")]
pub use self::http::{Http, LimitedBody, ReleaseOn};
pub use self::{
    handle::{Handle, Stats},
    layer::ConcurrencyLimitLayer,
    mode::{Any, Mode},
    permit::{HeldPermit, Permit},
    service::ConcurrencyLimit,
};
