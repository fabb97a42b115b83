use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use donjon_coalesce::Share;
use donjon_core::Outcome;

use crate::{Captured, Form};

/// What a call in flight has come to: a value for all who take part, something for its driver alone, or both.
pub(crate) struct Flown<V, O> {
    value: Option<V>,
    own: Own<O>,
    pub(crate) failed: bool,
}

/// What is for one alone: a clone has nothing. The lock is never waited for; it makes what is only `Send` `Sync`.
struct Own<O>(Mutex<Option<O>>);

/// What the followers of a call may have, by its form.
pub(crate) struct ByForm<'a, F, Req, Res> {
    form: &'a F,
    types: std::marker::PhantomData<fn(Req) -> Res>,
}

// ===== impl Flown =====

impl<V, O> Flown<V, O> {
    pub(crate) fn new(captured: Captured<V, O>, failed: bool) -> Self {
        Self { value: captured.value, own: Own(Mutex::new(captured.own)), failed: failed || captured.failed }
    }

    /// The response of whoever has this.
    pub(crate) fn into_response<F, Req, Res, Err>(self, form: &F) -> F::Response
    where
        F: Form<Req, Res, Err, Value = V, Own = O>,
    {
        let own = self.own.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (own, self.value) {
            (Some(own), _) => form.own(own),
            (None, Some(value)) => form.answer(value, None),
            (None, None) => unreachable!("what is for one alone is shared with no other"),
        }
    }
}

impl<V: Clone, O> Clone for Flown<V, O> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), own: Own(Mutex::new(None)), failed: self.failed }
    }
}

impl<V, O> fmt::Debug for Flown<V, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flown").field("failed", &self.failed).finish_non_exhaustive()
    }
}

// ===== impl ByForm =====

impl<'a, F, Req, Res> ByForm<'a, F, Req, Res> {
    pub(crate) fn new(form: &'a F) -> Self {
        Self { form, types: std::marker::PhantomData }
    }
}

impl<F, Req, Res, Err> Share<Flown<F::Value, F::Own>, Err> for ByForm<'_, F, Req, Res>
where
    F: Form<Req, Res, Err>,
{
    fn shares(&self, flown: &Flown<F::Value, F::Own>) -> bool {
        flown.value.is_some()
    }

    fn outcome(&self, error: &Err) -> Outcome {
        self.form.outcome(error)
    }
}
