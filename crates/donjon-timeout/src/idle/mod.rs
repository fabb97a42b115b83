//! A bound on the silence between two frames of a body.

mod body;
mod layer;
mod service;

pub use self::{
    body::IdleBody,
    layer::{IdleTimeoutLayer, RequestIdleTimeoutLayer},
    service::{IdleFuture, IdleTimeout, RequestIdleTimeout},
};
