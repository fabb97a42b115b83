//! The innermost service of every check: it does what it is told, and notes all that is done to it.

mod error;
mod future;
mod handle;
mod reply;
mod script;
mod service;
mod state;

pub(crate) use self::error::ProbePanic;
pub use self::{
    error::ProbeError,
    future::ProbeFuture,
    handle::ProbeHandle,
    reply::Reply,
    script::Script,
    service::Probe,
    state::{ProbeStats, Readiness, Started, Violation},
};
