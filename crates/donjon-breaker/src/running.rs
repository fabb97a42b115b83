use std::{sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use donjon_core::Outcome;
use tokio::time::Instant;

use crate::{
    circuit::Ticket,
    gate::Verdict,
    shares::{Config, Share},
};

/// A call that was let in and has not ended. Dropped, it was cancelled.
#[derive(Debug)]
pub(crate) struct Running<C> {
    /// None once it has ended.
    share: Option<Arc<Share<C>>>,
    ticket: Ticket,
    started: Option<Instant>,
}

// ===== impl Running =====

impl<C> Running<C> {
    #[inline]
    pub(crate) const fn new(share: Arc<Share<C>>, ticket: Ticket, started: Option<Instant>) -> Self {
        Self { share: Some(share), ticket, started }
    }

    /// A call that nobody looks at.
    pub(crate) const fn free() -> Self {
        Self { share: None, ticket: Ticket::Free, started: None }
    }

    #[inline]
    pub(crate) const fn take(&mut self) -> Self {
        Self { share: self.share.take(), ticket: self.ticket, started: self.started }
    }

    /// The call has ended; `classify` says how.
    #[inline]
    pub(crate) fn finish(mut self, classify: impl FnOnce(&C) -> Outcome) {
        if let Some(share) = &self.share
            && self.ticket != Ticket::Free
        {
            let config = share.config();
            let verdict = verdict(classify(&config.classify));
            config.circuit.finish(self.ticket, verdict, took(self.started), Instant::now);
        }
        self.share = None;
    }
}

impl<C> Drop for Running<C> {
    #[inline]
    fn drop(&mut self) {
        if let Some(share) = self.share.take() {
            cancelled(share.config(), self.ticket, self.started);
        }
    }
}

#[cold]
fn cancelled<C>(config: &Config<C>, ticket: Ticket, started: Option<Instant>) {
    if ticket == Ticket::Free {
        return;
    }
    config.circuit.counts.cancelled.fetch_add(1, Relaxed);
    let took = took(started);
    let verdict = config.on_cancel.verdict(took);
    config.circuit.finish(ticket, verdict, took, Instant::now);
}

fn took(started: Option<Instant>) -> Option<Duration> {
    started.map(|started| started.elapsed())
}

/// What an outcome says of the service.
const fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Success => Verdict::Success,
        Outcome::Transient { retry_after, .. } | Outcome::Throttled { retry_after } => Verdict::Failure { retry_after },
        Outcome::Permanent => Verdict::Failure { retry_after: None },
        Outcome::Refused { .. } => Verdict::Nothing,
        Outcome::Cancelled => Verdict::Dropped,
    }
}
