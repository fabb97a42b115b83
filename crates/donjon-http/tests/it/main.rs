//! The behaviour of donjon-http, one module per concept.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod classify;
mod guarded;
mod idempotency;
mod retry_after;
