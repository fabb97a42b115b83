//! Call again: a tower retry layer with budget, jitter, Retry-After, idempotency and deadline.
//!
//! [`RetryLayer::http`] is right for HTTP clients as it is: it repeats what another attempt may mend (5xx but for those
//! that cannot, 408, 425, 429, transport errors), at most four attempts in all, with full jitter, within a [`Budget`],
//! and never later than the ambient deadline. What is not idempotent is repeated only if the peer cannot have acted on
//! it, and what an open circuit has refused is not. [`RetryLayer::grpc`] is for clients of gRPC. [`RetryLayer::new`] takes
//! any [`Policy`], for requests of any type; [`Standard`] is the ready-made one.
//!
//! It deliberately does not cut an attempt short (`donjon-timeout` does), and does not keep a body that streams
//! (`ReplayLayer` of `donjon-http` does).
//!
//! # Example
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use donjon_core::CallError;
//! use donjon_retry::{RetryLayer, Standard};
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! // Fails twice, then works.
//! static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
//! let upstream = service_fn(|request: u64| async move {
//!     match ATTEMPTS.fetch_add(1, Ordering::Relaxed) {
//!         0 | 1 => Err(CallError::new("connection reset")),
//!         _ => Ok(request * 2),
//!     }
//! });
//!
//! let layer = RetryLayer::new(Standard::new());
//! let handle = layer.handle();
//! let answer = layer.layer(upstream).oneshot(21).await.expect("the third attempt works");
//! assert_eq!(answer, 42);
//! assert_eq!(handle.stats().retries, 2);
//! # });
//! ```
//!
//! # Why it did not retry
//!
//! [`NoRetry`] names the reason, and it can be asked for in four ways: counted by reason in [`RetryHandle::stats`]; told
//! to [`RetryLayer::on_event`]; in the response's extensions as [`RetryInfo`], unless it succeeded at the first attempt
//! (HTTP); and, for errors too, in a [`RetryReport`] that the caller put into the request (HTTP).
//!
//! # What it costs
//!
//! A success at the first attempt clones the inner service and the request once, and looks at the budget: no allocation
//! (for HTTP the copy's own: two for a header map that is not empty), no clock, no timer, nothing shared that is written
//! while the budget is full. Only a [`Backoff`] that is scaled by the measured time reads the clock once an attempt. What
//! follows a failure costs one allocation, whatever the number of attempts.
//!
//! # Sharing
//!
//! Clones of a layer, and every service that it has made, share one budget, one source of jitter, one set of counters
//! and the knobs of [`RetryHandle`]. `fresh()` starts anew with the same settings.
//!
//! # Cancellation
//!
//! Dropping the future drops the attempt that is running. A retry that was not sent yet gives its token back to the
//! budget; one that was sent has spent it. Dropped calls that had begun to retry are counted as cancelled.
//!
//! # Feature flags
//!
//! - `http` (on): [`RetryLayer::http`], [`RetryLayer::grpc`], and what belongs to them.

mod call;
mod event;
mod future;
#[cfg(feature = "http")]
mod grpc;
mod handle;
#[cfg(feature = "http")]
mod http;
mod layer;
mod observe;
mod policy;
mod reason;
mod service;
mod state;

pub use donjon_budget::{Backoff, Budget, Hints, Jitter};

pub use self::{
    event::RetryEvent,
    future::ResponseFuture,
    handle::{RetryHandle, RetryStats},
    layer::RetryLayer,
    policy::{Discarded, NotReplayable, Plan, Policy, Standard},
    reason::{NoRetry, RetryInfo, RetryReport},
    service::Retry,
};
#[cfg(feature = "http")]
pub use self::{
    grpc::Grpc,
    http::{Drain, Http, RetryOverride},
};
