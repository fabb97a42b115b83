use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Buf;
use donjon_core::{Classify, Deadline, Outcome, Replay};
use donjon_http::{HttpClassify, idempotency};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use crate::{NotReplayable, Plan, Policy, RetryInfo, RetryLayer, RetryReport};

/// The policy of [`RetryLayer::http`].
///
/// | Question | Answer |
/// |---|---|
/// | what came of it | [`HttpClassify`]: 408, 425, 429, 5xx but 501 and 505, and transport errors may be mended |
/// | may it be sent twice | by method, `Idempotency-Key` or the extension `Idempotent` ([`idempotency::is_idempotent`]) |
/// | can it be sent twice | if the body can ([`Replay`]): `Full` and `Empty` do; under a `ReplayLayer`, any body |
/// | this request alone | the extensions [`RetryOverride`] and [`RetryReport`] |
/// | a failed response | is read up to 64 KiB or for 50 ms (near the deadline less), so that its connection can be used again, then dropped |
#[derive(Clone, Debug)]
#[must_use]
pub struct Http<C = HttpClassify> {
    classify: C,
    attempt_header: Option<HeaderName>,
    drain_bytes: u64,
    drain_time: Duration,
}

/// Other retries for this one request, as an extension of it.
///
/// ```
/// use donjon_retry::RetryOverride;
///
/// let mut request = http::Request::get("/health").body(())?;
/// request.extensions_mut().insert(RetryOverride::off());
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct RetryOverride {
    max_attempts: u32,
}

pin_project! {
    /// Reads what is left of a response that will be retried, within a bound of bytes and of time.
    #[must_use = "futures do nothing unless polled"]
    pub struct Drain<B> {
        #[pin]
        body: B,
        bytes: u64,
        time: Duration,
        // Armed when the body is not there at once; boxed, since the future of a call that succeeds has room for a drain.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

// ===== impl RetryLayer =====

impl RetryLayer<Http> {
    /// For HTTP clients: the policy [`Http`], at most 4 attempts in all, full jitter, and a budget of its own.
    ///
    /// The request's body must implement [`Replay`]; the response's body may be any. A call is over when the head of its
    /// response is there: for a body that breaks off to be retried, put a `CollectLayer` of `donjon-http` inside.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use bytes::Bytes;
    /// use donjon_core::CallError;
    /// use donjon_retry::{RetryInfo, RetryLayer};
    /// use http::{Request, Response};
    /// use http_body_util::{Empty, Full};
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
    /// let upstream = service_fn(|_: Request<Empty<Bytes>>| async {
    ///     let status = if ATTEMPTS.fetch_add(1, Ordering::Relaxed) == 0 { 503 } else { 200 };
    ///     let response = Response::builder().status(status).header("retry-after", "1");
    ///     Ok::<_, CallError>(response.body(Full::new(Bytes::new()))?)
    /// });
    ///
    /// let client = RetryLayer::http().layer(upstream);
    /// let response = client.oneshot(Request::new(Empty::new())).await.expect("the second attempt works");
    /// assert_eq!(response.status(), 200);
    /// assert_eq!(response.extensions().get::<RetryInfo>().expect("it took two").attempts, 2);
    /// # });
    /// ```
    pub fn http() -> Self {
        Self::new(Http::new())
    }
}

impl<C> RetryLayer<Http<C>> {
    /// Another classifier of responses and errors. Default: [`HttpClassify`].
    pub fn classify<D>(self, classify: D) -> RetryLayer<Http<D>> {
        self.map_policy(|http| http.classify(classify))
    }

    /// Puts the number of the attempt into this request field, from the second attempt on. Default: nowhere.
    pub fn attempt_header(self, name: HeaderName) -> Self {
        self.map_policy(|http| http.attempt_header(name))
    }

    /// How much of a failed response is read, and for how long, so that its connection can be used again. Default 64 KiB
    /// and 50 ms; with 0 bytes nothing is read, with a time of 0 only what is there already. It takes no more than half of
    /// what is left of the deadline.
    pub fn drain(self, bytes: u64, time: Duration) -> Self {
        self.map_policy(|http| http.drain(bytes, time))
    }
}

// ===== impl Http =====

impl Http {
    /// The defaults that the table says.
    pub const fn new() -> Self {
        Self::classified_by(HttpClassify::new())
    }
}

impl<C> Http<C> {
    pub(crate) const fn classified_by(classify: C) -> Self {
        Self { classify, attempt_header: None, drain_bytes: 64 * 1024, drain_time: Duration::from_millis(50) }
    }
}

impl<C> Http<C> {
    /// See [`RetryLayer::classify`].
    pub fn classify<D>(self, classify: D) -> Http<D> {
        Http {
            classify,
            attempt_header: self.attempt_header,
            drain_bytes: self.drain_bytes,
            drain_time: self.drain_time,
        }
    }

    /// See [`RetryLayer::attempt_header`].
    pub fn attempt_header(mut self, name: HeaderName) -> Self {
        self.attempt_header = Some(name);
        self
    }

    /// See [`RetryLayer::drain`].
    pub const fn drain(mut self, bytes: u64, time: Duration) -> Self {
        self.drain_bytes = bytes;
        self.drain_time = time;
        self
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl<C, A, B, E> Policy<Request<A>, Response<B>, E> for Http<C>
where
    C: Classify<Response<B>, E>,
    A: Replay,
    B: Body,
{
    type Discard = Drain<B>;

    fn plan(&self, req: &Request<A>) -> Plan {
        let mut plan = Plan::new().idempotent(idempotency::is_idempotent(req));
        if !req.extensions().is_empty() {
            if let Some(over) = req.extensions().get::<RetryOverride>() {
                plan = plan.max_attempts(over.max_attempts);
            }
            if let Some(report) = req.extensions().get::<RetryReport>() {
                plan = plan.report(report.clone());
            }
        }
        plan
    }

    fn replay(&self, req: &Request<A>) -> Result<Request<A>, NotReplayable> {
        NotReplayable::unless(req.replay(), req)
    }

    fn check(&self, kept: &Request<A>) -> Result<(), NotReplayable> {
        NotReplayable::unless(kept.is_intact().then_some(()), kept)
    }

    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        self.classify.classify(result)
    }

    fn prepare(&self, req: &mut Request<A>, attempt: u32) {
        if let Some(name) = &self.attempt_header {
            req.headers_mut().insert(name.clone(), HeaderValue::from(attempt));
        }
    }

    fn attach(&self, result: &mut Result<Response<B>, E>, info: RetryInfo) {
        if let Ok(response) = result {
            response.extensions_mut().insert(info);
        }
    }

    fn discard(&self, response: Response<B>) -> Drain<B> {
        Drain { body: response.into_body(), bytes: self.drain_bytes, time: self.drain_time, timer: None }
    }
}

// ===== impl RetryOverride =====

impl RetryOverride {
    /// This request is sent once.
    pub const fn off() -> Self {
        Self::max_attempts(1)
    }

    /// So many attempts in all; 0 and 1 both mean that it is sent once.
    pub const fn max_attempts(attempts: u32) -> Self {
        Self { max_attempts: attempts }
    }
}

// ===== impl Drain =====

impl<B: Body> Future for Drain<B> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            if *this.bytes == 0 || this.body.is_end_stream() || this.body.size_hint().lower() > *this.bytes {
                return Poll::Ready(());
            }
            match this.body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // A frame counts at least as one byte, so that empty ones without end are bounded too.
                    let length = frame.data_ref().map_or(1, |data| data.remaining().max(1) as u64);
                    *this.bytes = this.bytes.saturating_sub(length);
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        let time = *this.time;
        let timer = this.timer.get_or_insert_with(|| {
            // A connection is not worth the call: the retry needs time too.
            let left = Deadline::current().remaining();
            Box::pin(sleep(left.map_or(time, |left| time.min(left / 2))))
        });
        timer.as_mut().poll(cx)
    }
}

impl<B> std::fmt::Debug for Drain<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drain").field("bytes", &self.bytes).field("time", &self.time).finish_non_exhaustive()
    }
}
