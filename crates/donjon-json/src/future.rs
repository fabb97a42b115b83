//! The future of a call.

use std::{
    fmt,
    marker::PhantomData,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use donjon_core::{CallError, Deadline, Phase, Reject, Rejection, RejectionKind, Scope};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header::CONTENT_LENGTH};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::{
    task::coop,
    time::{Sleep, sleep_until},
};

use crate::{
    Call, Decode, HttpService, JsonError,
    client::Config,
    error::{Failure, Where},
    exchange::{Collector, Raw},
    redirect::Follow,
};

pin_project! {
    /// The call of a [`JsonClient`](crate::JsonClient): readiness, response, body and decoding.
    ///
    /// Dropping it at any point ends the call, and gives back what the service below holds for it; so does its
    /// completion, even if it stays alive.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, T>
    where
        S: HttpService<B>,
    {
        #[pin]
        state: State<S, B, S::Future, S::ResponseBody>,
        about: About,
        follow: Option<Box<Follow<S>>>,
        // Of a call with a timeout of its own.
        scope: Option<Scope>,
        #[pin]
        sleep: Option<Sleep>,
        value: PhantomData<fn() -> T>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F, R> {
        Failed { error: Option<JsonError> },
        Ready { service: S, request: Option<Request<B>> },
        Calling { #[pin] future: F },
        Reading { #[pin] reading: Reading<R> },
        Done,
    }
}

pin_project! {
    /// A response whose body is read.
    struct Reading<R> {
        head: Option<Response<()>>,
        // Of what may be declared, but never comes.
        is_bodiless: bool,
        is_json: bool,
        collector: Collector,
        #[pin]
        body: R,
    }
}

/// What an error or a reply says of the call.
struct About {
    config: Arc<Config>,
    method: Method,
    uri: Uri,
    max_body: u64,
    /// Whether a redirect was followed.
    redirected: bool,
}

// ===== impl ResponseFuture =====

impl<S, B, T> ResponseFuture<S, B, T>
where
    S: HttpService<B> + Clone,
    B: From<Bytes>,
{
    /// The call on a service that was readied for it.
    pub(crate) fn call_readied(service: &mut S, call: Call<T>, config: &Arc<Config>) -> Self {
        let mut scope = scope_of(&call);
        match Self::prepare(|| service.clone(), call, config) {
            Ok((request, about, follow)) => {
                let future = inside(&mut scope, || service.call_http(request));
                Self { state: State::Calling { future }, about, follow, scope, sleep: None, value: PhantomData }
            }
            Err(error) => {
                // What the readied instance may have reserved is not needed.
                let clone = service.clone();
                drop(mem::replace(service, clone));
                Self::failed(error, config)
            }
        }
    }

    /// The call on a clone, which it readies.
    pub(crate) fn call_clone<U>(service: &S, call: Call<U>, config: &Arc<Config>) -> Self {
        let scope = scope_of(&call);
        match Self::prepare(|| service.clone(), call, config) {
            Ok((request, about, follow)) => {
                let state = State::Ready { service: service.clone(), request: Some(request) };
                Self { state, about, follow, scope, sleep: None, value: PhantomData }
            }
            Err(error) => Self::failed(error, config),
        }
    }

    #[expect(clippy::type_complexity, reason = "it is taken apart at once")]
    fn prepare<U>(
        clone: impl Fn() -> S,
        call: Call<U>,
        config: &Arc<Config>,
    ) -> Result<(Request<B>, About, Option<Box<Follow<S>>>), JsonError> {
        let max_body = call.max_body.unwrap_or(config.max_body);
        let redirects = call.redirects.unwrap_or(config.redirects);
        let request = call.into_request(config)?;
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let about = About { config: Arc::clone(config), method, uri, max_body, redirected: false };
        let follow = (redirects > 0).then(|| Box::new(Follow::new(clone(), redirects, &request)));
        Ok((request.map(B::from), about, follow))
    }

    fn failed(error: JsonError, config: &Arc<Config>) -> Self {
        let (config, method, uri) = (Arc::clone(config), Method::GET, Uri::default());
        let about = About { config, method, uri, max_body: 0, redirected: false };
        let state = State::Failed { error: Some(error) };
        Self { state, about, follow: None, scope: None, sleep: None, value: PhantomData }
    }
}

impl<S, B, T> Future for ResponseFuture<S, B, T>
where
    S: HttpService<B> + Clone,
    B: From<Bytes>,
    T: Decode,
{
    type Output = Result<T, JsonError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut scope) = *self.as_mut().project().scope else { return self.poll_call(cx, false) };
        let poll = scope.enter(|| self.as_mut().poll_call(cx, true));
        *self.project().scope = Some(scope);
        poll
    }
}

impl<S, B, T> ResponseFuture<S, B, T>
where
    S: HttpService<B> + Clone,
    B: From<Bytes>,
    T: Decode,
{
    /// Goes as far as it can. `has_timeout`: the deadline ends it wherever it pends, not in the body alone.
    fn poll_call(self: Pin<&mut Self>, cx: &mut Context<'_>, has_timeout: bool) -> Poll<Result<T, JsonError>> {
        let mut this = self.project();
        let result = loop {
            match this.state.as_mut().project() {
                StateProj::Failed { error } => {
                    break error.take().map_or_else(|| panic!("polled after completion"), Err);
                }
                StateProj::Ready { service, request } => {
                    match service.poll_http_ready(cx) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(error)) => {
                            break Err(this.about.error(Failure::Service(CallError::new(error))));
                        }
                        Poll::Pending => {
                            ready!(poll_timeout(this.sleep.as_mut(), cx, has_timeout));
                            break Err(this.about.error(Failure::Service(late(Phase::Ready))));
                        }
                    }
                    let request = request.take().expect("a request is there until it is sent");
                    let future = service.call_http(request);
                    this.state.set(State::Calling { future });
                }
                StateProj::Calling { future } => match future.poll(cx) {
                    Poll::Pending => {
                        ready!(poll_timeout(this.sleep.as_mut(), cx, has_timeout));
                        break Err(this.about.error(Failure::Service(late(Phase::Attempt))));
                    }
                    Poll::Ready(Ok(response)) => match follow(this.follow, &response) {
                        None => {
                            let reading = Reading::new(response, this.about);
                            this.state.set(State::Reading { reading });
                        }
                        Some(Err(failure)) => {
                            let error = this.about.error(failure);
                            let head = Response::from_parts(response.into_parts().0, ());
                            break Err(error.with_response(head, Bytes::new(), true));
                        }
                        Some(Ok((service, request))) => {
                            drain(response.into_body(), cx);
                            this.about.redirected = true;
                            this.about.method = request.method().clone();
                            this.about.uri = request.uri().clone();
                            this.state.set(State::Ready { service, request: Some(request.map(B::from)) });
                        }
                    },
                    Poll::Ready(Err(error)) => break Err(this.about.error(Failure::Service(CallError::new(error)))),
                },
                StateProj::Reading { mut reading } => {
                    let result = ready!(reading.as_mut().poll::<S, B>(cx, this.sleep.as_mut()));
                    let mut raw = reading.finish(this.about);
                    let result = match result {
                        Err(failure) => Err(failure),
                        Ok(()) if raw.head.as_ref().is_some_and(|head| !head.status().is_success()) => {
                            Err(Failure::Status)
                        }
                        Ok(()) => T::decode(&mut raw),
                    };
                    break result.map_err(|failure| raw.into_error(failure));
                }
                StateProj::Done => panic!("polled after completion"),
            }
        };
        // Whatever the service below still holds is given back now, and not when the future is dropped.
        this.state.set(State::Done);
        this.sleep.set(None);
        *this.follow = None;
        Poll::Ready(result)
    }
}

impl<S: HttpService<B>, B, T> fmt::Debug for ResponseFuture<S, B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("method", &self.about.method)
            .field("url", &crate::RedactedUrl::new(&self.about.uri))
            .finish_non_exhaustive()
    }
}

/// Where a response leads, if it is a redirect to be followed.
fn follow<S: Clone, R>(
    follow: &mut Option<Box<Follow<S>>>,
    response: &Response<R>,
) -> Option<Result<(S, Request<Bytes>), Failure>> {
    let follow = follow.as_mut()?;
    let request = match follow.next(response)? {
        Ok(request) => request,
        Err(fault) => return Some(Err(Failure::Redirect(fault))),
    };
    if Deadline::current().has_passed() {
        return Some(Err(Failure::Service(late(Phase::Attempt))));
    }
    Some(Ok((follow.service.clone(), request)))
}

/// Reads what is there of a body that nobody wants, so that its connection can be used again.
fn drain<R: Body>(body: R, cx: &mut Context<'_>) {
    let mut body = std::pin::pin!(body);
    let mut left: usize = 16 * 1024;
    while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(cx) {
        let len = frame.data_ref().map_or(1, |data| data.remaining().max(1));
        match left.checked_sub(len) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn late(phase: Phase) -> CallError {
    CallError::from_rejection(Rejection::new(RejectionKind::DeadlineExceeded, "json").with_phase(phase))
}

// ===== impl About =====

impl About {
    fn error(&self, failure: Failure) -> JsonError {
        let target = Where::Url(self.uri.clone());
        JsonError::new(failure, Some(self.method.clone()), target).with_redirected(self.redirected)
    }
}

// ===== impl Reading =====

impl<R: Body> Reading<R> {
    fn new(response: Response<R>, about: &About) -> Self {
        let (parts, body) = response.into_parts();
        let is_json = about.config.media.accepts(&parts.headers);
        let is_bodiless = about.method == Method::HEAD || parts.status == StatusCode::NO_CONTENT;
        // Of a body that is only kept for an error, what is beyond the cap is left.
        let cuts = !parts.status.is_success() || !is_json;
        let cap = if cuts { about.config.max_error_body.min(about.max_body) } else { about.max_body };
        let head = Some(Response::from_parts(parts, ()));
        Self { head, is_bodiless, is_json, collector: Collector::new(cap, cuts), body }
    }

    fn finish(self: Pin<&mut Self>, about: &mut About) -> Raw {
        let this = self.project();
        let (body, truncated) = mem::replace(this.collector, Collector::new(0, true)).finish();
        Raw {
            method: mem::take(&mut about.method),
            uri: mem::take(&mut about.uri),
            head: this.head.take(),
            body,
            is_json: *this.is_json,
            truncated,
            max_error_body: about.config.max_error_body,
        }
    }

    fn poll<S, B>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        sleep: Pin<&mut Option<Sleep>>,
    ) -> Poll<Result<(), Failure>>
    where
        S: HttpService<B, ResponseBody = R>,
    {
        let mut this = self.project();
        let collector = this.collector;
        if collector.is_strict() && collector.len() == 0 {
            let declared = this.head.as_ref().and_then(|head| content_length(head.headers()));
            let known = this.body.size_hint().lower();
            // A response to HEAD declares the body that it does not have, and not every body knows that it has ended.
            let declared = declared.filter(|_| !*this.is_bodiless && !this.body.is_end_stream()).unwrap_or(0);
            if known.max(declared) > collector.cap() {
                return Poll::Ready(Err(Failure::BodyTooLarge(collector.cap())));
            }
        }
        loop {
            // A body whose next frame is always there would otherwise keep the thread, and its deadline from being seen.
            let frame = match coop::poll_proceed(cx) {
                Poll::Ready(turn) => {
                    let frame = this.body.as_mut().poll_frame(cx);
                    if frame.is_ready() {
                        turn.made_progress();
                    }
                    frame
                }
                Poll::Pending => Poll::Pending,
            };
            match frame {
                Poll::Ready(Some(Ok(frame))) => {
                    let more = this.body.size_hint().lower();
                    if let Ok(data) = frame.into_data()
                        && collector.push(data, more).is_err()
                    {
                        return Poll::Ready(Err(Failure::BodyTooLarge(collector.cap())));
                    }
                    if collector.is_full() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                // Of an error, what came is enough.
                Poll::Ready(Some(Err(_))) if !collector.is_strict() => {
                    collector.cut();
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Some(Err(error))) => {
                    let error = CallError::new(S::box_body_error(error));
                    return Poll::Ready(Err(Failure::Body(error, collector.len())));
                }
                Poll::Pending => {
                    ready!(poll_deadline(sleep, cx));
                    if !collector.is_strict() {
                        collector.cut();
                        return Poll::Ready(Ok(()));
                    }
                    return Poll::Ready(Err(Failure::Body(late(Phase::Body), collector.len())));
                }
            }
        }
    }
}

/// Ready once the ambient deadline has passed. Arms a timer only if there is one.
fn poll_deadline(mut sleep: Pin<&mut Option<Sleep>>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(at) = Deadline::current().instant() else { return Poll::Pending };
    if sleep.as_ref().as_pin_ref().is_none_or(|sleep| sleep.deadline() != at) {
        sleep.set(Some(sleep_until(at)));
    }
    let Some(sleep) = sleep.as_mut().as_pin_mut() else { return Poll::Pending };
    // A timer does not fire in a turn whose budget is used up, and there may be no other kind of turn.
    if sleep.poll(cx).is_ready() || (!coop::has_budget_remaining() && Deadline::at(at).has_passed()) {
        Poll::Ready(())
    } else {
        Poll::Pending
    }
}

/// As [`poll_deadline`], but only for a call with a timeout of its own.
fn poll_timeout(sleep: Pin<&mut Option<Sleep>>, cx: &mut Context<'_>, has_timeout: bool) -> Poll<()> {
    if has_timeout { poll_deadline(sleep, cx) } else { Poll::Pending }
}

fn scope_of<T>(call: &Call<T>) -> Option<Scope> {
    call.timeout.map(|timeout| Scope::current().without_deadline().with_timeout(timeout))
}

fn inside<R>(scope: &mut Option<Scope>, f: impl FnOnce() -> R) -> R {
    match scope {
        Some(scope) => scope.enter(f),
        None => f(),
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
