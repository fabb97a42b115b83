use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use donjon_core::Fresh;
use http::Request;
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{DEFAULT_CAP, NotReplayable, ReplayBody};

/// Makes the body of each request one that can be sent again: see the [module](super). It goes outside of the layers
/// that send again.
///
/// # Sharing
///
/// Clones of the layer, and the services that they made, share one set of counts. There is no other state.
///
/// # Example
///
/// ```
/// use bytes::Bytes;
/// use donjon_core::{CallError, Replay};
/// use donjon_http::{ReplayBody, ReplayLayer};
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let service = ServiceBuilder::new()
///     .layer(ReplayLayer::new())
///     .service_fn(async |request: Request<ReplayBody<Full<Bytes>>>| {
///         assert!(request.replay().is_some(), "as a retry would ask");
///         Ok::<_, CallError>(Response::new(()))
///     });
/// service.oneshot(Request::new(Full::new(Bytes::from("hello")))).await?;
/// # Ok::<_, CallError>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct ReplayLayer {
    cap: usize,
    counters: Arc<Counters>,
}

/// The service of a [`ReplayLayer`].
#[derive(Clone, Debug)]
pub struct Replayable<S> {
    inner: S,
    cap: usize,
    counters: Arc<Counters>,
}

/// Reads the counts of a [`ReplayLayer`].
#[derive(Clone, Debug)]
pub struct ReplayHandle {
    counters: Arc<Counters>,
}

/// What a [`ReplayLayer`] has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayStats {
    /// Copies that were made of bodies that are not empty.
    pub copies: u64,
    /// Bodies that turned out to be larger than the cap, and could be sent once only.
    pub too_large: u64,
    /// Bodies that failed while they were read.
    pub source_failed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    copies: AtomicU64,
    too_large: AtomicU64,
    source_failed: AtomicU64,
}

// ===== impl ReplayLayer =====

impl ReplayLayer {
    /// Keeps at most [`DEFAULT_CAP`] bytes of each body.
    pub fn new() -> Self {
        Self { cap: DEFAULT_CAP, counters: Arc::default() }
    }

    /// Keeps at most this many bytes of each body, trailers included; with 0 only empty bodies can be sent again.
    pub fn cap(mut self, bytes: usize) -> Self {
        self.cap = bytes;
        self
    }

    /// The operator's end.
    #[must_use]
    pub fn handle(&self) -> ReplayHandle {
        ReplayHandle { counters: Arc::clone(&self.counters) }
    }
}

impl Default for ReplayLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl Fresh for ReplayLayer {
    fn fresh(&self) -> Self {
        Self { cap: self.cap, counters: Arc::default() }
    }

    /// Nothing is kept, and a body is sent once.
    fn bypass(&self) -> Self {
        Self { cap: 0, counters: Arc::default() }
    }
}

impl<S> Layer<S> for ReplayLayer {
    type Service = Replayable<S>;

    fn layer(&self, inner: S) -> Replayable<S> {
        Replayable { inner, cap: self.cap, counters: Arc::clone(&self.counters) }
    }
}

// ===== impl Replayable =====

impl<S, B> Service<Request<B>> for Replayable<S>
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let counted = |body| ReplayBody::counted(body, self.cap, Some(Arc::clone(&self.counters)));
        self.inner.call(request.map(counted))
    }
}

// ===== impl ReplayHandle =====

impl ReplayHandle {
    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> ReplayStats {
        ReplayStats {
            copies: self.counters.copies.load(Ordering::Relaxed),
            too_large: self.counters.too_large.load(Ordering::Relaxed),
            source_failed: self.counters.source_failed.load(Ordering::Relaxed),
        }
    }
}

// ===== impl Counters =====

impl Counters {
    pub(super) fn copied(&self) {
        self.copies.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, reason: NotReplayable) {
        match reason {
            NotReplayable::TooLarge => self.too_large.fetch_add(1, Ordering::Relaxed),
            NotReplayable::SourceFailed => self.source_failed.fetch_add(1, Ordering::Relaxed),
            NotReplayable::Consumed => return,
        };
    }
}
