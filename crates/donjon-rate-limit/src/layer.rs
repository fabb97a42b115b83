use std::{fmt, time::Duration};

use donjon_core::Fresh;
use tower_layer::Layer;

use crate::{Any, Handle, LocalLimiter, One, Rate, RateLimit};

/// Bounds how much goes on per time; what is beyond is refused, or waits for a bounded time.
///
/// Clones share one limit, and so do all services that they make. See the [crate](crate) for what it does. `L` is the
/// [`Limiter`](crate::Limiter), `M` the [`Mode`](crate::Mode), `C` the [`Cost`](crate::Cost).
#[derive(Clone)]
#[must_use]
pub struct RateLimitLayer<L = LocalLimiter, M = Any, C = One> {
    limiter: L,
    mode: M,
    cost: C,
    settings: Settings,
}

/// What belongs to a layer value and the services it makes, and is not shared with its clones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) max_wait: Duration,
    pub(crate) bypass: bool,
}

// ===== impl RateLimitLayer =====

impl RateLimitLayer {
    /// At most this rate, of any request and response; what is beyond is refused at once.
    pub fn new(rate: Rate) -> Self {
        Self::with_limiter(LocalLimiter::new(rate))
    }
}

#[cfg(feature = "http")]
impl RateLimitLayer<LocalLimiter, crate::Http> {
    /// At most this rate of HTTP requests. Responses, and refusals that become responses, say how the limit stands, in
    /// the fields `RateLimit` and `RateLimit-Policy`.
    ///
    /// Otherwise like [`new`](RateLimitLayer::new): it changes no type. It tells each caller how near the limit is, so
    /// it is for a limit that is the caller's own: one state per key.
    pub fn http(rate: Rate) -> Self {
        RateLimitLayer::new(rate).mode(crate::Http::new())
    }
}

impl<M, C> RateLimitLayer<LocalLimiter, M, C> {
    /// At most this many calls wait for their turn: 1024, unless said. 0 lets none wait.
    ///
    /// Part of the shared state, as the rate is: it holds for every clone of this layer.
    pub fn queue(self, bound: usize) -> Self {
        self.limiter.set_queue(bound);
        self
    }

    /// The operator's end of this limit.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.limiter.clone())
    }
}

impl<L> RateLimitLayer<L> {
    /// What this limiter admits.
    pub fn with_limiter(limiter: L) -> Self {
        Self { limiter, mode: Any, cost: One, settings: Settings::default() }
    }
}

impl<L, M, C> RateLimitLayer<L, M, C> {
    /// Calls through this layer value that find no token wait for one, at most this long: 0, unless said, which does not
    /// wait. A call whose turn would come later, or not before its deadline, is refused at once.
    ///
    /// Not shared: clones of one layer may wait differently for the same tokens.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.settings.max_wait = wait;
        self
    }

    /// How many tokens a request costs: one, unless said. Write out the type of the argument:
    /// `.cost(|request: &Request| request.len())`.
    ///
    /// What costs nothing passes unless everything is refused. What costs more than the burst is refused for good: its
    /// refusal says no time to come back.
    pub fn cost<D>(self, cost: D) -> RateLimitLayer<L, M, D> {
        let Self { limiter, mode, settings, .. } = self;
        RateLimitLayer { limiter, mode, cost, settings }
    }

    /// What is said of the limit in responses and refusals: nothing, unless said.
    pub fn mode<N>(self, mode: N) -> RateLimitLayer<L, N, C> {
        let Self { limiter, cost, settings, .. } = self;
        RateLimitLayer { limiter, mode, cost, settings }
    }

    /// The limiter.
    pub const fn limiter(&self) -> &L {
        &self.limiter
    }
}

impl<S, L: Clone, M: Clone, C: Clone> Layer<S> for RateLimitLayer<L, M, C> {
    type Service = RateLimit<S, L, M, C>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, self.limiter.clone(), self.mode.clone(), self.cost.clone(), self.settings)
    }
}

impl<L: Fresh, M: Clone, C: Clone> Fresh for RateLimitLayer<L, M, C> {
    /// A limit of its own, with all of its burst, at the rate that this one has now.
    fn fresh(&self) -> Self {
        Self {
            limiter: self.limiter.fresh(),
            mode: self.mode.clone(),
            cost: self.cost.clone(),
            settings: self.settings,
        }
    }

    fn bypass(&self) -> Self {
        Self {
            limiter: self.limiter.bypass(),
            mode: self.mode.clone(),
            cost: self.cost.clone(),
            settings: Settings { bypass: true, ..self.settings },
        }
    }

    /// Whether the limiter is: by one who waits, a handle, a service, or a clone of this layer, for one in the process.
    fn is_held(&self) -> bool {
        self.limiter.is_held()
    }

    /// That of the limiter: for one in the process, as long as the burst takes to come back from nothing.
    fn memory(&self) -> Duration {
        self.limiter.memory()
    }
}

impl<L: fmt::Debug, M: fmt::Debug, C> fmt::Debug for RateLimitLayer<L, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("limiter", &self.limiter)
            .field("mode", &self.mode)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
