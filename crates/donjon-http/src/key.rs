//! Which state a request belongs to: extractors for the layers that keep one state a key.
//!
//! Each function makes an extractor, which is a [`Key`](donjon_core::Key) of any `http::Request`. A closure is as good:
//! `|request: &http::Request<Body>| request.headers().get("x-tenant").cloned()`.
//!
//! | Extractor | Key | Allocates |
//! |---|---|---|
//! | [`client_ip`] | `IpAddr` | no |
//! | [`authority`] | `http::uri::Authority` | only where it has to be parsed: from `Host`, or without user information |
//! | [`api_key`], [`header`] | `HeaderValue` | no, where its bytes are shared already, as hyper's are |
//! | [`path`] | `Box<str>` | yes |
//! | `.hashed()` of the three above | [`KeyHash`] | no |
//! | [`extension`] | a type of yours | as its `Clone` does |
//! | [`either`], [`both`] | [`Either`], a tuple | no |
//!
//! A key that shares its bytes keeps all of the buffer that they were read into, for as long as the key is kept: with
//! hyper, that of the whole head of the request, some kilobytes and at most some hundred. Where strangers choose the
//! keys, take `.hashed()`, which keeps nothing.
//!
//! # Example
//!
//! ```
//! use std::net::IpAddr;
//! use donjon_core::Key;
//! use donjon_http::key::{self, PeerAddr};
//!
//! let mut request = http::Request::get("/")
//!     .header("x-forwarded-for", "6.6.6.6, 203.0.113.7")
//!     .body(())?;
//! request.extensions_mut().insert(PeerAddr("10.0.0.1:4711".parse().unwrap()));
//!
//! // Nothing is trusted but the connection itself.
//! assert_eq!(key::client_ip().key(&request), Some(IpAddr::from([10, 0, 0, 1])));
//! // One proxy of ours is in front, and has appended whom it saw; what stood there before proves nothing.
//! assert_eq!(key::client_ip().behind(1).key(&request), Some(IpAddr::from([203, 0, 113, 7])));
//! # Ok::<(), http::Error>(())
//! ```

mod client_ip;
mod combined;
mod forwarded;
mod hashed;
mod parts;

pub use self::{
    client_ip::{ClientIp, PeerAddr, client_ip},
    combined::{BothOf, Either, EitherOf, Extension, both, either, extension},
    hashed::{Hashed, KeyHash},
    parts::{ApiKey, Authority, Header, Path, api_key, authority, header, path},
};
