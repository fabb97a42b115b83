//! One deadline for a whole request, a timeout for each attempt, and idle timeouts for bodies.
//!
//! - [`DeadlineLayer`]: outermost. One deadline over everything inside: readiness, queues, attempts, the sleeps between
//!   them, and with [`DeadlineLayer::http`] the response body. Everything inside can read it
//!   ([`Deadline::current`](donjon_core::Deadline::current)), and a client that is called inside of a server's handler
//!   inherits what is left.
//! - [`TimeoutLayer`]: inside of a retry. How long one attempt may take.
//! - [`IdleTimeoutLayer`], [`RequestIdleTimeoutLayer`]: how long a body may be silent.
//! - [`PropagateDeadlineLayer`]: right around the transport. Tells the next server how long is left.
//!
//! What it leaves out: it stops no work that runs elsewhere. A call that is given up is dropped, and what a server or a
//! spawned task does for it goes on unless it reads the deadline that it was told.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use donjon_core::{CallError, Phase, Reject, RejectionKind};
//! use donjon_timeout::{DeadlineLayer, TimeoutLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let hangs = service_fn(|_: u64| std::future::pending::<Result<u64, CallError>>());
//!
//! let deadline = DeadlineLayer::new(Duration::from_secs(5));
//! let attempt = TimeoutLayer::new(Duration::from_secs(1));
//! let stack = deadline.layer(attempt.layer(hangs));
//!
//! let error = stack.oneshot(1).await.unwrap_err();
//! let refusal = error.as_rejection().expect("the layer gave it up");
//! assert_eq!(refusal.kind(), RejectionKind::AttemptTimeout);
//! assert_eq!(refusal.phase(), Phase::Attempt);
//! assert_eq!(attempt.handle().stats().attempt, 1);
//! assert_eq!(deadline.handle().stats().total(), 0);
//! # });
//! ```
//!
//! For servers and bodies there is one at [`DeadlineLayer::http`].
//!
//! # When the time starts
//!
//! With the first poll of a call's future, and not with `call`. No timer is made and no clock is read unless the inner
//! call is pending or somebody asks for the deadline, so a call that is answered at once costs neither. What is ready
//! when the time is up wins: the inner future is polled once more before it is given up.
//!
//! # Sharing
//!
//! Clones of a layer, and all services and handles that it has made, share the setting and the stats;
//! [`Fresh::fresh`](donjon_core::Fresh::fresh) makes a layer of its own. A change through [`TimeoutHandle`] holds for
//! calls from then on.
//!
//! # Cancellation
//!
//! Nothing is spawned. A call that is dropped drops the inner one; a call that is given up drops the inner one before
//! the refusal is returned. A panic of the inner call is a panic of this one, and never a timeout.
//!
//! # Feature flags
//!
//! - `http` (on): the forms for HTTP, the body timeouts, [`PropagateDeadlineLayer`].

mod attempt;
mod deadline;
mod form;
mod handle;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod idle;
mod observe;
#[cfg(feature = "http")]
mod propagate;
mod shared;
mod timer;

pub use self::{
    attempt::{Timeout, TimeoutFuture, TimeoutLayer},
    deadline::{DeadlineFuture, DeadlineLayer, WithDeadline},
    form::{Any, Finish, Form},
    handle::{Stats, TimeoutHandle},
};
#[cfg(feature = "http")]
pub use self::{
    http::{AttemptTimeout, Http, RequestTimeout, TimedBody},
    idle::{IdleBody, IdleFuture, IdleTimeout, IdleTimeoutLayer, RequestIdleTimeout, RequestIdleTimeoutLayer},
    propagate::{PropagateDeadline, PropagateDeadlineLayer, PropagateFuture},
};
