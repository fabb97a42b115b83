use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use donjon_budget::Share;
use donjon_core::{OutOfRange, state_changed};

use crate::state::State;

/// The operator's end of a [`HedgeLayer`](crate::HedgeLayer): what it has done, and the knob that turns while it runs.
#[derive(Clone, Debug)]
pub struct HedgeHandle {
    state: Arc<State>,
    share: Share,
}

/// What a hedge layer has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HedgeStats {
    /// Copies that were sent beside the first.
    pub hedges: u64,
    /// Calls that such a copy answered.
    pub won: u64,
    /// Hedges that were due and that the share of the budget did not pay for.
    pub unpaid: u64,
    /// After how long a call is late now; `None` while that is not known, or if there are no hedges.
    pub delay: Option<Duration>,
}

// ===== impl HedgeHandle =====

impl HedgeHandle {
    pub(crate) const fn new(state: Arc<State>, share: Share) -> Self {
        Self { state, share }
    }

    /// The figures, read one after the other.
    #[must_use]
    pub fn stats(&self) -> HedgeStats {
        let state = &*self.state;
        HedgeStats {
            hedges: state.hedges.load(Ordering::Relaxed),
            won: state.won.load(Ordering::Relaxed),
            unpaid: state.unpaid.load(Ordering::Relaxed),
            delay: state.delay(0),
        }
    }

    /// The share of the budget that pays for the hedges.
    #[must_use]
    pub const fn share(&self) -> &Share {
        &self.share
    }

    /// At most so many hedges for a call, from the next call on; 0 switches them off. No more than the delay has times
    /// for: two if it is learned.
    ///
    /// # Errors
    ///
    /// None today: each number means something.
    pub fn set_max_hedges(&self, hedges: u32) -> Result<(), OutOfRange> {
        self.state.set_max_hedges(hedges);
        state_changed("hedge", "max_hedges", hedges);
        Ok(())
    }
}
