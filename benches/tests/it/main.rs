//! Counted allocations.

mod json_allocations;
mod layer_allocations;
mod server_allocations;
