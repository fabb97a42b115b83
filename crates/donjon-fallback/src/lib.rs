//! A second answer: a tower fallback to a value, a function or another service, for chosen outcomes.
//!
//! [`FallbackLayer`] calls the inner service, classifies what comes of it, and where it has failed answers otherwise:
//!
//! - [`FallbackLayer::value`]: always with the same.
//! - [`FallbackLayer::function`]: by a function of the request and of the failure, which may also hand the failure on.
//! - [`FallbackLayer::service`]: by a second service, with the same request.
//!
//! Which outcomes are answered for is up to [`on`](FallbackLayer::on); without it, all failures are, refusals of inner
//! layers among them. A success passes as it is, and so does a failure of the second answer itself.
//!
//! It does not repeat (`donjon-retry` does), runs no two calls at once (`donjon-hedge` does), and answers for calls alone: a
//! service whose readiness fails, or is pending, has not been called.
//!
//! # Example
//!
//! ```
//! use donjon_core::{CallError, Outcome};
//! use donjon_fallback::FallbackLayer;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let prices = service_fn(|article: u64| async move {
//!     if article == 7 { Err(CallError::new("connection refused")) } else { Ok(100 * article) }
//! });
//! let list = service_fn(|article: u64| async move { Ok(99 * article) });
//!
//! let fallback = FallbackLayer::service(list).on(|outcome| matches!(outcome, Outcome::Transient { .. }));
//! let handle = fallback.handle();
//! let service = fallback.layer(prices);
//! assert_eq!(service.clone().oneshot(1).await?, 100);
//! assert_eq!(service.oneshot(7).await?, 693, "from the list");
//! assert_eq!(handle.stats().answered, 1);
//! # Ok::<(), CallError>(()) }).unwrap();
//! ```
//!
//! # Sharing
//!
//! Clones of a layer, and every service that it has made, share one set of figures; there is no other state.
//!
//! # Cancellation
//!
//! Dropping a call drops whatever of the two is running. Nothing is held that had to be given back.
//!
//! # What it costs
//!
//! A success costs what is kept of the call: for a value a reference count, for a function a copy of the request
//! ([`Replay`](donjon_core::Replay)), for a second service a copy and a clone of that service. Nothing of it allocates by
//! itself, no clock is read, and no timer is armed unless the second service is not ready and there is a deadline.
//!
//! # Feature flags
//!
//! - `http` (on): [`FallbackLayer::http`], which classifies responses by their status.

mod function;
mod future;
mod handle;
mod layer;
mod observe;
mod second;
mod service;
mod source;
mod value;

pub use self::{
    function::{Function, FunctionCall},
    future::ResponseFuture,
    handle::{Handle, Stats},
    layer::FallbackLayer,
    second::{Second, SecondCall, SecondFuture},
    service::Fallback,
    source::{Answer, Source},
    value::Value,
};
