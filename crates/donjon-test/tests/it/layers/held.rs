//! At most so many HTTP calls at once, each until its response body has ended.

use std::{
    mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use donjon_core::{CallError, Phase, RejectionKind};
use http::{Request, Response};
use http_body::{Body, Frame};
use tower::{Layer, Service};

use super::{BoxFuture, rejected};

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldFault {
    None,
    UnreadBodyLeaks,
    EndedBodyHoldsOn,
    TruncatedBodyHoldsOn,
    LosesTrailers,
}

#[derive(Clone)]
pub(crate) struct HeldLayer {
    limit: Arc<Limit>,
}

#[derive(Clone)]
pub(crate) struct Held<S> {
    inner: S,
    limit: Arc<Limit>,
}

pub(crate) struct HeldBody<B> {
    body: Pin<Box<B>>,
    guard: Option<Guard>,
    fault: HeldFault,
    ended: bool,
}

struct Limit {
    max: usize,
    running: AtomicUsize,
    fault: HeldFault,
}

struct Guard(Arc<Limit>);

impl HeldLayer {
    pub(crate) fn new(max: usize, fault: HeldFault) -> Self {
        Self { limit: Arc::new(Limit { max, running: AtomicUsize::new(0), fault }) }
    }
}

impl<S> Layer<S> for HeldLayer {
    type Service = Held<S>;

    fn layer(&self, inner: S) -> Held<S> {
        Held { inner, limit: Arc::clone(&self.limit) }
    }
}

impl<S, A, B> Service<Request<A>> for Held<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = CallError> + Clone,
    S::Future: 'static,
{
    type Response = Response<HeldBody<B>>;
    type Error = CallError;
    type Future = BoxFuture<Result<Self::Response, CallError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Request<A>) -> Self::Future {
        let running = self.limit.running.fetch_add(1, Ordering::SeqCst);
        let guard = Guard(Arc::clone(&self.limit));
        if running >= self.limit.max {
            let clone = self.inner.clone();
            drop(mem::replace(&mut self.inner, clone));
            return Box::pin(async { Err(rejected(RejectionKind::Overloaded, Phase::Admission)) });
        }
        let fault = self.limit.fault;
        let future = self.inner.call(req);
        Box::pin(async move {
            let response = future.await;
            // Moved in here, so that it is dropped with this block when it ends.
            let guard = guard;
            let response = response?;
            Ok(response.map(|body| HeldBody { body: Box::pin(body), guard: Some(guard), fault, ended: false }))
        })
    }
}

impl<B: Body> Body for HeldBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(self.body.as_mut().poll_frame(cx));
        let holds_on = match &frame {
            None => self.fault == HeldFault::EndedBodyHoldsOn,
            Some(Err(_)) => self.fault == HeldFault::TruncatedBodyHoldsOn,
            Some(Ok(_)) => true,
        };
        if !holds_on {
            self.guard = None;
        }
        self.ended = matches!(frame, None | Some(Err(_)));
        if self.fault == HeldFault::LosesTrailers && matches!(&frame, Some(Ok(frame)) if frame.is_trailers()) {
            return self.poll_frame(cx);
        }
        Poll::Ready(frame)
    }
}

impl<B> Drop for HeldBody<B> {
    fn drop(&mut self) {
        if self.fault == HeldFault::UnreadBodyLeaks && !self.ended {
            mem::forget(self.guard.take());
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}
