//! What the store does.

mod memory;
