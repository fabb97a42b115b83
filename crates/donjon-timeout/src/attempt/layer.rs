use std::{sync::Arc, time::Duration};

use donjon_core::Fresh;
use tower_layer::Layer;

use super::Timeout;
use crate::{
    Any, TimeoutHandle,
    shared::{Kind, Shared},
};

/// A timeout for one attempt: inside of a retry, so that an attempt that hangs leaves time for another one.
///
/// It covers the inner call alone, from the first poll of its future, and not the readiness, which it forwards: that is
/// what a [`DeadlineLayer`](crate::DeadlineLayer) outside is for. It does not set the ambient deadline.
///
/// Each duration means something: zero refuses every call, [`Duration::MAX`] (and all that is longer than 584 years) is
/// never. No timer is made unless the inner call is pending.
///
/// # Errors
///
/// [`AttemptTimeout`](donjon_core::RejectionKind::AttemptTimeout), in phase `Attempt`; in phase `Admission` if the
/// layer's timeout is zero and the inner service was not called.
#[derive(Clone, Debug)]
#[must_use]
pub struct TimeoutLayer<M = Any> {
    shared: Arc<Shared>,
    on: bool,
    form: M,
}

// ===== impl TimeoutLayer =====

impl TimeoutLayer {
    /// At most `timeout` for each call.
    pub fn new(timeout: Duration) -> Self {
        Self::with_form(timeout, Any)
    }
}

impl<M> TimeoutLayer<M> {
    pub(crate) fn with_form(timeout: Duration, form: M) -> Self {
        Self { shared: Shared::new(Kind::Attempt, Some(timeout)), on: true, form }
    }

    /// The operator's end: stats, and the timeout while running.
    #[must_use]
    pub fn handle(&self) -> TimeoutHandle {
        TimeoutHandle::new(Arc::clone(&self.shared))
    }
}

impl<M: Clone> Fresh for TimeoutLayer<M> {
    fn fresh(&self) -> Self {
        Self { shared: self.shared.fresh(), on: self.on, form: self.form.clone() }
    }

    fn bypass(&self) -> Self {
        Self { shared: self.shared.fresh(), on: false, form: self.form.clone() }
    }
}

impl<S, M: Clone> Layer<S> for TimeoutLayer<M> {
    type Service = Timeout<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout::new(inner, Arc::clone(&self.shared), self.on, self.form.clone())
    }
}
