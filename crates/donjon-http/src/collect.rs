//! Response bodies that are read inside of the call.
//!
//! A call is done when the head of the response is there; what happens to its body afterwards, no retry can see.
//! [`CollectLayer`] goes inside of the retry, around the transport, and reads the body first: a connection that breaks
//! in the middle of the answer is then an error of the call, with the outcome `Transient { sent: Answered }`, and may
//! be tried again. The error is a [`Rejection`](donjon_core::Rejection) of the kind `BodyIncomplete`, whose source is
//! the error of the body.
//!
//! - **Capped.** At most [`DEFAULT_CAP`] bytes of data are waited for, unless said. What is larger streams on from
//!   there: the caller gets what was read, and then the rest as it comes. If the response announces more than the cap,
//!   it streams at once.
//! - **Only what succeeded.** The body of a response whose status is not 2xx streams: what it says of the outcome is
//!   said already, and reading it would make a failure slower.
//! - **Not what is a stream by design.** `text/event-stream`, `multipart/x-mixed-replace` and `application/grpc` stream
//!   at once: their first part matters before the last is there.
//! - **In time.** Reading is part of the future of the call, so a deadline or an attempt timeout around it covers the
//!   body. Dropping the future at any point drops the body, which closes or resets what it came from.
//!
//! Trailers are kept.

mod body;
mod future;
mod layer;

pub(crate) use self::future::{EMPTY_FRAMES, incomplete};
pub use self::{
    body::CollectedBody,
    future::{ResponseFuture, announced, is_bounded},
    layer::{Collect, CollectLayer},
};

/// How many bytes of a response are waited for, unless said: 1 MiB.
pub const DEFAULT_CAP: usize = 1024 * 1024;
