use std::{sync::Arc, time::Duration};

use donjon_core::Fresh;
use tower_layer::Layer;

use super::WithDeadline;
use crate::{
    Any, TimeoutHandle,
    shared::{Kind, Shared},
};

/// One deadline over everything inside: readiness, queues, attempts, sleeps between them.
///
/// It is set as the ambient [`Deadline`](donjon_core::Deadline) of the call, so that every layer inside knows how much
/// time is left, and it ends the call when it has passed. The time counts from the first poll of the call's future. A
/// shorter deadline of the caller holds, and ends the call too.
///
/// The layer is always ready: it makes a clone of the inner service ready inside of the call, since the time that this
/// takes is the caller's time.
///
/// Each duration means something: zero refuses every call before any inner work, [`Duration::MAX`] (and all that is
/// longer than 584 years) sets no deadline and only enforces the caller's.
///
/// # Errors
///
/// [`DeadlineExceeded`](donjon_core::RejectionKind::DeadlineExceeded), in one of the phases `Admission` (no inner work
/// was started), `Ready` or `Attempt`. An inner layer that waits (a queue) knows the deadline too; if it gives up at
/// it, its own refusal is the one that is returned, with its own phase.
#[derive(Clone, Debug)]
#[must_use]
pub struct DeadlineLayer<M = Any> {
    shared: Arc<Shared>,
    on: bool,
    form: M,
}

// ===== impl DeadlineLayer =====

impl DeadlineLayer {
    /// At most `timeout` for each call.
    pub fn new(timeout: Duration) -> Self {
        Self::with_form(timeout, Any)
    }
}

impl<M> DeadlineLayer<M> {
    pub(crate) fn with_form(timeout: Duration, form: M) -> Self {
        Self { shared: Shared::new(Kind::Deadline, Some(timeout)), on: true, form }
    }

    #[cfg(feature = "http")]
    pub(crate) fn map_form(self, map: impl FnOnce(M) -> M) -> Self {
        Self { form: map(self.form), ..self }
    }

    /// The operator's end: stats, and the timeout while running.
    #[must_use]
    pub fn handle(&self) -> TimeoutHandle {
        TimeoutHandle::new(Arc::clone(&self.shared))
    }
}

impl<M: Clone> Fresh for DeadlineLayer<M> {
    fn fresh(&self) -> Self {
        Self { shared: self.shared.fresh(), on: self.on, form: self.form.clone() }
    }

    fn bypass(&self) -> Self {
        Self { shared: self.shared.fresh(), on: false, form: self.form.clone() }
    }
}

impl<S, M: Clone> Layer<S> for DeadlineLayer<M> {
    type Service = WithDeadline<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        WithDeadline::new(inner, Arc::clone(&self.shared), self.on, self.form.clone())
    }
}
