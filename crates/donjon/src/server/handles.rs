use std::fmt;

use donjon_core::{Figure, Observe};
use donjon_rate_limit::RateLimitLayer;
use donjon_timeout::TimeoutHandle;

/// The operator's ends of the layers of a server: figures to read, and knobs that turn while running.
pub struct Handles<K> {
    pub(super) deadline: TimeoutHandle,
    pub(super) rate: donjon_per_key::Handle<K, RateLimitLayer>,
    pub(super) limit: donjon_concurrency_limit::Handle,
}

// ===== impl Handles =====

impl<K> Handles<K> {
    /// Of the deadline.
    #[must_use]
    pub const fn deadline(&self) -> &TimeoutHandle {
        &self.deadline
    }

    /// Of the rate limits, one for each key; empty while there is none.
    #[must_use]
    pub const fn rate_limits(&self) -> &donjon_per_key::Handle<K, RateLimitLayer> {
        &self.rate
    }

    /// Of the concurrency limit.
    #[must_use]
    pub const fn limit(&self) -> &donjon_concurrency_limit::Handle {
        &self.limit
    }
}

impl<K> Clone for Handles<K> {
    fn clone(&self) -> Self {
        Self { deadline: self.deadline.clone(), rate: self.rate.clone(), limit: self.limit.clone() }
    }
}

impl<K> fmt::Debug for Handles<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handles").field("deadline", &self.deadline).field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// The figures of the deadline (with the label `layer`: `deadline`), of the keys of the rate limits, and of the concurrency
/// limit.
impl<K> Observe for Handles<K> {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        self.deadline.observe(&mut |figure| visit(figure.label("layer", "deadline")));
        self.rate.observe(visit);
        self.limit.observe(visit);
    }
}
