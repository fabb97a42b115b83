//! What the rate limit does.

mod contract;
