use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use donjon_budget::Share;
use donjon_core::{Deadline, Outcome, Scope};
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    Policy,
    copies::{Copies, Hedged},
    state::State,
};

/// What a service needs: made once by each application of the layer, shared by its clones and their calls.
#[derive(Debug)]
pub(crate) struct Config<P> {
    pub(crate) policy: P,
    pub(crate) share: Share,
    pub(crate) state: Arc<State>,
    pub(crate) bypass: bool,
}

/// What a call has besides its first copy.
pub(crate) struct Call<P, S, Req, F, E> {
    config: Arc<Config<P>>,
    spare: Option<Spare<S, Req>>,
    hedges: Copies<S, Req, F>,
    /// Hedges that were sent.
    sent: u32,
    /// Times of the delay that are over.
    over: usize,
    /// When it was first pending, from which the delays count.
    began: Option<Instant>,
    /// When the first copy was sent, while it is out, if that is measured.
    first: Option<Instant>,
    /// The last error of a copy that was sent.
    error: Option<E>,
}

/// With what a hedge is sent.
pub(crate) struct Spare<S, Req> {
    pub(crate) service: S,
    pub(crate) kept: Req,
    /// At most so many hedges of this call.
    pub(crate) max_hedges: u32,
}

/// What a copy that has ended means for the call.
pub(crate) enum Verdict<T> {
    /// It is the answer.
    Answer(T),
    /// Another one is out and decides.
    Wait,
    /// A hedge was brought forward: it alone is out, and is to be polled.
    Forward,
}

/// Which copy has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    First,
    Hedge,
    /// A hedge whose service has failed before it was sent.
    Unsent,
}

// ===== impl Config =====

impl<P> Config<P> {
    pub(crate) fn max_hedges(&self) -> u32 {
        if self.bypass { 0 } else { self.state.max_hedges.load(Ordering::Relaxed) }
    }

    /// Sends a hedge that waits, if its service is ready.
    fn poll_send<S, Req>(
        &self,
        hedge: Pin<&mut Hedged<S, Req, S::Future>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), S::Error>>
    where
        S: Service<Req>,
    {
        ready!(hedge.poll_send(cx))?;
        self.state.hedges.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_copy<S, Req>(
        &self,
        mut hedge: Pin<&mut Hedged<S, Req, S::Future>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, S::Error>>
    where
        S: Service<Req>,
    {
        if hedge.is_unsent() {
            ready!(self.poll_send(hedge.as_mut(), cx))?;
        }
        hedge.poll_answer(cx)
    }
}

// ===== impl Call =====

impl<P, S, Req, F, E> Call<P, S, Req, F, E> {
    pub(crate) fn new(config: Arc<Config<P>>, spare: Option<Spare<S, Req>>) -> Self {
        // A retry outside sends the same call again, and two per cent of the calls are meant.
        if !config.bypass && Scope::current().attempt() <= 1 {
            config.share.deposit();
        }
        let first = (spare.is_some() && config.state.is_measured()).then(Instant::now);
        Self { config, spare, hedges: Vec::new(), sent: 0, over: 0, began: None, first, error: None }
    }

    /// When the next hedge is due, if one can be.
    pub(crate) fn next_due(&mut self) -> Option<Instant> {
        let state = &self.config.state;
        if self.spare.is_none() && !(self.sent > 0 && state.is_learned()) {
            return None;
        }
        let delay: Duration = state.delay(self.over)?;
        self.began.get_or_insert_with(Instant::now).checked_add(delay)
    }

    /// Whether there is a copy beside the first.
    pub(crate) const fn is_hedged(&self) -> bool {
        !self.hedges.is_empty()
    }

    /// Ends whatever is still out: it took at least as long as it has lasted.
    pub(crate) fn finish(&mut self) {
        self.spare = None;
        self.error = None;
        self.record(self.first);
        self.first = None;
        for mut hedge in mem::take(&mut self.hedges) {
            self.record(hedge.as_mut().take_began());
        }
    }

    fn record(&self, began: Option<Instant>) {
        if let Some(began) = began {
            self.config.state.record(began.elapsed());
        }
    }
}

impl<P, S, Req> Call<P, S, Req, S::Future, S::Error>
where
    S: Service<Req> + Clone,
    P: Policy<Req, S::Response, S::Error>,
{
    /// The time of a hedge has come: sends it as soon as its service is ready, if it is paid for.
    pub(crate) fn due(&mut self) {
        self.over += 1;
        self.config.state.late();
        if !self.may_send() || !self.pay() {
            return;
        }
        if let Some((service, req)) = self.next_copy() {
            let hedge = Hedged::waiting(service, req, self.config.state.is_measured());
            self.hedges.push(Box::pin(hedge));
        }
    }

    /// The next hedge before its time, since nothing else is out. Only if its service is ready now: a failure is at hand
    /// that would else be kept back.
    fn bring_forward(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.may_send() {
            return false;
        }
        let Some(spare) = &self.spare else { return false };
        let mut service = spare.service.clone();
        if !matches!(service.poll_ready(cx), Poll::Ready(Ok(()))) || !self.pay() {
            return false;
        }
        let Some((_, req)) = self.next_copy() else { return false };
        let hedge = Hedged::running(service.call(req), self.config.state.is_measured());
        self.config.state.hedges.fetch_add(1, Ordering::Relaxed);
        self.hedges.push(Box::pin(hedge));
        true
    }

    /// Whether the call has what a hedge needs, and time for it.
    fn may_send(&self) -> bool {
        let Some(spare) = &self.spare else { return false };
        self.config.policy.is_intact(&spare.kept) && !Deadline::current().has_passed()
    }

    fn pay(&self) -> bool {
        let paid = self.config.share.try_take();
        if !paid {
            self.config.state.unpaid.fetch_add(1, Ordering::Relaxed);
        }
        paid
    }

    /// The request of the next hedge, and a service for it. The last one gets what was kept, others a copy of it.
    fn next_copy(&mut self) -> Option<(S, Req)> {
        let policy = &self.config.policy;
        let spare = self.spare.take()?;
        self.sent += 1;
        let copy = if self.sent < spare.max_hedges { policy.replay(&spare.kept) } else { None };
        let (service, mut req) = match copy {
            Some(copy) => {
                let service = spare.service.clone();
                self.spare = Some(spare);
                (service, copy)
            }
            None => (spare.service, spare.kept),
        };
        policy.prepare(&mut req, self.sent);
        Some((service, req))
    }

    /// A copy has ended. A response that was a failure is put into `failed`, to which the caller holds on for this poll and
    /// no longer: it may hold a place that the next copy waits for.
    #[inline]
    pub(crate) fn ended(
        &mut self,
        result: Result<S::Response, S::Error>,
        which: Which,
        began: Option<Instant>,
        first_is_out: bool,
        failed: &mut Option<S::Response>,
        cx: &mut Context<'_>,
    ) -> Verdict<Result<S::Response, S::Error>> {
        if self.spare.is_none() && self.sent == 0 {
            return Verdict::Answer(result); // It could not be hedged.
        }
        let Config { policy, state, .. } = &*self.config;
        let outcome = policy.classify(result.as_ref());
        if outcome.is_success() {
            self.record(began);
            if self.over == 0 {
                state.in_time();
            }
            if which == Which::Hedge {
                state.won.fetch_add(1, Ordering::Relaxed);
            }
            return Verdict::Answer(result);
        }
        let was_sent = which != Which::Unsent && !outcome.is_unsent();
        if first_is_out || self.hedges.iter().any(|hedge| !hedge.is_unsent()) {
            if was_sent {
                self.keep(result, failed);
            }
            return Verdict::Wait;
        }
        // None is out. What may be better at once is tried, unless the service asked for patience; what cannot be sent
        // now does not keep the failure back.
        let hopeful = matches!(outcome, Outcome::Transient { retry_after: None, .. });
        if hopeful && (self.send_waiting(cx) || self.bring_forward(cx)) {
            if was_sent {
                self.keep(result, failed);
            }
            return Verdict::Forward;
        }
        self.hedges.clear();
        if was_sent {
            return Verdict::Answer(result);
        }
        // That nothing was sent would not be true.
        Verdict::Answer(failed.take().map(Ok).or_else(|| self.error.take().map(Err)).unwrap_or(result))
    }

    /// A copy that was sent has failed, and may yet decide.
    fn keep(&mut self, result: Result<S::Response, S::Error>, failed: &mut Option<S::Response>) {
        match result {
            Ok(response) => *failed = Some(response),
            Err(error) => {
                *failed = None;
                self.error = Some(error);
            }
        }
    }

    /// Sends the first of the hedges that wait whose service is ready now, perhaps for what the failed copy has given
    /// back. The others are gone.
    fn send_waiting(&mut self, cx: &mut Context<'_>) -> bool {
        let may_send = !self.hedges.is_empty() && !Deadline::current().has_passed();
        for mut hedge in mem::take(&mut self.hedges) {
            if may_send && matches!(self.config.poll_send(hedge.as_mut(), cx), Poll::Ready(Ok(()))) {
                self.hedges.push(hedge);
                return true;
            }
        }
        false
    }

    /// When the first copy was sent; asked when it has ended.
    pub(crate) fn take_first(&mut self) -> Option<Instant> {
        self.first.take()
    }

    /// Polls the hedges that are out, but for so many of the oldest that were polled already, and says how many were.
    /// Ready when the call has its answer.
    pub(crate) fn poll_hedges(
        &mut self,
        cx: &mut Context<'_>,
        first_is_out: bool,
        polled: &mut usize,
        failed: &mut Option<S::Response>,
    ) -> Poll<Result<S::Response, S::Error>> {
        // No wait outlasts the deadline.
        if self.hedges.iter().any(|hedge| hedge.is_unsent()) && Deadline::current().has_passed() {
            self.hedges.retain(|hedge| !hedge.is_unsent());
            *polled = (*polled).min(self.hedges.len());
        }
        while let Some(hedge) = self.hedges.get_mut(*polled) {
            match self.config.poll_copy(hedge.as_mut(), cx) {
                Poll::Pending => *polled += 1,
                Poll::Ready(result) => {
                    let mut hedge = self.hedges.remove(*polled);
                    let which = if hedge.is_unsent() { Which::Unsent } else { Which::Hedge };
                    let began = hedge.as_mut().take_began();
                    drop(hedge); // What it held is given back before another one may be sent.
                    match self.ended(result, which, began, first_is_out, failed, cx) {
                        Verdict::Answer(result) => return Poll::Ready(result),
                        Verdict::Wait => {}
                        Verdict::Forward => *polled = 0,
                    }
                }
            }
        }
        Poll::Pending
    }
}

impl<P, S, Req, F, E> Drop for Call<P, S, Req, F, E> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl<P, S, Req, F, E> fmt::Debug for Call<P, S, Req, F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("hedges", &self.hedges.len())
            .field("sent", &self.sent)
            .field("may_hedge", &self.spare.is_some())
            .finish_non_exhaustive()
    }
}
