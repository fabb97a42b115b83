//! Typed JSON calls over any tower HTTP service, with errors that say what happened.
//!
//! A [`JsonClient`] stands on any `Service<http::Request<_>, Response = http::Response<_>>`: a transport, a whole stack
//! of layers over one, a router in memory. It fills path templates, encodes and decodes bodies, bounds what it reads,
//! and makes of everything that can go wrong a [`JsonError`] that names the call.
//!
//! It does not retry, limit, cache or time out: those are layers, under the client (where requests are HTTP) or around
//! it (where they are [`Call`]s; [`JsonClassify`] tells them what an error means). It has no cookies, no compression
//! and no forms.
//!
//! # Example
//!
//! ```
//! use donjon_json::JsonClient;
//! use serde::Deserialize;
//! # use bytes::Bytes;
//! # use http_body_util::Full;
//!
//! #[derive(Deserialize)]
//! struct User {
//!     name: String,
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # let stack = tower::service_fn(|request: http::Request<Full<Bytes>>| async move {
//! #     assert_eq!(request.uri(), "https://api.example.com/users/42?expand=teams");
//! #     Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::from(r#"{"name":"Ada"}"#))))
//! # });
//! let api = JsonClient::new(stack).base("https://api.example.com")?;
//!
//! let user: User = api.get("/users/{id}").path("id", 42).query_pair("expand", "teams").send().await?;
//! assert_eq!(user.name, "Ada");
//! # Ok::<(), donjon_json::JsonError>(())
//! # }).unwrap();
//! ```
//!
//! # What is read
//!
//! - A status from 200 to 299 is an answer; any other is an error of the kind [`Status`](JsonErrorKind::Status), with its
//!   headers, its body up to 64 KiB and its problem document (RFC 9457).
//! - A body is read up to 8 MiB ([`JsonClient::max_body`]); one that is longer is an error, before anything of it is
//!   read if its length is known.
//! - Its content type must be `application/json` or end in `+json`; without a content type it is taken as JSON.
//! - An empty body, as that of a `204`, is `null`: it makes `()` or `None`. [`Discard`] takes any body.
//! - What does not fit is named by its path, its place and what was expected; what follows behind the value is an error.
//! - Redirects are not followed unless [asked](JsonClient::follow_redirects).
//!
//! # Sharing
//!
//! Clones of a client share its settings; whether they share state below is up to the service. Calls go through `&self`,
//! and each readies a clone of the service for itself; as a `tower::Service` the client calls the instance that was
//! readied. [`JsonClient::boxed`] forgets the type of the stack.
//!
//! # Cancellation
//!
//! A call is one future over readiness, response and body. Dropping it at any point drops what is inside of it, and
//! nothing runs on. A deadline around it covers the body too; and where a body pends, the ambient
//! [`Deadline`](donjon_core::Deadline) ends its reading even if no layer does.
//!
//! # Feature flags
//!
//! None.

mod boxed;
mod builder;
mod call;
mod classify;
mod client;
mod decode;
mod error;
mod exchange;
pub mod future;
mod http_service;
mod media;
mod problem;
mod query;
mod redact;
mod redirect;
mod reply;
mod target;
mod url;

pub use self::{
    boxed::{BoxHttpFuture, BoxHttpService, BoxJsonClient},
    builder::CallBuilder,
    call::Call,
    classify::JsonClassify,
    client::JsonClient,
    decode::{Decode, DecodeCategory, DecodeError, Discard},
    error::{JsonError, JsonErrorKind},
    http_service::HttpService,
    problem::Problem,
    redact::RedactedUrl,
    reply::Reply,
};
