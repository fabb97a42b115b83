//! The vocabulary that all donjon middleware shares: what a refusal is, how an outcome is called, and until when
//! anybody may still work.
//!
//! - [`Rejection`] and [`Reject`]: a layer refused a call, and the error type that can carry it.
//! - [`error_chain`]: an error and all that is inside of it.
//! - [`Outcome`] and [`Classify`]: what came of a call, decided once and read by every layer.
//! - [`Deadline`], [`Scope`]: until when, on which attempt and how important; ambient, without plumbing.
//! - [`Replay`]: a request that can be sent again.
//! - [`Fresh`]: a layer that can start a new scope of state.
//! - [`Key`]: which state a request belongs to.
//! - [`Answer`]: at once or later, for what may stand on this machine or on another one.
//! - [`Clock`]: the wall clock, for protocols that speak of dates.
//! - [`Observe`]: what a handle shows to whoever collects figures.
//! - [`state_changed`]: what a layer says when its state changes.
//! - [`check_service`]: which bound of a stack fails, in a readable compile error.
//! - [`Quota`]: how a limit per time stands for a caller.
//! - [`Ratio`] and [`OutOfRange`]: settings that mean something at every value.
//!
//! There is no middleware here, and no HTTP but the [`Replay`] implementations behind the feature `http`.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use donjon_core::{CallError, Outcome, Reject, Rejection, RejectionKind};
//!
//! let refusal = Rejection::new(RejectionKind::Overloaded, "my-layer").with_retry_after(Duration::from_secs(1));
//! let error = CallError::from_rejection(refusal);
//!
//! assert_eq!(error.to_string(), "my-layer refused the call: overloaded");
//! let refusal = error.as_rejection().expect("it carries the refusal");
//! assert_eq!(refusal.outcome(), Outcome::Refused { retry_after: Some(Duration::from_secs(1)) });
//! ```
//!
//! # Feature flags
//!
//! - `http` (off): [`Replay`] for `http::Request` and for the bodies `Full`, `Empty` and `()`.
//! - `metrics` (off): the module `metrics`, which hands the figures of handles to the facade of that name.
//! - `tracing` (off): an event whenever the lasting state of a layer changes: [`state_changed`].

mod answer;
mod call_error;
mod check;
mod classify;
mod clock;
mod deadline;
mod error_chain;
mod fresh;
#[cfg(feature = "http")]
mod http;
mod key;
#[cfg(feature = "metrics")]
pub mod metrics;
mod observe;
mod outcome;
mod quota;
mod ratio;
mod reject;
mod rejection;
mod replay;
mod scope;
mod trace;

pub use self::{
    answer::{Answer, AnswerFuture, Never},
    call_error::{BoxError, CallError},
    check::check_service,
    classify::{Classify, ClassifyRejection},
    clock::{Clock, SystemClock, TokioClock},
    deadline::Deadline,
    error_chain::error_chain,
    fresh::Fresh,
    key::Key,
    observe::{Figure, FigureValue, Observe},
    outcome::{Outcome, Sent},
    quota::Quota,
    ratio::{OutOfRange, Ratio},
    reject::Reject,
    rejection::{Phase, Rejection, RejectionKind},
    replay::Replay,
    scope::{Criticality, Scope, Scoped},
    trace::{state_changed, state_worsened},
};
