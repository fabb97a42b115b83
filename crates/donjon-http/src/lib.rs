//! HTTP's words for donjon: what an HTTP answer means to retry, breaker and limit; which requests may be sent twice;
//! and the bodies, keys and responses that the layers need where the protocol is HTTP.
//!
//! - [`HttpClassify`]: the [`Outcome`](donjon_core::Outcome) of a response or of a transport error; [`retry_after`].
//! - [`idempotency`]: whether a request may be sent again when nobody knows whether it was acted on.
//! - [`ReplayLayer`]: request bodies that can be sent again. [`CollectLayer`]: response bodies that are read inside of
//!   the call, so that a torn one is a failure of the call. [`GuardedBody`]: a body that holds a permit to its end.
//! - [`key`]: which client, host or tenant a request belongs to.
//! - [`sharing`]: which requests are the same for all, and which answers many may have.
//! - [`respond`](respond()): refusals as responses, at the edge of a server.
//! - [`grpc`]: what a status of gRPC means, and where it is found.
//! - [`rate_limit`]: how a limit stands for a caller, in fields.
//! - [`deadline_header`]: what remains of a deadline, on the wire. [`redact`]: addresses without their secrets.
//!
//! What decides by these words (when to try again, whom to admit) is in the crates of the layers.
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
//! # Sharing
//!
//! Clones of a [`ReplayLayer`] share its counts; no other layer here has a state. Copies of one [`ReplayBody`] share
//! what was recorded of it, and are as many readers of one source.
//!
//! # Cancellation
//!
//! Dropping any future or body here at any point drops what it holds: the inner call, the body that is being read, the
//! guard. A copy of a [`ReplayBody`] that is dropped half-read leaves the others whole. Nothing is spawned.
//!
//! # Feature flags
//!
//! - `hyper` (on): recognise the errors of hyper, hyper-util's client and h2. Without it every transport error may have
//!   been sent, but a refused connection.

mod classify;
pub mod collect;
pub mod deadline_header;
pub mod grpc;
mod guarded;
pub mod idempotency;
pub mod key;
pub mod rate_limit;
pub mod redact;
pub mod replay;
pub mod respond;
pub mod retry_after;
pub mod sharing;

pub use self::{
    classify::{HttpClassify, error_outcome},
    collect::{CollectLayer, CollectedBody},
    guarded::GuardedBody,
    idempotency::Idempotent,
    replay::{ReplayBody, ReplayLayer},
    respond::{Respond, RespondBody, RespondLayer, problem_response, respond},
};
