//! One deadline for a whole request, a timeout for each attempt, and idle timeouts for bodies.

mod attempt;
mod deadline;
mod form;
mod handle;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod idle;
mod shared;
mod timer;

pub use self::{
    attempt::{Timeout, TimeoutFuture, TimeoutLayer},
    deadline::{DeadlineFuture, DeadlineLayer, WithDeadline},
    form::{Any, Finish, Form},
    handle::{Stats, TimeoutHandle},
};
#[cfg(feature = "http")]
pub use self::{
    http::{AttemptTimeout, Http, RequestTimeout, TimedBody},
    idle::{IdleBody, IdleFuture, IdleTimeout, IdleTimeoutLayer, RequestIdleTimeout, RequestIdleTimeoutLayer},
};
