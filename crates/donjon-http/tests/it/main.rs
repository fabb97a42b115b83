//! The behaviour of donjon-http, one module per concept.

mod classify;
mod guarded;
mod idempotency;
mod retry_after;
