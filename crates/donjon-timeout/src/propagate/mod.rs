//! What remains of the deadline, told to the next server.

mod future;
mod layer;
mod service;

pub use self::{future::PropagateFuture, layer::PropagateDeadlineLayer, service::PropagateDeadline};
