//! HTTP's words for donjon: what an HTTP answer means to retry, breaker and limit; which requests may be sent twice; and
//! the bodies, keys and responses that the layers need where the protocol is HTTP.
//!
//! - [`HttpClassify`]: the [`Outcome`](donjon_core::Outcome) of a response or of a transport error; [`retry_after`].
//! - [`idempotency`]: whether a request may be sent again when nobody knows whether it was acted on.
//! - [`GuardedBody`]: a response body that holds a permit, or any guard, to its end.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use donjon_core::{CallError, Classify, Outcome, Sent};
//! use donjon_http::HttpClassify;
//!
//! let classify = HttpClassify::new();
//! let response = http::Response::builder().status(503).header("retry-after", "2").body(())?;
//! let result: Result<_, &CallError> = Ok(&response);
//! assert_eq!(
//!     classify.classify(result),
//!     Outcome::Transient { sent: Sent::Answered, retry_after: Some(Duration::from_secs(2)) },
//! );
//! # Ok::<(), http::Error>(())
//! ```
//!
//! # Feature flags
//!
//! - `hyper` (on): recognise the errors of hyper, hyper-util's client and h2. Without it every transport error may have
//!   been sent, but a refused connection.

mod classify;
pub mod collect;
pub mod deadline_header;
mod guarded;
pub mod idempotency;
pub mod key;
pub mod redact;
pub mod replay;
pub mod respond;
pub mod retry_after;

pub use self::{
    classify::{HttpClassify, error_outcome},
    collect::{CollectLayer, CollectedBody},
    guarded::GuardedBody,
    idempotency::Idempotent,
    replay::{ReplayBody, ReplayLayer},
    respond::{Respond, RespondBody, RespondLayer, problem_response, respond},
};
