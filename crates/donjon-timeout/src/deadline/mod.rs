//! One deadline over a whole call.

mod future;
mod layer;
mod service;

pub use self::{future::DeadlineFuture, layer::DeadlineLayer, service::WithDeadline};
