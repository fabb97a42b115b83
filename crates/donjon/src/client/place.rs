use std::time::Duration;

use donjon_budget::Budget;
use tower_layer::Identity;

use super::Handles;

/// A layer that a [`ClientBuilder`](super::ClientBuilder) has a place for, or [`Identity`] where there is none. Sealed.
pub trait Place: sealed::Place {}

impl<L: sealed::Place> Place for L {}

pub(super) mod sealed {
    use super::{Budget, Duration, Handles};

    pub trait Place: Sized {
        /// What it sends beyond the calls is paid from this budget.
        #[must_use]
        fn paid_from(self, budget: &Budget) -> Self {
            let _ = budget;
            self
        }

        /// What is dropped after so long, its caller's patience being over, has failed.
        #[must_use]
        fn with_patience(self, patience: Duration) -> Self {
            let _ = patience;
            self
        }

        /// Puts its operator's end among those of the client.
        fn add_to(&self, handles: &mut Handles);
    }
}

impl sealed::Place for Identity {
    fn add_to(&self, _: &mut Handles) {}
}

#[cfg(feature = "cache")]
impl sealed::Place for super::Cached {
    fn paid_from(self, budget: &Budget) -> Self {
        self.budget_if_none(budget)
    }

    fn add_to(&self, handles: &mut Handles) {
        handles.cache = Some(self.handle());
    }
}

#[cfg(feature = "fallback")]
impl<P, C> sealed::Place for donjon_fallback::FallbackLayer<P, C> {
    fn add_to(&self, handles: &mut Handles) {
        handles.fallback = Some(self.handle());
    }
}

#[cfg(feature = "hedge")]
impl sealed::Place for super::Hedged {
    fn paid_from(self, budget: &Budget) -> Self {
        self.budget(budget)
    }

    fn add_to(&self, handles: &mut Handles) {
        handles.hedge = Some(self.handle());
    }
}

#[cfg(feature = "breaker")]
impl sealed::Place for super::Breakers {
    fn with_patience(self, patience: Duration) -> Self {
        let breaker = donjon_breaker::BreakerLayer::http();
        super::builder::breakers(breaker.on_cancel(donjon_breaker::OnCancel::FailAfter(patience)))
    }

    fn add_to(&self, handles: &mut Handles) {
        handles.breakers = Some(self.handle());
    }
}
