use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, OnceLock},
    task::{Context, Poll, Wake, Waker},
};

use donjon_core::{Deadline, Phase, Reject, Rejection, RejectionKind};

use crate::{
    LAYER,
    control::count,
    flights::Map,
    means::{Lack, Means},
    share::{Share, shared_failure},
    state::{BoxRun, Own, Stage, State},
    sync::{Mutex, lock},
};

/// One call, and all who wait for it. It is itself the waker that the running call gets: whoever drives, the call always
/// knows whom to wake.
pub(crate) struct Flight<K, V, E> {
    key: K,
    hash: u64,
    map: Arc<Map<K, V, E>>,
    state: Mutex<State<V, E>>,
    /// Set before the state says that the call has ended, and read without its lock.
    end: OnceLock<End<V>>,
}

/// How a call has ended, for all but its driver.
enum End<V> {
    Answer(V),
    /// The answer is for one alone.
    Alone,
    /// It failed; and for want of what, if others may have more of that.
    Failure(Rejection, Option<Lack>),
    /// Nothing has come of it.
    Nothing,
}

/// The part of one caller in a flight. Dropped, it leaves.
pub(crate) struct Seat<K, V, E> {
    flight: Arc<Flight<K, V, E>>,
    ticket: u64,
    /// What this caller has, once it had to be known.
    means: Option<Means>,
}

/// What has come of a flight for one caller.
pub(crate) enum Landed<V, E> {
    Own(Result<V, E>),
    Joined(V),
    Refused(Rejection),
    Alone,
    Again,
}

// ===== impl Flight =====

impl<K, V, E> Flight<K, V, E> {
    pub(crate) fn begin(map: Arc<Map<K, V, E>>, key: K, hash: u64) -> (Arc<Self>, Seat<K, V, E>) {
        let this = Self { key, hash, map, state: Mutex::new(State::new()), end: OnceLock::new() };
        let this = Arc::new(this);
        let seat = Seat { flight: Arc::clone(&this), ticket: State::<V, E>::FIRST, means: None };
        (this, seat)
    }

    /// A place among the followers, if there is one. For a flight that was found in the map: it is retired from there
    /// before it ends, so whoever sits down is told of the end.
    pub(crate) fn sit(this: &Arc<Self>, max_followers: usize) -> Option<Seat<K, V, E>> {
        let mut state = lock(&this.state);
        if state.followers() >= max_followers {
            return None;
        }
        let ticket = state.sit();
        drop(state);
        Some(Seat { flight: Arc::clone(this), ticket, means: None })
    }

    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn map(&self) -> &Arc<Map<K, V, E>> {
        &self.map
    }

    /// The call has to be polled.
    fn notify(&self) {
        let wakers = lock(&self.state).wake();
        wake(wakers.into_iter().flatten());
    }

    /// Ends the flight, and gives the end back if it is this one's own.
    fn land(&self, ticket: u64, end: End<V>, own: Own<V, E>) -> Option<Own<V, E>> {
        self.map.retire(self);
        // The one that polls the call is the only one that ends it.
        let _ = self.end.set(end);
        let (own, driver, followers) = lock(&self.state).end(ticket, own);
        wake(driver);
        wake(followers);
        own
    }

    /// What others get of this result; nothing is made of it for nobody.
    fn share<P>(&self, seat: &mut Seat<K, V, E>, result: &Result<V, E>, share: &P) -> (End<V>, Option<Lack>)
    where
        V: Clone,
        E: Reject,
        P: Share<V, E>,
    {
        // Nobody joins any more.
        self.map.retire(self);
        let (drives, others, mut least) = {
            let state = lock(&self.state);
            (state.is_driver(seat.ticket), state.followers() > 0, state.least)
        };
        match result {
            Ok(answer) if others && share.shares(answer) => (End::Answer(answer.clone()), None),
            Ok(_) => (End::Alone, None),
            Err(error) => {
                if drives {
                    least = least.least(seat.means());
                }
                let lack = error.as_rejection().and_then(|rejection| lack(rejection, least));
                if others {
                    (End::Failure(shared_failure(LAYER, share, error), lack), lack)
                } else {
                    (End::Nothing, lack)
                }
            }
        }
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

impl<K, V, E> Wake for Flight<K, V, E>
where
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    E: Send + 'static,
{
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

// ===== impl Seat =====

impl<K, V, E> Seat<K, V, E> {
    pub(crate) fn flight(&self) -> &Arc<Flight<K, V, E>> {
        &self.flight
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

    /// The call is there.
    pub(crate) fn start(&self, future: BoxRun<V, E>) {
        let wakers = {
            let mut state = lock(&self.flight.state);
            state.stage = Stage::Parked(future);
            // Those who have joined meanwhile, and wait for somebody to poll.
            if state.followers() > 0 { state.wake() } else { [None, None] }
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
        let flight = Arc::clone(&self.flight);
        if self.ticket != State::<V, E>::FIRST {
            // Whether it may poll for the driver depends on them.
            self.means();
        }
        let mut state = lock(&flight.state);
        if state.is_over() {
            let own = state.take_own(self.ticket);
            drop(state);
            return Poll::Ready(match own {
                Some(own) => self.land_own(own),
                None => self.land_joined(),
            });
        }
        if let Some(future) = state.take_turn(self.ticket, self.means) {
            drop(state);
            return self.poll_call(future, cx, share);
        }
        let replaced = state.register(self.ticket, cx.waker(), self.means());
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
        let flight = Arc::clone(&self.flight);
        let waker = Waker::from(Arc::clone(&flight));
        let mut slot = Some(future);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let Some(future) = &mut slot else { unreachable!("it was put there") };
            let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) else {
                return Poll::Pending;
            };
            // What it holds is free before anybody is told.
            slot = None;
            let (end, lack) = flight.share(self, &result, share);
            Poll::Ready((end, Own::Result(result, lack)))
        }));
        let (end, own) = match polled {
            Ok(Poll::Ready(ended)) => ended,
            Ok(Poll::Pending) => {
                if let Some(future) = slot {
                    self.park(future, cx);
                }
                return Poll::Pending;
            }
            Err(payload) => {
                // A future that panicked may do so once more when it goes.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(slot)));
                (End::Nothing, Own::Panic(payload))
            }
        };
        Poll::Ready(match flight.land(self.ticket, end, own) {
            Some(own) => self.land_own(own),
            None => self.land_joined(),
        })
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
        match own {
            Own::Result(Err(_), Some(lack)) if self.has_more(lack) => Landed::Again,
            Own::Result(result, _) => Landed::Own(result),
            Own::Panic(payload) => resume_unwind(payload),
        }
    }

    fn land_joined(&mut self) -> Landed<V, E> {
        let flight = Arc::clone(&self.flight);
        match flight.end.get() {
            Some(End::Answer(answer)) => Landed::Joined(answer.clone()),
            Some(End::Alone) => Landed::Alone,
            Some(End::Failure(_, Some(lack))) if self.has_more(*lack) => Landed::Again,
            Some(End::Failure(rejection, _)) => Landed::Refused(rejection.clone()),
            Some(End::Nothing) | None => Landed::Again,
        }
    }

    /// Whether this caller has more of what those lacked who have driven the call. Whoever has started it has not: it is
    /// one of them.
    fn has_more(&mut self, lack: Lack) -> bool {
        self.ticket != State::<V, E>::FIRST && self.means().exceed(lack)
    }
}

impl<K, V, E> Drop for Seat<K, V, E> {
    fn drop(&mut self) {
        let mut left = lock(&self.flight.state).leave(self.ticket);
        if left.promoted {
            count(&self.flight.map.control.promoted);
        }
        let closes = left.closes.then(|| Closes { flight: &self.flight });
        drop(left.future.take());
        drop(closes);
        wake(left.wake.into_iter().flatten());
    }
}

// ===== impl Closes =====

/// Closes a flight when its future is gone, even if that has panicked.
struct Closes<'a, K, V, E> {
    flight: &'a Flight<K, V, E>,
}

impl<K, V, E> Drop for Closes<'_, K, V, E> {
    fn drop(&mut self) {
        self.flight.map.retire(self.flight);
        let wakers = lock(&self.flight.state).close();
        wake(wakers);
    }
}

/// Wakers run foreign code, so they run without the lock.
fn wake(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}
