//! The forms for HTTP: time on the wire, for one request, and over bodies.

mod body;
mod form;
mod request;

pub use self::{
    body::TimedBody,
    form::Http,
    request::{AttemptTimeout, RequestTimeout},
};
