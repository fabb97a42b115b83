//! The behaviour of donjon-http, one module per concept.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod classify;
mod collect;
mod contract;
mod deadline_header;
mod grpc;
mod guarded;
mod idempotency;
mod key;
mod redact;
mod replay;
mod replay_readers;
mod respond;
mod retry_after;
mod support;
#[cfg(feature = "hyper")]
mod transport;
