use std::{fmt, sync::Arc};

use donjon_core::OutOfRange;

use crate::{Stats, control::Control};

/// The operator's end of a [`CoalesceLayer`](crate::CoalesceLayer): its knob while it runs, and its figures.
///
/// It stays valid when every layer and service is gone.
#[derive(Clone)]
pub struct Handle {
    control: Arc<Control>,
}

// ===== impl Handle =====

impl Handle {
    pub(crate) fn new(control: Arc<Control>) -> Self {
        Self { control }
    }

    /// How many may follow one call from now on; 0 lets nobody join. Those who have joined stay.
    ///
    /// # Errors
    ///
    /// None: every number means something. The result is there as on every other handle.
    pub fn set_max_followers(&self, max: usize) -> Result<(), OutOfRange> {
        self.control.set_max_followers(max);
        Ok(())
    }

    /// The figures now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.control.stats()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("stats", &self.stats()).finish()
    }
}
