//! What the concurrency limit does.

mod behaviour;
