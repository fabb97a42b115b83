use std::time::Duration;

use donjon_core::{Classify, Outcome, Replay};
use donjon_http::{Idempotent, grpc::GrpcClassify};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Body;

use crate::{Backoff, Drain, Http, NotReplayable, Plan, Policy, RetryInfo, RetryLayer};

/// The request field by which gRPC says how many attempts went before this one.
const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// The policy of [`RetryLayer::grpc`].
///
/// | Question | Answer |
/// |---|---|
/// | what came of it | [`GrpcClassify`]: `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED` and transport errors may be mended |
/// | may it be sent twice | where [`idempotent`](RetryLayer::idempotent) says so of its path, or the extension [`Idempotent`] of the request; else only if the peer cannot have acted on it |
/// | can it be sent twice | if the body can ([`Replay`]); under a `ReplayLayer`, any body |
/// | this request alone | the extensions `RetryOverride` and `RetryReport`, as with HTTP |
/// | how long to wait | exactly the server's pushback, after which the waits begin again; a negative one, or one that is no number, means not at all |
/// | marks | from the second attempt on `grpc-previous-rpc-attempts` |
#[derive(Clone, Debug)]
#[must_use]
pub struct Grpc<C = GrpcClassify> {
    http: Http<C>,
    idempotent: fn(&str) -> bool,
}

// ===== impl RetryLayer =====

impl RetryLayer<Grpc> {
    /// For clients of gRPC: the policy [`Grpc`], at most 4 attempts in all, and a budget of its own. Waits begin at 50 ms
    /// and double up to 20 s, more or less a fifth; a server's pushback is followed exactly (gRFC A6).
    ///
    /// A call is over when the head of its response is there. For a status in the trailers to count, put a `StatusLayer`
    /// of `donjon_http::grpc` inside; for a library that streams its requests, as tonic does, put a `ReplayLayer` outside.
    ///
    /// No method of gRPC says by itself that it may be called twice, so by default only what the peer cannot have acted
    /// on is sent again: see [`idempotent`](Self::idempotent).
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use bytes::Bytes;
    /// use donjon_core::CallError;
    /// use donjon_retry::RetryLayer;
    /// use http::{Request, Response};
    /// use http_body_util::{Empty, Full};
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
    /// let upstream = service_fn(|_: Request<Empty<Bytes>>| async {
    ///     let status = if ATTEMPTS.fetch_add(1, Ordering::Relaxed) == 0 { "14" } else { "0" };
    ///     let response = Response::builder().header("content-type", "application/grpc").header("grpc-status", status);
    ///     Ok::<_, CallError>(response.body(Full::new(Bytes::new()))?)
    /// });
    ///
    /// let client = RetryLayer::grpc().idempotent(|path| path.starts_with("/shop.Catalogue/")).layer(upstream);
    /// let request = Request::post("/shop.Catalogue/Find").body(Empty::new()).expect("a valid request");
    /// let response = client.oneshot(request).await.expect("the second attempt works");
    /// assert_eq!(response.headers()["grpc-status"], "0");
    /// # });
    /// ```
    pub fn grpc() -> Self {
        Self::new(Grpc::new()).backoff(Backoff::grpc(Duration::from_millis(50), Duration::from_secs(20)))
    }
}

impl<C> RetryLayer<Grpc<C>> {
    /// Of which methods calling twice is the same as calling once: `path` is `/package.Service/Method`. Default: of none.
    /// The extension [`Idempotent`] of a request goes before it.
    pub fn idempotent(self, idempotent: fn(path: &str) -> bool) -> Self {
        self.map_policy(|grpc| Grpc { idempotent, ..grpc })
    }
}

// ===== impl Grpc =====

impl Grpc {
    /// The defaults that the table says.
    pub const fn new() -> Self {
        Self { http: Http::classified_by(GrpcClassify::new()), idempotent: |_| false }
    }
}

impl<C> Grpc<C> {
    /// See [`RetryLayer::idempotent`].
    pub const fn idempotent(mut self, idempotent: fn(path: &str) -> bool) -> Self {
        self.idempotent = idempotent;
        self
    }

    /// Another classifier of responses and errors.
    pub fn classify<D>(self, classify: D) -> Grpc<D> {
        Grpc { http: self.http.classify(classify), idempotent: self.idempotent }
    }
}

impl Default for Grpc {
    fn default() -> Self {
        Self::new()
    }
}

impl<C, A, B, E> Policy<Request<A>, Response<B>, E> for Grpc<C>
where
    C: Classify<Response<B>, E>,
    A: Replay,
    B: Body,
{
    type Discard = Drain<B>;

    fn plan(&self, req: &Request<A>) -> Plan {
        let idempotent = match req.extensions().get::<Idempotent>() {
            Some(&Idempotent(said)) => said,
            None => (self.idempotent)(req.uri().path()),
        };
        Policy::<_, Response<B>, E>::plan(&self.http, req).idempotent(idempotent)
    }

    fn replay(&self, req: &Request<A>) -> Result<Request<A>, NotReplayable> {
        NotReplayable::unless(req.replay(), req)
    }

    fn check(&self, kept: &Request<A>) -> Result<(), NotReplayable> {
        NotReplayable::unless(kept.is_intact().then_some(()), kept)
    }

    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        Policy::<Request<A>, _, _>::classify(&self.http, result)
    }

    fn prepare(&self, req: &mut Request<A>, attempt: u32) {
        req.headers_mut().insert(PREVIOUS_ATTEMPTS, HeaderValue::from(attempt.saturating_sub(1)));
    }

    fn attach(&self, result: &mut Result<Response<B>, E>, info: RetryInfo) {
        Policy::<Request<A>, _, _>::attach(&self.http, result, info);
    }

    fn discard(&self, response: Response<B>) -> Drain<B> {
        Policy::<Request<A>, Response<B>, E>::discard(&self.http, response)
    }
}
