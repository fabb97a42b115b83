//! Refusals as responses, at the edge of a server.

mod body;
mod layer;
mod render;
mod service;

pub use self::{
    body::RespondBody,
    layer::{RespondLayer, respond},
    render::{Asked, Plain, Problem, Render, grpc_response, grpc_trailers, is_grpc, plain_response, problem_response},
    service::{Inside, InsideFuture, Respond, ResponseFuture},
};
