use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use donjon_core::{Deadline, Phase, Reject, Rejection, RejectionKind, Scope};
use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use tokio::{
    task::coop,
    time::{Instant, Sleep, sleep_until},
};
use tower_service::Service;

use crate::{
    FanOut,
    item::{Done, Item},
};

const LAYER: &str = "fanout";

/// What all forms share: reads the source, keeps calls in flight, ends them at the deadline. Each request gets exactly
/// one result, in the order of completion.
pub(crate) struct Engine<S, K, Req, Src>
where
    S: Service<Req>,
{
    service: S,
    // None once it has ended.
    source: Option<Src>,
    at_once: usize,
    deadline: Deadline,
    // Taken out during a poll, so that a panic drops all calls; None after one.
    in_flight: Option<FuturesUnordered<Item<S, K, Req>>>,
    // Given up at the deadline, not yet reported.
    expired: VecDeque<(usize, K, Phase)>,
    read: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Nothing in it is ever pinned but what is boxed.
impl<S, K, Req, Src> Unpin for Engine<S, K, Req, Src> where S: Service<Req> {}

type ItemOf<S, K, Req> = Done<K, <S as Service<Req>>::Response, <S as Service<Req>>::Error>;

// ===== impl Engine =====

impl<S, K, Req, Src> Engine<S, K, Req, Src>
where
    S: Service<Req>,
{
    pub(crate) fn new(fan_out: FanOut<S, Src>) -> Self {
        Self {
            service: fan_out.service,
            source: Some(fan_out.source),
            at_once: fan_out.at_once,
            deadline: fan_out.deadline,
            in_flight: Some(FuturesUnordered::new()),
            expired: VecDeque::new(),
            read: 0,
            timer: None,
        }
    }

    pub(crate) fn at_once(&self) -> usize {
        self.at_once
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.as_ref().map_or(0, FuturesUnordered::len)
    }

    /// How many requests were read from the source so far.
    pub(crate) fn read(&self) -> usize {
        self.read
    }

    /// Whether nothing more is started, though the source may go on for ever: for the deadline, or since none may be in
    /// flight.
    pub(crate) fn only_refuses(&self) -> bool {
        let is_idle = self.in_flight() == 0 && self.expired.is_empty();
        is_idle && (self.at_once == 0 || self.deadline.earlier(Deadline::current()).has_passed())
    }

    pub(crate) fn is_terminated(&self) -> bool {
        match &self.in_flight {
            Some(in_flight) => in_flight.is_empty() && self.expired.is_empty() && self.source.is_none(),
            None => true,
        }
    }
}

impl<S, K, Req, Src> Engine<S, K, Req, Src>
where
    S: Service<Req>,
    Src: Stream,
{
    /// How many results are still to come.
    pub(crate) fn size_hint(&self) -> (usize, Option<usize>) {
        let Some(in_flight) = &self.in_flight else { return (0, Some(0)) };
        let known = in_flight.len() + self.expired.len();
        let (low, high) = self.source.as_ref().map_or((0, Some(0)), Stream::size_hint);
        (known.saturating_add(low), high.and_then(|high| known.checked_add(high)))
    }
}

impl<S, K, Req, Src> Engine<S, K, Req, Src>
where
    S: Service<Req> + Clone,
    S::Error: Reject,
    Src: Stream<Item = (K, Req)> + Unpin,
{
    /// The next result; reads at most `room` further requests to get it.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<Option<ItemOf<S, K, Req>>> {
        if self.in_flight.is_none() {
            return Poll::Ready(None);
        }
        // Results that are always there would otherwise keep the thread, and a timeout around all of it from firing.
        let turn = ready!(coop::poll_proceed(cx));
        let Some(mut in_flight) = self.in_flight.take() else { return Poll::Ready(None) };
        let polled = self.step(&mut in_flight, cx, room);
        self.in_flight = Some(in_flight);
        if polled.is_ready() {
            turn.made_progress();
        }
        polled
    }

    fn step(
        &mut self,
        in_flight: &mut FuturesUnordered<Item<S, K, Req>>,
        cx: &mut Context<'_>,
        mut room: usize,
    ) -> Poll<Option<ItemOf<S, K, Req>>> {
        let deadline = self.deadline.earlier(Deadline::current());
        loop {
            if let Some((index, key, phase)) = self.expired.pop_front() {
                return Poll::Ready(Some(refused(index, key, RejectionKind::DeadlineExceeded, phase)));
            }

            let mut starved = false;
            while let Some(source) = &mut self.source {
                if self.at_once != 0 && (in_flight.len() >= self.at_once || room == 0) {
                    break;
                }
                match Pin::new(source).poll_next(cx) {
                    Poll::Ready(Some((key, request))) => {
                        let index = self.read;
                        self.read += 1;
                        if self.at_once == 0 {
                            let kind = RejectionKind::Overloaded;
                            return Poll::Ready(Some(refused(index, key, kind, Phase::Admission)));
                        }
                        if deadline.has_passed() {
                            // What is in flight goes first: either it is done, or the timer ends it below.
                            self.expired.push_back((index, key, Phase::Queue));
                            break;
                        }
                        room -= 1;
                        in_flight.push(Item::new(index, key, self.service.clone(), request));
                    }
                    Poll::Ready(None) => self.source = None,
                    Poll::Pending => {
                        starved = true;
                        break;
                    }
                }
            }

            // The calls see the deadline of the fan-out.
            let mut scope = Scope::current().with_deadline(deadline);
            if let Poll::Ready(Some(done)) = scope.enter(|| Pin::new(&mut *in_flight).poll_next(cx)) {
                return Poll::Ready(Some(done));
            }
            if in_flight.is_empty() && self.source.is_none() {
                self.timer = None;
                return Poll::Ready(None);
            }

            let Some(at) = deadline.instant() else { return Poll::Pending };
            if self.poll_timer(at, cx).is_pending() {
                return Poll::Pending;
            }
            if starved {
                self.source = None;
            }
            self.give_up(in_flight);
        }
    }

    fn poll_timer(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        // The ambient deadline is another one where the stream is polled from somewhere else.
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        // A timer does not fire in a turn whose budget is used up, and busy calls may leave no other kind of turn.
        if timer.as_mut().poll(cx).is_ready() || (!coop::has_budget_remaining() && Deadline::at(at).has_passed()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Cancels all that is in flight, and keeps what their refusals need.
    fn give_up(&mut self, in_flight: &mut FuturesUnordered<Item<S, K, Req>>) {
        if in_flight.is_empty() {
            return;
        }
        let mut given_up = std::mem::take(in_flight);
        self.expired.extend(Pin::new(&mut given_up).iter_pin_mut().filter_map(Item::give_up));
        self.expired.make_contiguous().sort_unstable_by_key(|(index, ..)| *index);
    }
}

fn refused<K, T, E: Reject>(index: usize, key: K, kind: RejectionKind, phase: Phase) -> Done<K, T, E> {
    let rejection = Rejection::new(kind, LAYER).with_phase(phase);
    Done { index, key, result: Err(E::from_rejection(rejection)) }
}
