use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use donjon_core::{Reject, Rejection, RejectionKind};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    Again, Anything, LAYER, Share,
    control::count,
    seat::{Landed, Seat},
};

pin_project! {
    /// A caller's part in a call that is made for many. It waits for the end of the call, and drives it while it is its
    /// turn.
    ///
    /// It gives up at its own ambient [`Deadline`](donjon_core::Deadline), which does not end the call for the others.
    /// Dropped, it leaves: if it was driving, another one is woken and goes on with the same call at once; if it was the
    /// last, the call ends.
    ///
    /// As a future, it shares every answer, and failures by their rejections: see [`Anything`];
    /// [`poll_shared`](Self::poll_shared) takes another [`Share`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Joined<K, V, E> {
        seat: Option<Seat<K, V, E>>,
        // Made when it first has to wait, if there is a deadline. Boxed, since it would be moved with every call.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

/// What has come of a call for one of those who took part.
#[derive(Debug)]
#[must_use]
pub enum Landing<K, V, E> {
    /// It was this one's own: it has started the call, or was the one to drive it in the end. The error is the original.
    Own(Result<V, E>),
    /// Another one's call was answered, and this is a clone of the answer.
    Joined(V),
    /// Another one's call failed ([`RejectionKind::Shared`]), or this one's deadline has passed
    /// ([`RejectionKind::DeadlineExceeded`]).
    Refused(Rejection),
    /// Another one's call was answered, and the answer is for that one alone: make a call of your own without
    /// [entering](crate::Flights::enter).
    Alone,
    /// Nothing has come of it that concerns this one: it has panicked in another one's hands, or was ended by the
    /// deadline of another one that had less time, or refused to one that is less important. Never told to whoever started
    /// the call.
    Again(Again<K, V, E>),
}

// ===== impl Joined =====

impl<K, V, E> Joined<K, V, E> {
    pub(crate) fn new(seat: Seat<K, V, E>) -> Self {
        Self { seat: Some(seat), timer: None }
    }
}

impl<K, V, E> Joined<K, V, E>
where
    K: Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Reject + Send + 'static,
{
    /// Waits for the end of the call. If it is this one that polls it to its end, `share` says what the others get.
    ///
    /// # Panics
    ///
    /// If the call panics in the hands of this one. And if it is polled again after it was ready.
    pub fn poll_shared<P: Share<V, E>>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        share: &P,
    ) -> Poll<Landing<K, V, E>> {
        let this = self.project();
        // Out of the future while foreign code runs, so that a panic leaves the flight.
        let mut seat = this.seat.take().expect("polled after it was ready");
        let landing = match seat.poll(cx, share) {
            Poll::Ready(Landed::Own(result)) => Landing::Own(result),
            Poll::Ready(Landed::Joined(answer)) => Landing::Joined(answer),
            Poll::Ready(Landed::Refused(rejection)) => Landing::Refused(rejection),
            // Nothing starts after its deadline.
            Poll::Ready(Landed::Alone | Landed::Again) if seat.deadline().has_passed() => Landing::Refused(late(&seat)),
            Poll::Ready(Landed::Alone) => {
                count(&seat.map().control.again);
                Landing::Alone
            }
            Poll::Ready(Landed::Again) => Landing::Again(Again::new(&seat)),
            Poll::Pending => {
                let due = match seat.deadline().instant() {
                    Some(at) => poll_timer(this.timer, at, cx).is_ready(),
                    None => false,
                };
                if !due {
                    *this.seat = Some(seat);
                    return Poll::Pending;
                }
                Landing::Refused(late(&seat))
            }
        };
        drop(seat);
        *this.timer = None;
        Poll::Ready(landing)
    }
}

impl<K, V, E> Future for Joined<K, V, E>
where
    K: Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Reject + Send + 'static,
{
    type Output = Landing<K, V, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.poll_shared(cx, &Anything)))
    }
}

impl<K, V, E> fmt::Debug for Joined<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined").field("ended", &self.seat.is_none()).finish_non_exhaustive()
    }
}

fn late<K, V, E>(seat: &Seat<K, V, E>) -> Rejection {
    count(&seat.map().control.timed_out);
    Rejection::new(RejectionKind::DeadlineExceeded, LAYER).with_phase(seat.phase())
}

/// Pending up to this instant. The clock is asked too, for a task whose cooperative budget is used up: a timer does
/// nothing without it.
pub(crate) fn poll_timer(timer: &mut Option<Pin<Box<Sleep>>>, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
    if timer.as_mut().poll(cx).is_ready() || at <= Instant::now() { Poll::Ready(()) } else { Poll::Pending }
}
