//! At most so many calls a second; it remembers, on purpose.

use std::{
    mem,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use donjon_core::{CallError, Phase, RejectionKind};
use tokio::time::Instant;
use tower::{Layer, Service};

use super::{BoxFuture, rejected};

#[derive(Clone)]
pub(crate) struct RateLayer {
    max: usize,
    window: Arc<Mutex<Option<(Instant, usize)>>>,
}

#[derive(Clone)]
pub(crate) struct Rate<S> {
    inner: S,
    layer: RateLayer,
}

impl RateLayer {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, window: Arc::default() }
    }

    fn admits(&self) -> bool {
        let now = Instant::now();
        let mut window = self.window.lock().expect("no panic while it is held");
        let (start, calls) = window.get_or_insert((now, 0));
        if now - *start >= Duration::from_secs(1) {
            (*start, *calls) = (now, 0);
        }
        *calls += 1;
        *calls <= self.max
    }
}

impl<S> Layer<S> for RateLayer {
    type Service = Rate<S>;

    fn layer(&self, inner: S) -> Rate<S> {
        Rate { inner, layer: self.clone() }
    }
}

impl<S, Req> Service<Req> for Rate<S>
where
    S: Service<Req, Error = CallError> + Clone,
    S::Future: 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = CallError;
    type Future = BoxFuture<Result<S::Response, CallError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        if self.layer.admits() {
            return Box::pin(self.inner.call(req));
        }
        let clone = self.inner.clone();
        drop(mem::replace(&mut self.inner, clone));
        Box::pin(async { Err(rejected(RejectionKind::RateLimited, Phase::Admission)) })
    }
}
