//! What coalescing does.

mod behaviour;
mod contract;
mod support;
