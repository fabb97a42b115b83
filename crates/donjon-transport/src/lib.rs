//! The ends of donjon's client stacks: a pooled HTTP client, by hyper-util with rustls.
//!
//! [`transport`] gives a `Service<http::Request<B>>` for any request body: HTTP/1.1 and HTTP/2, with TLS by rustls
//! (ring and the webpki roots, given explicitly: no process-wide default is read or set), a connect timeout, a real
//! bound on the open connections per origin, and a pool of idle ones. [`Transport::builder`] changes each of them.
//!
//! It deliberately leaves out what a layer does better: it does not repeat (hyper-util's own retry is off), does not
//! follow redirects, does not decompress, has no timeout but that of connecting, and ends nothing at a deadline.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use donjon_transport::transport;
//! use http_body_util::{BodyExt, Empty};
//! use tower::ServiceExt;
//!
//! # use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpListener};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let listener = TcpListener::bind("127.0.0.1:0").await?;
//! # let address = listener.local_addr()?;
//! # tokio::spawn(async move {
//! #     let (mut io, _) = listener.accept().await.unwrap();
//! #     let mut head = [0; 1024];
//! #     let _ = io.read(&mut head).await;
//! #     io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await.unwrap();
//! # });
//! let client = transport();
//! let request = http::Request::get(format!("http://{address}/greeting")).body(Empty::<Bytes>::new())?;
//! let response = client.oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! What belongs around a client and what around its connector, with hyper-util's own clients and pools too, stands in
//! [`layers`].
//!
//! # Sharing
//!
//! Clones of a [`Transport`] share one pool and one bound on connections. Two built apart share nothing. It must be
//! used inside of a tokio runtime: each connection has a task there, which ends with it.
//!
//! # Connections per origin
//!
//! At most [`connections_per_host`](TransportBuilder::connections_per_host) connections (100 by default) are open, or
//! being opened, to one origin (scheme, host and port) at a time; idle ones in the pool count. A call takes an idle
//! connection if there is one; otherwise it opens one; at the bound it waits, in the order of arrival, for whichever
//! comes first: a connection that becomes idle, or one that closes and so makes room. It waits no longer than the
//! connect timeout and the ambient [`Deadline`](donjon_core::Deadline), and is then refused with a
//! [`Rejection`](donjon_core::Rejection) of the kind `Overloaded` or `DeadlineExceeded`, without having been sent.
//!
//! Over HTTP/2 the calls to an origin share one connection, and the bound is on connections, not on calls. Where ALPN
//! chooses, the first calls to an origin each begin to open one, within the bound, until one of them turns out to speak
//! HTTP/2; with [`http2_only`](TransportBuilder::http2_only) one at a time does, and the others wait for it.
//!
//! # Cancellation
//!
//! Dropping the future of a call ends the call: one that waits leaves its place, one that is connecting closes the
//! socket, and one that was sent closes its HTTP/1.1 connection (an HTTP/2 connection lives on and its stream is reset).
//! A response body that is dropped half-read does the same. In each case the place under the bound is free again
//! as soon as the socket is closed.
//!
//! # Errors
//!
//! [`TransportError`] keeps hyper-util's and hyper's errors as its [`source`](std::error::Error::source), so that a
//! classifier can tell what was not sent; it also says itself what happened, by [`TransportError::kind`].
//!
//! # Feature flags
//!
//! - `tls` (default): HTTPS. Without it an `https` URL is an error that says so.
//! - `http2` (default): HTTP/2, by ALPN under TLS, or by prior knowledge.
//! - `reqwest`: [`ReqwestTransport`], so that the same layers go around a `reqwest::Client`. What reqwest itself can
//!   (TLS, HTTP/2, cookies, …) is chosen by the features of a dependency on reqwest.

mod background;
mod body;
mod builder;
mod connector;
mod error;
mod limit;
mod origin;
#[cfg(feature = "reqwest")]
pub mod reqwest;
mod service;
#[cfg(feature = "tls")]
mod tls;

pub mod future;
pub mod layers;

#[cfg(feature = "reqwest")]
pub use self::reqwest::ReqwestTransport;
#[cfg(feature = "tls")]
pub use self::tls::{InvalidCertificate, RootCertificate};
pub use self::{
    body::TransportBody,
    builder::TransportBuilder,
    error::{TransportError, TransportErrorKind},
    service::{Transport, transport},
};
