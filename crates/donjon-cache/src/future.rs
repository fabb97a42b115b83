//! The future of a call through a cache.

use std::{
    fmt,
    hash::Hash,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use donjon_coalesce::{Alone, Landing, Role};
use donjon_core::{Reject, Rejection, RejectionKind, Scope};
use donjon_store::Found;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    CacheStore, Form, LAYER, Retention, Verdict,
    changes::Changes,
    core::State as Shared,
    fetch::Fetch,
    flown::{ByForm, Flown},
    miss::{Miss, Sorted},
    stats::count,
    types::{JoinedOf, MissOf, ResponseOf, ResultOf, RoleOf},
};

pin_project! {
    /// The response future of [`Cache`](crate::Cache). A hit is ready. A miss does nothing before its first poll: then it
    /// joins the call of its key, or starts it.
    ///
    /// Dropping it ends the call only if nobody else takes part.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, R, K, F, P, St>
    where
        S: Service<R>,
        F: Form<R, S::Response, S::Error>,
        St: CacheStore<K, F::Value>,
    {
        #[pin]
        course: Course<S, R, K, F, P, St>,
    }
}

pin_project! {
    #[project = CourseProj]
    enum Course<S, R, K, F, P, St>
    where
        S: Service<R>,
        F: Form<R, S::Response, S::Error>,
        St: CacheStore<K, F::Value>,
    {
        Hit { response: Option<ResponseOf<S, R, F>> },
        // Boxed, since a hit would be moved in a room as large as all of it.
        Work { work: Pin<Box<Work<S, R, K, F, P, St>>> },
        Passes {
            #[pin]
            alone: Alone<S, R, S::Future>,
            form: F,
            // Dropped when the call is over, however it ends.
            _changes: Option<Changes<K, F::Value, St>>,
        },
        Done,
    }
}

pin_project! {
    /// What is not a plain hit.
    struct Work<S, R, K, F, P, St>
    where
        S: Service<R>,
        F: Form<R, S::Response, S::Error>,
        St: CacheStore<K, F::Value>,
    {
        #[pin]
        state: State<S, R, K, F, P, St>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R, K, F, P, St>
    where
        S: Service<R>,
        F: Form<R, S::Response, S::Error>,
        St: CacheStore<K, F::Value>,
    {
        Ended { result: Option<ResultOf<S, R, F>> },
        Looks {
            #[pin]
            lookup: St::Lookup,
            miss: Option<MissOf<S, R, K, F, P, St>>,
        },
        Enters { miss: Option<MissOf<S, R, K, F, P, St>> },
        Joined {
            #[pin]
            joined: JoinedOf<S, R, K, F>,
            rest: Rest<S, R, K, F, St>,
            // What it takes to start again. Whoever has started never has to.
            kept: Option<MissOf<S, R, K, F, P, St>>,
        },
        Alone {
            #[pin]
            alone: Alone<S, R, S::Future>,
            rest: Rest<S, R, K, F, St>,
        },
        Done,
    }
}

/// What it takes to end a call: how a response is made, and what to serve if there is none.
struct Rest<S, R, K, F, St>
where
    S: Service<R>,
    F: Form<R, S::Response, S::Error>,
{
    form: F,
    state: Arc<Shared<K, F::Value, St>>,
    stale: Option<Found<F::Value>>,
    types: PhantomData<fn(S, R)>,
}

const ENDED: &str = "a call through a cache was polled after it had ended";

// ===== impl ResponseFuture =====

impl<S, R, K, F, P, St> ResponseFuture<S, R, K, F, P, St>
where
    S: Service<R>,
    F: Form<R, S::Response, S::Error>,
    St: CacheStore<K, F::Value>,
{
    #[inline]
    pub(crate) fn found(response: F::Response) -> Self {
        Self { course: Course::Hit { response: Some(response) } }
    }

    pub(crate) fn looks(lookup: St::Lookup, miss: MissOf<S, R, K, F, P, St>) -> Self {
        Self::works(State::Looks { lookup, miss: Some(miss) })
    }

    pub(crate) fn enters(miss: MissOf<S, R, K, F, P, St>) -> Self {
        Self::works(State::Enters { miss: Some(miss) })
    }

    fn works(state: State<S, R, K, F, P, St>) -> Self {
        Self { course: Course::Work { work: Box::pin(Work { state }) } }
    }

    pub(crate) fn passes(inner: S, request: R, form: F, changes: Option<Changes<K, F::Value, St>>) -> Self {
        Self { course: Course::Passes { alone: Alone::new(LAYER, inner, request), form, _changes: changes } }
    }
}

/// Takes part in the call of its key, or starts it.
#[inline]
fn take_part<S, R, K, F, P, St>(
    role: RoleOf<S, R, K, F>,
    mut miss: MissOf<S, R, K, F, P, St>,
) -> State<S, R, K, F, P, St>
where
    S: Service<R> + Send + 'static,
    S::Error: Reject + Send + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
    K: Hash + Eq + Clone + Send + Sync + 'static,
    F: Form<R, S::Response, S::Error> + Clone + Send + Sync + 'static,
    F::Capture: Send,
    P: Retention<K, F::Value> + Clone + Send + 'static,
    St: CacheStore<K, F::Value>,
{
    match role {
        Role::Lead(lead) => {
            if let Some(found) = miss.look_again() {
                return State::ended(Ok(serve::<F, R, S::Response, S::Error>(&miss.form, found, Instant::now())));
            }
            let Miss { state, claim, inner, request, form, policy, now, stale, brought: _ } = miss;
            let joined = lead.run(Fetch::new(form.clone(), policy, claim, now, inner, request));
            State::Joined { joined, rest: Rest { form, state, stale, types: PhantomData }, kept: None }
        }
        Role::Follow(joined) => {
            count(&miss.state.core().counters.coalesced);
            State::Joined { joined, rest: Rest::of(&miss), kept: Some(miss) }
        }
        Role::Full => State::ended(Rest::of(&miss).refuse(Rejection::new(RejectionKind::Overloaded, LAYER))),
    }
}

impl<S, R, K, F, P, St> Future for ResponseFuture<S, R, K, F, P, St>
where
    S: Service<R> + Send + 'static,
    S::Error: Reject + Send + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
    K: Hash + Eq + Clone + Send + Sync + 'static,
    F: Form<R, S::Response, S::Error> + Clone + Send + Sync + 'static,
    F::Capture: Send,
    P: Retention<K, F::Value> + Clone + Send + 'static,
    St: CacheStore<K, F::Value>,
{
    type Output = Result<F::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut course = self.project().course;
        let result = match course.as_mut().project() {
            CourseProj::Hit { response } => return Poll::Ready(Ok(response.take().expect(ENDED))),
            CourseProj::Work { work } => ready!(work.as_mut().poll(cx)),
            CourseProj::Passes { alone, form, .. } => ready!(alone.poll(cx)).map(|response| form.pass(response)),
            CourseProj::Done => panic!("{ENDED}"),
        };
        // What the call held goes now, though the finished future may stay alive.
        course.set(Course::Done);
        Poll::Ready(result)
    }
}

impl<S, R, K, F, P, St> Future for Work<S, R, K, F, P, St>
where
    S: Service<R> + Send + 'static,
    S::Error: Reject + Send + 'static,
    S::Future: Send + 'static,
    R: Send + 'static,
    K: Hash + Eq + Clone + Send + Sync + 'static,
    F: Form<R, S::Response, S::Error> + Clone + Send + Sync + 'static,
    F::Capture: Send,
    P: Retention<K, F::Value> + Clone + Send + 'static,
    St: CacheStore<K, F::Value>,
{
    type Output = Result<F::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let result = loop {
            let following = match state.as_mut().project() {
                StateProj::Ended { result } => break result.take().expect("it ends once"),
                StateProj::Looks { lookup, miss } => {
                    let looked = ready!(lookup.poll(cx));
                    let now = Instant::now();
                    let miss = Miss { now, ..miss.take().expect("it looks once") };
                    match Sorted::of(miss.state.core(), looked, now) {
                        Sorted::Serve(found, renewal) => {
                            let response = serve::<F, R, S::Response, S::Error>(&miss.form, found, now);
                            if let Some(renewal) = renewal {
                                miss.renew(renewal);
                            }
                            break Ok(response);
                        }
                        Sorted::Call(needed) => State::Enters { miss: Some(miss.needed(needed)) },
                    }
                }
                StateProj::Enters { miss } => {
                    let miss = miss.take().expect("it enters once");
                    // Nothing starts after its deadline.
                    if Scope::current().has_passed() {
                        break Rest::of(&miss).refuse(Rejection::new(RejectionKind::DeadlineExceeded, LAYER));
                    }
                    take_part(miss.enter(), miss)
                }
                StateProj::Joined { joined, rest, kept } => {
                    let share = ByForm::new(&rest.form);
                    let landing = ready!(joined.poll_shared(cx, &share));
                    match landing {
                        Landing::Own(Ok(flown)) | Landing::Joined(flown) => break Ok(rest.land(flown)),
                        Landing::Own(Err(error)) => break rest.rescue().ok_or(error),
                        Landing::Refused(rejection) => break rest.refuse(rejection),
                        Landing::Alone => {
                            let miss = kept.take().expect("whoever has started gets the end of it");
                            let alone = Alone::new(LAYER, miss.inner, miss.request);
                            State::Alone { alone, rest: rest.take() }
                        }
                        Landing::Again(again) => {
                            let miss = kept.take().expect("whoever has started gets the end of it");
                            // What it costs is counted from here.
                            let miss = Miss { now: Instant::now(), ..miss };
                            take_part(again.enter(), miss)
                        }
                    }
                }
                StateProj::Alone { alone, rest } => break rest.end(ready!(alone.poll(cx))),
                StateProj::Done => panic!("{ENDED}"),
            };
            state.set(following);
        };
        state.set(State::Done);
        Poll::Ready(result)
    }
}

impl<S, R, K, F, P, St> fmt::Debug for ResponseFuture<S, R, K, F, P, St>
where
    S: Service<R>,
    F: Form<R, S::Response, S::Error>,
    St: CacheStore<K, F::Value>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.course {
            Course::Hit { response: Some(_) } => "hit",
            Course::Work { work } => work.state.name(),
            Course::Passes { .. } => "passes",
            Course::Hit { response: None } | Course::Done => "done",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}

// ===== impl State =====

impl<S, R, K, F, P, St> State<S, R, K, F, P, St>
where
    S: Service<R>,
    F: Form<R, S::Response, S::Error>,
    St: CacheStore<K, F::Value>,
{
    const fn ended(result: ResultOf<S, R, F>) -> Self {
        Self::Ended { result: Some(result) }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Ended { .. } => "ended",
            Self::Looks { .. } => "looks",
            Self::Enters { .. } => "enters",
            Self::Joined { kept: None, .. } => "leads",
            Self::Joined { kept: Some(_), .. } => "follows",
            Self::Alone { .. } => "alone",
            Self::Done => "done",
        }
    }
}

// ===== impl Rest =====

impl<S, R, K, F, St> Rest<S, R, K, F, St>
where
    S: Service<R>,
    S::Error: Reject,
    F: Form<R, S::Response, S::Error> + Clone,
{
    fn of<P>(miss: &Miss<S, R, K, F::Value, F, P, St>) -> Self
    where
        St: CacheStore<K, F::Value>,
    {
        let state = Arc::clone(&miss.state);
        Self { form: miss.form.clone(), state, stale: miss.stale.clone(), types: PhantomData }
    }

    fn take(&mut self) -> Self {
        let state = Arc::clone(&self.state);
        Self { form: self.form.clone(), state, stale: self.stale.take(), types: PhantomData }
    }

    /// What a call in flight has come to.
    fn land(&mut self, flown: Flown<F::Value, F::Own>) -> F::Response {
        let rescued = if flown.failed { self.rescue() } else { None };
        rescued.unwrap_or_else(|| flown.into_response(&self.form))
    }

    /// What a call of its own has come to.
    fn end(&mut self, result: Result<S::Response, S::Error>) -> Result<F::Response, S::Error> {
        if self.stale.is_some()
            && self.form.judge(result.as_ref()) == Verdict::Failure
            && let Some(response) = self.rescue()
        {
            return Ok(response);
        }
        result.map(|response| self.form.pass(response))
    }

    fn refuse(&mut self, rejection: Rejection) -> Result<F::Response, S::Error> {
        match self.rescue() {
            Some(response) => Ok(response),
            None => {
                if rejection.kind() != RejectionKind::Shared {
                    count(&self.state.core().counters.refused);
                }
                Err(S::Error::from_rejection(rejection))
            }
        }
    }

    /// The stale value instead of a failure, if there is one that may be served now.
    fn rescue(&mut self) -> Option<F::Response> {
        let found = self.stale.take()?;
        let now = Instant::now();
        if !self.state.core().control.serves_if_error(&found, now) {
            return None;
        }
        count(&self.state.core().counters.rescued);
        Some(serve::<F, R, S::Response, S::Error>(&self.form, found, now))
    }
}

/// The response of a value that was in the store.
#[inline]
pub(crate) fn serve<F, R, Res, Err>(form: &F, found: Found<F::Value>, now: Instant) -> F::Response
where
    F: Form<R, Res, Err>,
{
    // It may have been made as soon as it was asked for.
    let age = F::TELLS_AGE.then(|| found.lifetime().age(now).saturating_add(found.cost()));
    form.answer(found.into_value(), age)
}
