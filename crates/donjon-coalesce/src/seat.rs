use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    task::{Context, Poll},
};

use donjon_core::{Deadline, Phase, Reject, Rejection, RejectionKind};

use crate::{
    LAYER,
    control::count,
    flight::{End, Flight, wake},
    flights::Map,
    means::{Lack, Means},
    share::{Share, shared_failure},
    state::{BoxRun, Own, Stage, State},
    sync::lock,
};

/// The part of one caller in a flight. Dropped, it leaves.
pub(crate) struct Seat<K, V, E> {
    map: Arc<Map<K, V, E>>,
    flight: Arc<Flight<K, V, E>>,
    ticket: u64,
    /// What this caller has, once it had to be known.
    means: Option<Means>,
    /// The call, up to the first poll of the one that has started it.
    unpolled: Option<BoxRun<V, E>>,
    /// It knows how the flight has ended.
    landed: bool,
}

/// What has come of a flight for one caller.
pub(crate) enum Landed<V, E> {
    Own(Result<V, E>),
    Joined(V),
    Refused(Rejection),
    Alone,
    Again,
}

// ===== impl Seat =====

impl<K, V, E> Seat<K, V, E> {
    /// That of the driver.
    pub(crate) fn first(map: Arc<Map<K, V, E>>, flight: Arc<Flight<K, V, E>>) -> Self {
        Self::new(map, flight, State::<V, E>::FIRST)
    }

    /// That of the one who has sat down with this ticket.
    pub(crate) fn new(map: Arc<Map<K, V, E>>, flight: Arc<Flight<K, V, E>>, ticket: u64) -> Self {
        Self { map, flight, ticket, means: None, unpolled: None, landed: false }
    }

    pub(crate) fn flight(&self) -> &Arc<Flight<K, V, E>> {
        &self.flight
    }

    pub(crate) fn map(&self) -> &Arc<Map<K, V, E>> {
        &self.map
    }

    /// The deadline of this caller, fixed when it is first asked for.
    pub(crate) fn deadline(&mut self) -> Deadline {
        self.means().deadline
    }

    fn means(&mut self) -> Means {
        *self.means.get_or_insert_with(Means::current)
    }

    /// How far the call is, for one who gives up.
    pub(crate) fn phase(&self) -> Phase {
        let state = lock(&self.flight.state);
        if state.begun {
            Phase::Attempt
        } else if state.is_driver(self.ticket) {
            Phase::Ready
        } else {
            Phase::Queue
        }
    }

    /// The call is there, for this one to poll first.
    pub(crate) fn hold(&mut self, future: BoxRun<V, E>) {
        self.unpolled = Some(future);
    }

    /// The call is there, for whoever comes first.
    pub(crate) fn start(&self, future: BoxRun<V, E>) {
        let wakers = {
            let mut state = lock(&self.flight.state);
            state.stage = Stage::Parked(future);
            // Those who have joined meanwhile wait for somebody to poll.
            state.wake()
        };
        wake(wakers.into_iter().flatten());
    }
}

impl<K, V, E> Seat<K, V, E>
where
    K: Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Reject + Send + 'static,
{
    /// Waits for the end of the call, and polls it if it has to be polled and nobody else does. Once it is ready it is
    /// not to be polled again.
    pub(crate) fn poll<P: Share<V, E>>(&mut self, cx: &mut Context<'_>, share: &P) -> Poll<Landed<V, E>> {
        if let Some(future) = self.unpolled.take() {
            return self.poll_call(future, cx, share);
        }
        if self.ticket != State::<V, E>::FIRST {
            // Whether it may poll for the driver depends on them.
            self.means();
        }
        let mut state = lock(&self.flight.state);
        if state.is_over() {
            let own = state.take_own(self.ticket);
            drop(state);
            return Poll::Ready(match own {
                Some(own) => self.land_own(*own),
                None => self.land_joined(),
            });
        }
        if let Some(future) = state.take_turn(self.ticket, self.means) {
            drop(state);
            return self.poll_call(future, cx, share);
        }
        let means = *self.means.get_or_insert_with(Means::current);
        let replaced = state.register(self.ticket, cx.waker(), means);
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// Polls the call, which no other does meanwhile.
    fn poll_call<P: Share<V, E>>(
        &mut self,
        future: BoxRun<V, E>,
        cx: &mut Context<'_>,
        share: &P,
    ) -> Poll<Landed<V, E>> {
        let waker = self.flight.waker();
        let mut slot = Some(future);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let Some(future) = &mut slot else { unreachable!("it was put there") };
            let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) else {
                return Poll::Pending;
            };
            // What it holds is free before anybody is told.
            slot = None;
            let (end, lack) = self.share(&result, share);
            Poll::Ready((end, Own::Result(result, lack)))
        }));
        let (end, own) = match polled {
            Ok(Poll::Ready((None, own))) => return Poll::Ready(self.land_own(own)),
            Ok(Poll::Ready((Some(end), own))) => (end, own),
            Ok(Poll::Pending) => {
                if let Some(future) = slot {
                    self.park(future, cx);
                }
                return Poll::Pending;
            }
            Err(payload) => {
                // A future that panicked may do so once more when it goes.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(slot)));
                self.map.retire(&self.flight);
                (End::Nothing, Own::Panic(payload))
            }
        };
        Poll::Ready(match self.flight.land(self.ticket, end, own) {
            Some(own) => self.land_own(own),
            None => self.land_joined(),
        })
    }

    /// Retires the flight, and says what others get of this result: `None` if there are none, and never were.
    fn share<P: Share<V, E>>(&mut self, result: &Result<V, E>, share: &P) -> (Option<End<V>>, Option<Lack>) {
        // Nobody joins any more.
        self.map.retire(&self.flight);
        if self.flight.is_lonely() {
            return (None, None);
        }
        let (drives, others, mut least) = {
            let state = lock(&self.flight.state);
            (state.is_driver(self.ticket), state.followers() > 0, state.least)
        };
        let (end, lack) = match result {
            Ok(answer) if others && share.shares(answer) => (End::Answer(answer.clone()), None),
            Ok(_) => (End::Alone, None),
            Err(error) => {
                if drives {
                    least = least.least(self.means());
                }
                let lack = error.as_rejection().and_then(|rejection| lack(rejection, least));
                if others {
                    (End::Failure(Box::new((shared_failure(LAYER, share, error), lack))), lack)
                } else {
                    (End::Nothing, lack)
                }
            }
        };
        (Some(end), lack)
    }

    fn park(&mut self, future: BoxRun<V, E>, cx: &mut Context<'_>) {
        let means = self.means();
        let (_replaced, wakers) = {
            let mut state = lock(&self.flight.state);
            state.park(future, self.ticket, means);
            let replaced = state.register(self.ticket, cx.waker(), means);
            // It was woken while it was polled, or it has another driver since.
            (replaced, if state.woken { state.wake() } else { [None, None] })
        };
        wake(wakers.into_iter().flatten());
    }

    fn land_own(&mut self, own: Own<V, E>) -> Landed<V, E> {
        self.landed = true;
        match own {
            Own::Result(Err(_), Some(lack)) if self.has_more(lack) => Landed::Again,
            Own::Result(result, _) => Landed::Own(result),
            Own::Panic(payload) => resume_unwind(payload),
        }
    }

    fn land_joined(&mut self) -> Landed<V, E> {
        self.landed = true;
        let means = self.means();
        match self.flight.end.get() {
            Some(End::Answer(answer)) => Landed::Joined(answer.clone()),
            Some(End::Alone) => Landed::Alone,
            Some(End::Failure(failure)) => match &**failure {
                (_, Some(lack)) if means.exceed(*lack) => Landed::Again,
                (rejection, _) => Landed::Refused(rejection.clone()),
            },
            Some(End::Nothing) | None => Landed::Again,
        }
    }

    /// Whether this caller has more of what those lacked who have driven the call. Whoever has started it has not: it is
    /// one of them.
    fn has_more(&mut self, lack: Lack) -> bool {
        self.ticket != State::<V, E>::FIRST && self.means().exceed(lack)
    }
}

/// What a call was refused for, if one with more of it need not be: `least` is what those had that have driven it.
fn lack(rejection: &Rejection, least: Means) -> Option<Lack> {
    match rejection.kind() {
        // Before that instant only what was not even tried can have been refused for it.
        RejectionKind::DeadlineExceeded if !rejection.may_have_been_sent() || least.deadline.has_passed() => {
            least.deadline.instant().map(Lack::Time)
        }
        RejectionKind::Overloaded => Some(Lack::Importance(least.criticality)),
        _ => None,
    }
}

impl<K, V, E> Drop for Seat<K, V, E> {
    fn drop(&mut self) {
        if self.landed {
            return;
        }
        let Self { map, flight, ticket, unpolled, .. } = self;
        let mut left = lock(&flight.state).leave(*ticket);
        if left.promoted {
            count(&map.control.promoted);
        }
        let closes = left.closes.then(|| Closes { map, flight });
        drop(left.future.take());
        drop(unpolled.take());
        drop(closes);
        wake(left.wake.into_iter().flatten());
    }
}

// ===== impl Closes =====

/// Closes a flight when its future is gone, even if that has panicked.
struct Closes<'a, K, V, E> {
    map: &'a Map<K, V, E>,
    flight: &'a Flight<K, V, E>,
}

impl<K, V, E> Drop for Closes<'_, K, V, E> {
    fn drop(&mut self) {
        self.map.retire(self.flight);
        let wakers = lock(&self.flight.state).close();
        wake(wakers);
    }
}
