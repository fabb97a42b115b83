//! `Replay` for the types of `http`, which only the crate of the trait may implement.

use bytes::{Buf, Bytes};
use http::Request;
use http_body_util::{Empty, Full};

use crate::Replay;

/// Copies method, URI, version, headers and extensions, and replays the body; `None` if the body cannot.
impl<B: Replay> Replay for Request<B> {
    fn replay(&self) -> Option<Self> {
        let body = self.body().replay()?;
        let mut copy = Request::new(body);
        *copy.method_mut() = self.method().clone();
        *copy.uri_mut() = self.uri().clone();
        *copy.version_mut() = self.version();
        if !self.headers().is_empty() {
            *copy.headers_mut() = self.headers().clone();
        }
        if !self.extensions().is_empty() {
            *copy.extensions_mut() = self.extensions().clone();
        }
        Some(copy)
    }

    fn is_intact(&self) -> bool {
        self.body().is_intact()
    }

    fn refusal(&self) -> Option<&'static str> {
        self.body().refusal()
    }
}

impl<D: Buf + Clone> Replay for Full<D> {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl<D> Replay for Empty<D> {
    fn replay(&self) -> Option<Self> {
        Some(Self::new())
    }
}

impl Replay for Bytes {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }
}
