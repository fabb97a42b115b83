//! A timeout for each attempt.

mod future;
mod layer;
mod service;

pub use self::{future::TimeoutFuture, layer::TimeoutLayer, service::Timeout};
