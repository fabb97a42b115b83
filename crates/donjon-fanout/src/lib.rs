//! Many requests at once over any tower service: bounded in flight, as they complete or in order, the first success,
//! a quorum, or all of them.
//!
//! [`FanOutExt::fan_out`] takes pairs of a key and a request, from an iterator or a stream that is read lazily, and
//! calls a clone of the service for each: at most [`at_once`](FanOut::at_once) in flight (10 unless said). One failure
//! never ends the rest, and each key gets exactly one result.
//!
//! It deliberately leaves out what layers of the service do better: it repeats nothing, and it shares no bound with
//! other fan-outs; put a retry and a concurrency limit into the stack that is called. Nothing is spawned: the calls make
//! progress while the stream or future is polled.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use donjon_core::CallError;
//! use donjon_fanout::FanOutExt;
//! use tower::{ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let square = service_fn(|n: u64| async move { Ok::<_, Infallible>(n * n) }).map_err(CallError::from);
//!
//! let mut replies = square.fan_out((1..=100).map(|n| (n, n))).at_once(10).as_completed();
//! let mut sum = 0;
//! while let Some((n, reply)) = replies.next().await {
//!     assert_eq!(reply.unwrap(), n * n);
//!     sum += n;
//! }
//! assert_eq!(sum, 5050);
//! # });
//! ```
//!
//! # What comes back
//!
//! | Method | Gives |
//! |---|---|
//! | [`as_completed`](FanOut::as_completed) | a stream of `(key, result)`, whichever is done first |
//! | [`in_order`](FanOut::in_order) | the same in the order of the requests |
//! | [`collect`](FanOut::collect) | all `(key, result)` in a collection of choice |
//! | [`first_ok`](FanOut::first_ok) | the first success; the rest is cancelled |
//! | [`quorum`](FanOut::quorum) | the first `k` successes; the rest is cancelled |
//!
//! # Deadline
//!
//! [`deadline`](FanOut::deadline) is one for all of them, and the ambient [`Deadline`](donjon_core::Deadline) of wherever
//! the stream or future is polled holds as well; the calls inside see the earlier one. When it passes, what is in
//! flight is cancelled, nothing more is started, and each of them gets a
//! [`Rejection`](donjon_core::Rejection) of the kind `DeadlineExceeded`, whose phase says how far it had come.
//!
//! # Sharing
//!
//! Two fan-outs share what the clones of the service share, and nothing else.
//!
//! # Cancellation
//!
//! Dropping the stream or future cancels all calls that are in flight. `next` is cancel-safe: dropping its future loses
//! nothing. A panic in a call, in a clone or in the source goes through to whoever polls; what is in flight is dropped
//! at once, and the stream has ended.
//!
//! # Feature flags
//!
//! None.

mod as_completed;
mod collect;
mod engine;
mod ext;
mod fan_out;
mod in_order;
mod item;
mod quorum;
mod source;

pub use self::{
    as_completed::AsCompleted,
    collect::Collect,
    ext::FanOutExt,
    fan_out::FanOut,
    in_order::InOrder,
    quorum::{AnyOk, By, FirstOk, Judge, NotEnough, Quorum},
    source::{FromIter, FromStream},
};
