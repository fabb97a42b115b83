//! What the store does.

mod allocations;
mod answer;
mod capacity;
mod codec;
mod compile;
mod fills;
mod lifetime;
mod memory;
mod model;
mod tags;
mod threads;
