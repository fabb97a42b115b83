use std::{
    borrow::Cow,
    pin::Pin,
    task::{Context, Poll, ready},
};

use donjon_coalesce::{Call, Run};
use donjon_core::Reject;
use donjon_store::{Answer, Entry, Store};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use crate::{Captured, Form, LAYER, Retention, Verdict, claim::Claim, flown::Flown, stats::count};

pin_project! {
    /// The call of a key: readies and calls the inner service, captures the answer, and brings it to the store.
    pub(crate) struct Fetch<S, R, K, F, P, St>
    where
        S: Service<R>,
        F: Form<R, S::Response, S::Error>,
        St: Store<K, F::Value>,
    {
        form: F,
        policy: P,
        // If nothing was granted, nothing is brought.
        claim: Claim<K, F::Value, St>,
        begun: Instant,
        #[pin]
        stage: Stage<Call<S, R, S::Future>, F::Capture, St::Fill, St::Remove, Flown<F::Value, F::Own>>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<C, B, W, M, V> {
        Calls { #[pin] call: C },
        Captures { #[pin] capture: B, verdict: Verdict },
        Fills { #[pin] fill: W, flown: Option<V> },
        Removes { #[pin] remove: M, flown: Option<V> },
    }
}

/// What the store has still to do.
enum Written<W, M> {
    Fill(W),
    Remove(M),
}

// ===== impl Fetch =====

impl<S, R, K, F, P, St> Fetch<S, R, K, F, P, St>
where
    S: Service<R>,
    F: Form<R, S::Response, S::Error>,
    St: Store<K, F::Value>,
{
    pub(crate) fn new(form: F, policy: P, claim: Claim<K, F::Value, St>, begun: Instant, inner: S, request: R) -> Self {
        let stage = Stage::Calls { call: Call::new(LAYER, inner, request) };
        Self { form, policy, claim, begun, stage }
    }

    /// Brings an answer to the store, and gives what that has not done at once.
    fn write(
        form: &F,
        policy: &P,
        claim: &mut Claim<K, F::Value, St>,
        begun: Instant,
        verdict: Verdict,
        captured: &Captured<F::Value, F::Own>,
    ) -> Option<Written<St::Fill, St::Remove>>
    where
        P: Retention<K, F::Value>,
    {
        if !claim.is_granted() {
            return None;
        }
        if verdict == Verdict::Failure {
            claim.abandon();
            return None;
        }
        let entry = captured.value.as_ref().and_then(|value| {
            let keep = policy.keep(claim.key(), value);
            let limits = form.limits(value);
            let now = Instant::now();
            let cost = now.saturating_duration_since(begun);
            let core = claim.core();
            let span = core.control.span(verdict, &keep, limits, cost)?;
            let mut entry = Entry::new(value.clone(), now).fresh_for(span.fresh).stale_for(span.stale).cost(cost);
            for tag in keep.tags.into_iter().chain(core.own_tags(claim.key()).into_iter().map(Cow::Owned)) {
                entry = entry.tag(tag);
            }
            Some(entry)
        });
        match entry {
            Some(entry) => match claim.fill(entry) {
                Answer::Now(result) => claim.core().counters.filled(&result),
                Answer::Later(fill) => return Some(Written::Fill(fill)),
            },
            None => {
                count(&claim.core().counters.unstored);
                match claim.give_up()? {
                    Answer::Now(Ok(())) => {}
                    Answer::Now(Err(_)) => count(&claim.core().counters.store_errors),
                    Answer::Later(remove) => return Some(Written::Remove(remove)),
                }
            }
        }
        None
    }
}

impl<S, R, K, F, P, St> Future for Fetch<S, R, K, F, P, St>
where
    S: Service<R>,
    S::Error: Reject,
    F: Form<R, S::Response, S::Error>,
    P: Retention<K, F::Value>,
    St: Store<K, F::Value>,
{
    type Output = Result<Flown<F::Value, F::Own>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProj::Calls { call } => {
                    let result = ready!(call.poll(cx));
                    let verdict = this.form.judge(result.as_ref());
                    let capture = this.form.capture(result?);
                    this.stage.set(Stage::Captures { capture, verdict });
                }
                StageProj::Captures { capture, verdict } => {
                    let captured = ready!(capture.poll(cx));
                    let verdict = if captured.failed { Verdict::Failure } else { *verdict };
                    let writes = Self::write(this.form, this.policy, this.claim, *this.begun, verdict, &captured);
                    let flown = Flown::new(captured, verdict == Verdict::Failure);
                    match writes {
                        None => return Poll::Ready(Ok(flown)),
                        Some(Written::Fill(fill)) => this.stage.set(Stage::Fills { fill, flown: Some(flown) }),
                        Some(Written::Remove(remove)) => this.stage.set(Stage::Removes { remove, flown: Some(flown) }),
                    }
                }
                StageProj::Fills { fill, flown } => {
                    let result = ready!(fill.poll(cx));
                    this.claim.core().counters.filled(&result);
                    return Poll::Ready(Ok(flown.take().expect("it ends once")));
                }
                StageProj::Removes { remove, flown } => {
                    if ready!(remove.poll(cx)).is_err() {
                        count(&this.claim.core().counters.store_errors);
                    }
                    return Poll::Ready(Ok(flown.take().expect("it ends once")));
                }
            }
        }
    }
}

impl<S, R, K, F, P, St> Run for Fetch<S, R, K, F, P, St>
where
    S: Service<R>,
    S::Error: Reject,
    F: Form<R, S::Response, S::Error>,
    P: Retention<K, F::Value>,
    St: Store<K, F::Value>,
{
    fn has_begun(&self) -> bool {
        match &self.stage {
            Stage::Calls { call } => call.has_begun(),
            _ => true,
        }
    }
}
