//! Refusals as responses, at the edge of a server.

mod body;
mod layer;
mod render;
mod service;

pub(crate) use self::render::is_grpc;
pub use self::{
    body::RespondBody,
    layer::{RespondLayer, respond},
    render::{Asked, Plain, Problem, Render, grpc_response, plain_response, problem_response},
    service::{Inside, InsideFuture, Respond, ResponseFuture},
};
