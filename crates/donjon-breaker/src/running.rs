use std::{sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use donjon_core::Outcome;
use tokio::time::Instant;

use crate::{
    cancel::OnCancel,
    circuit::{Circuit, Ticket},
    gate::Verdict,
};

/// What a layer application has besides the circuit.
#[derive(Debug)]
pub(crate) struct Link<C> {
    pub(crate) circuit: Arc<Circuit>,
    pub(crate) classify: C,
    pub(crate) on_cancel: OnCancel,
    pub(crate) backpressure: bool,
    pub(crate) bypass: bool,
}

/// A call that was let in and has not ended. Dropped, it was cancelled.
#[derive(Debug)]
pub(crate) struct Running<C> {
    /// None once it has ended.
    link: Option<Arc<Link<C>>>,
    ticket: Ticket,
    started: Option<Instant>,
}

// ===== impl Link =====

impl<C> Link<C> {
    /// Whether the start of a call matters.
    pub(crate) fn times(&self) -> bool {
        self.circuit.tally().times() || self.on_cancel.times()
    }
}

// ===== impl Running =====

impl<C> Running<C> {
    #[inline]
    pub(crate) const fn new(link: Arc<Link<C>>, ticket: Ticket, started: Option<Instant>) -> Self {
        Self { link: Some(link), ticket, started }
    }

    /// A call that nobody looks at.
    pub(crate) const fn free() -> Self {
        Self { link: None, ticket: Ticket::Free, started: None }
    }

    #[inline]
    pub(crate) const fn take(&mut self) -> Self {
        Self { link: self.link.take(), ticket: self.ticket, started: self.started }
    }

    /// The call has ended; `classify` says how.
    #[inline]
    pub(crate) fn finish(mut self, classify: impl FnOnce(&C) -> Outcome) {
        if let Some(link) = &self.link
            && self.ticket != Ticket::Free
        {
            let verdict = verdict(classify(&link.classify));
            link.circuit.finish(self.ticket, verdict, took(self.started), Instant::now);
        }
        self.link = None;
    }
}

impl<C> Drop for Running<C> {
    #[inline]
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            cancelled(&link, self.ticket, self.started);
        }
    }
}

#[cold]
fn cancelled<C>(link: &Link<C>, ticket: Ticket, started: Option<Instant>) {
    if ticket == Ticket::Free {
        return;
    }
    link.circuit.counts.cancelled.fetch_add(1, Relaxed);
    let took = took(started);
    let verdict = link.on_cancel.verdict(took);
    link.circuit.finish(ticket, verdict, took, Instant::now);
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
        Outcome::Refused { .. } | Outcome::Cancelled => Verdict::Nothing,
    }
}
