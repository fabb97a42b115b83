use std::{sync::Arc, time::Duration};

use donjon_core::{OutOfRange, state_changed};

use crate::shared::Shared;

/// The operator's end of a layer: what it has done, and the knob that turns while it runs.
///
/// Clones, and the layer itself, share one state.
#[derive(Clone, Debug)]
pub struct TimeoutHandle {
    shared: Arc<Shared>,
}

/// How many calls a layer has given up for time, by the phase in which it did.
///
/// Calls that an inner layer has given up for time are not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// At the door: the time had passed already, and no inner work was started.
    pub admission: u64,
    /// While the inner service was not ready.
    pub ready: u64,
    /// While the inner call ran.
    pub attempt: u64,
    /// While a body was read.
    pub body: u64,
}

// ===== impl TimeoutHandle =====

impl TimeoutHandle {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// How many calls have been given up, since the layer was made.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// The timeout that holds for calls from now on; `None` is never.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.shared.timeout()
    }

    /// Sets the timeout of calls that come from now on. Zero refuses all; what is longer than 584 years, such as
    /// [`Duration::MAX`], is never. Calls that are running keep theirs.
    ///
    /// # Errors
    ///
    /// None: every duration means something. The result is there as on every other handle.
    pub fn set_timeout(&self, timeout: Duration) -> Result<(), OutOfRange> {
        self.shared.set_timeout(Some(timeout));
        state_changed("timeout", "timeout", format_args!("{timeout:?}"));
        Ok(())
    }
}

// ===== impl Stats =====

impl Stats {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.admission.saturating_add(self.ready).saturating_add(self.attempt).saturating_add(self.body)
    }
}
