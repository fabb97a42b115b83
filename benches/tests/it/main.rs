//! Counted allocations.

mod json_allocations;
