use std::{fmt, sync::Arc, time::Duration};

use donjon_core::Fresh;
use tower_layer::Layer;

use crate::{Any, ConcurrencyLimit, Handle, state::Limiter, two_lane::TwoLane};

/// The longest wait, unless said.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Bounds how many calls are in flight, and lets a bounded number of others wait for a bounded time.
///
/// Clones share one limit, and so do all services that they make. See the [crate](crate) for what it does.
#[derive(Clone)]
#[must_use]
pub struct ConcurrencyLimitLayer<M = Any> {
    limiter: Arc<Limiter>,
    mode: M,
    settings: Settings,
}

/// What belongs to a layer value and the services it makes, and is not shared with its clones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) max_wait: Duration,
    pub(crate) backpressure: bool,
    pub(crate) bypass: bool,
}

// ===== impl ConcurrencyLimitLayer =====

impl ConcurrencyLimitLayer {
    /// At most `max` calls in flight, of any request and response. 0 refuses all; more than 16,777,215 is taken for
    /// that many.
    ///
    /// Twice as many may wait, for at most one second: see [`queue`](Self::queue) and [`max_wait`](Self::max_wait).
    pub fn new(max: usize) -> Self {
        Self::with_mode(max, Any)
    }
}

#[cfg(feature = "http")]
impl ConcurrencyLimitLayer<crate::Http> {
    /// At most `max` HTTP calls in flight; a call is in flight until its response body has ended, or was dropped.
    ///
    /// Otherwise like [`new`](ConcurrencyLimitLayer::new). The response body becomes a
    /// [`LimitedBody`](crate::LimitedBody). A request for an upgrade carries a [`HeldPermit`](crate::HeldPermit).
    pub fn http(max: usize) -> Self {
        Self::with_mode(max, crate::Http::new())
    }

    /// When a call gives its permit back: at the end of the response body unless said. Changes no type.
    pub fn release_on(mut self, when: crate::ReleaseOn) -> Self {
        self.mode = self.mode.release_on(when);
        self
    }
}

impl<M> ConcurrencyLimitLayer<M> {
    /// At most `max` calls in flight, each for as long as `mode` says.
    pub fn with_mode(max: usize, mode: M) -> Self {
        Self {
            limiter: Arc::new(Limiter::new(max, max.saturating_mul(2))),
            mode,
            settings: Settings { max_wait: MAX_WAIT, backpressure: false, bypass: false },
        }
    }

    /// At most this many calls wait for a permit: twice the limit, unless said. 0 lets none wait: what cannot be
    /// admitted at once is refused.
    ///
    /// Part of the shared state, as the limit is: it holds for every clone of this layer.
    pub fn queue(self, bound: usize) -> Self {
        self.limiter.set_bound(bound);
        self
    }

    /// Calls through this layer value wait at most this long for a permit: one second, unless said. 0 does not wait.
    ///
    /// Not shared: clones of one layer may wait differently for the same permits.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.settings.max_wait = wait;
        self
    }

    /// The queue has two lanes, for services that take about `service_time`: when the queue has grown too long to serve
    /// all in time, it serves some well instead of all badly.
    ///
    /// A caller that has waited longer than 2.8 service times becomes *late*. Late callers are served when nobody else
    /// waits, the newest first, and refused after 9 service times. While more than 12 % of the arrivals of the last
    /// second have become late, and until it is less than 4 %, both ages are stricter: 0.4 and 2.8 service times.
    ///
    /// Without this, or before it is called, the queue is first in, first out. Part of the shared state.
    pub fn two_lane(self, service_time: Duration) -> Self {
        self.limiter.set_two_lane(TwoLane::new(service_time));
        self
    }

    /// The permit is taken in `poll_ready`, which is pending until there is one; for those who choose by readiness,
    /// such as tower's `Balance` and `Buffer`.
    ///
    /// The price: a service that has been readied and is not called **holds a permit**, or a place in the queue, until
    /// it is called or dropped, and an idle clone may starve the others. Without this nothing is held before `call`.
    ///
    /// The wait is then that of whoever polls: neither the bound of the queue nor the longest wait holds. A readiness
    /// error of the inner service gives the permit back. Those whom the limit refuses (a limit of 0, or the rules of
    /// the two-lane queue) are told by `call`; readiness itself never fails for that.
    pub fn backpressure(mut self) -> Self {
        self.settings.backpressure = true;
        self
    }

    /// The operator's end of this limit.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.limiter))
    }
}

impl<S, M: Clone> Layer<S> for ConcurrencyLimitLayer<M> {
    type Service = ConcurrencyLimit<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        ConcurrencyLimit::new(inner, Arc::clone(&self.limiter), self.mode.clone(), self.settings)
    }
}

impl<M: Clone> Fresh for ConcurrencyLimitLayer<M> {
    /// A limit of its own, with the maximum and the bound that this one has now.
    fn fresh(&self) -> Self {
        Self { limiter: Arc::new(self.limiter.fresh()), mode: self.mode.clone(), settings: self.settings }
    }

    fn bypass(&self) -> Self {
        let mut this = self.fresh();
        this.settings.bypass = true;
        this
    }

    /// Whether a permit is out, somebody waits, or a handle, a service or a clone of this layer is there.
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.limiter) > 1
    }
}

impl<M: fmt::Debug> fmt::Debug for ConcurrencyLimitLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimitLayer")
            .field("limiter", &self.limiter)
            .field("mode", &self.mode)
            .field("settings", &self.settings)
            .finish()
    }
}
