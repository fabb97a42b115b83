//! gRPC's words: what a status means, and where it is to be found.
//!
//! gRPC is HTTP/2 with an outcome of its own: the HTTP status is 200, and `grpc-status` says how it went. It stands in
//! the headers of the response if nothing else was to be said (*trailers-only*), and else in the trailers, after the
//! message. A retry sees only the head of a response, so three pieces belong together, from the outside in:
//!
//! - [`RefusalLayer`], outermost: what a layer refuses becomes a response with the right status, so that a client library
//!   (tonic's, say) reports `RESOURCE_EXHAUSTED` and not an unknown error.
//! - [`GrpcClassify`], the classifier of the retry: `RetryLayer::grpc()` in `donjon-retry` has it.
//! - [`StatusLayer`], around the transport: looks for the status before the head of the response is handed on, and
//!   leaves a failure with the head as a [`GrpcStatus`].
//!
//! A server needs only [`respond`](crate::respond()), which refuses calls of gRPC in gRPC's way.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use donjon_core::{CallError, Classify, Outcome, Sent};
//! use donjon_http::grpc::GrpcClassify;
//!
//! // 14 is UNAVAILABLE; the pushback says when to come back.
//! let response = http::Response::builder()
//!     .header("content-type", "application/grpc")
//!     .header("grpc-status", "14")
//!     .header("grpc-retry-pushback-ms", "250")
//!     .body(())?;
//! let result: Result<_, &CallError> = Ok(&response);
//! assert_eq!(
//!     GrpcClassify::new().classify(result),
//!     Outcome::Transient { sent: Sent::Answered, retry_after: Some(Duration::from_millis(250)) },
//! );
//! # Ok::<(), http::Error>(())
//! ```

mod classify;
mod found;
mod refusal;
mod status;
mod watched;

pub use self::{
    classify::GrpcClassify,
    found::{FindStatus, FindStatusFuture, HeadFirst, StatusLayer},
    refusal::{Refusal, RefusalFuture, RefusalLayer},
    status::{Code, GRPC_MESSAGE, GRPC_RETRY_PUSHBACK_MS, GRPC_STATUS, GrpcStatus, Pushback},
    watched::WatchedBody,
};
