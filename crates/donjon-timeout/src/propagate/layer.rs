use std::time::Duration;

use donjon_core::Fresh;
use tower_layer::Layer;

use super::PropagateDeadline;

/// Tells the next server how long its answer is still waited for: writes what remains of the ambient deadline into each
/// request. It belongs innermost, right around the transport, so that time spent in queues and on earlier attempts is
/// not promised again.
///
/// The field is `x-request-timeout-ms`, in milliseconds rounded down, or [`grpc-timeout`](Self::grpc). A server reads
/// both with [`DeadlineLayer::http`](crate::DeadlineLayer::http). A field that is there already is replaced, unless it
/// leaves less time. Without a deadline nothing is written.
///
/// # Errors
///
/// [`DeadlineExceeded`](donjon_core::RejectionKind::DeadlineExceeded) at admission, if nothing is left that could be
/// written: the request is not sent.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_core::CallError;
/// use donjon_timeout::{DeadlineLayer, PropagateDeadlineLayer};
/// use http::{Request, Response};
/// use http_body_util::Empty;
/// use bytes::Bytes;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let transport = service_fn(|req: Request<()>| async move {
///     assert_eq!(req.headers()["x-request-timeout-ms"], "5000");
///     Ok::<_, CallError>(Response::new(Empty::<Bytes>::new()))
/// });
/// let stack = DeadlineLayer::new(Duration::from_secs(5)).layer(PropagateDeadlineLayer::new().layer(transport));
/// stack.oneshot(Request::new(())).await.unwrap();
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct PropagateDeadlineLayer {
    settings: Settings,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settings {
    pub(super) off: bool,
    pub(super) grpc: bool,
    pub(super) at_most: Option<Duration>,
}

// ===== impl PropagateDeadlineLayer =====

impl PropagateDeadlineLayer {
    /// Writes `x-request-timeout-ms`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `grpc-timeout` instead.
    pub const fn grpc(mut self) -> Self {
        self.settings.grpc = true;
        self
    }

    /// Says at most this long, also without a deadline: what the attempt timeout is, so that a server stops when nobody
    /// waits for this attempt any more. No bound unless said; zero refuses every call.
    pub const fn at_most(mut self, timeout: Duration) -> Self {
        self.settings.at_most = Some(timeout);
        self
    }
}

impl Fresh for PropagateDeadlineLayer {
    fn fresh(&self) -> Self {
        *self
    }

    fn bypass(&self) -> Self {
        Self { settings: Settings { off: true, ..self.settings } }
    }
}

impl<S> Layer<S> for PropagateDeadlineLayer {
    type Service = PropagateDeadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        PropagateDeadline::new(inner, self.settings)
    }
}
