//! The future of a call that may be made once for many.

use std::{
    fmt,
    hash::Hash,
    pin::Pin,
    task::{Context, Poll, ready},
};

use donjon_core::{Reject, Rejection, RejectionKind, Scope};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{Alone, Call, Flights, Joined, LAYER, Landing, Role, Share};

pin_project! {
    /// The response future of [`Coalesce`](crate::Coalesce). Nothing happens before its first poll: then it joins the call
    /// of its key, or starts it. `S` and `R` are the service inside and its request, `K` is the key, and `P` says what is
    /// shared.
    ///
    /// Dropping it ends the call only if nobody else takes part.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, R, K, P>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, R, K>,
        share: P,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R, K>
    where
        S: Service<R>,
    {
        Enters { entering: Option<(Flights<K, S::Response, S::Error>, K, S, R)> },
        Joined {
            #[pin]
            joined: Joined<K, S::Response, S::Error>,
            // What it takes to start again. Whoever has started never has to.
            kept: Option<(S, R)>,
        },
        Alone {
            #[pin]
            alone: Alone<S, R, S::Future>,
        },
        Done,
    }
}

// ===== impl ResponseFuture =====

impl<S: Service<R>, R, K, P> ResponseFuture<S, R, K, P> {
    pub(crate) fn enters(flights: Flights<K, S::Response, S::Error>, key: K, inner: S, request: R, share: P) -> Self {
        Self { state: State::Enters { entering: Some((flights, key, inner, request)) }, share }
    }

    pub(crate) fn alone(inner: S, request: R, share: P) -> Self {
        Self { state: State::Alone { alone: Alone::new(LAYER, inner, request) }, share }
    }
}

impl<S, R, K, P> Future for ResponseFuture<S, R, K, P>
where
    S: Service<R> + Send + 'static,
    S::Response: Clone + Send + Sync + 'static,
    S::Error: Reject + Send + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
    K: Hash + Eq + Clone + Send + Sync + 'static,
    P: Share<S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Enters { entering } => {
                    let (flights, key, inner, request) = entering.take().expect("it enters once");
                    if Scope::current().has_passed() {
                        this.state.set(State::Done);
                        return refuse(Rejection::new(RejectionKind::DeadlineExceeded, LAYER));
                    }
                    take_part(flights.into_role(key), inner, request)
                }
                StateProj::Joined { joined, kept } => match ready!(joined.poll_shared(cx, this.share)) {
                    Landing::Own(result) => {
                        this.state.set(State::Done);
                        return Poll::Ready(result);
                    }
                    Landing::Joined(answer) => {
                        this.state.set(State::Done);
                        return Poll::Ready(Ok(answer));
                    }
                    Landing::Refused(rejection) => {
                        this.state.set(State::Done);
                        return refuse(rejection);
                    }
                    Landing::Alone => {
                        let (inner, request) = kept.take().expect("whoever has started gets the end of it");
                        State::Alone { alone: Alone::new(LAYER, inner, request) }
                    }
                    Landing::Again(again) => {
                        let (inner, request) = kept.take().expect("whoever has started gets the end of it");
                        take_part(again.enter(), inner, request)
                    }
                },
                StateProj::Alone { alone } => {
                    let result = ready!(alone.poll(cx));
                    this.state.set(State::Done);
                    return Poll::Ready(result);
                }
                StateProj::Done => panic!("a coalesced call was polled after it had ended"),
            };
            if let State::Done = next {
                this.state.set(State::Done);
                return refuse(Rejection::new(RejectionKind::Overloaded, LAYER));
            }
            this.state.set(next);
        }
    }
}

/// `Done` if there is no room.
fn take_part<S, R, K>(role: Role<K, S::Response, S::Error>, inner: S, request: R) -> State<S, R, K>
where
    S: Service<R> + Send + 'static,
    S::Error: Reject,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    match role {
        Role::Lead(lead) => State::Joined { joined: lead.run(Call::new(LAYER, inner, request)), kept: None },
        Role::Follow(joined) => State::Joined { joined, kept: Some((inner, request)) },
        Role::Full => State::Done,
    }
}

fn refuse<V, E: Reject>(rejection: Rejection) -> Poll<Result<V, E>> {
    Poll::Ready(Err(E::from_rejection(rejection)))
}

impl<S: Service<R>, R, K, P> fmt::Debug for ResponseFuture<S, R, K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Enters { .. } => "enters",
            State::Joined { kept: None, .. } => "leads",
            State::Joined { kept: Some(_), .. } => "follows",
            State::Alone { .. } => "alone",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
