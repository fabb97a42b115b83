use std::{
    fmt,
    future::{Ready, ready},
};

use donjon_core::Replay;

use crate::{Answer, Source};

/// A function of the request and of the failure. Made by [`FallbackLayer::function`](crate::FallbackLayer::function).
#[derive(Clone, Copy)]
pub struct Function<F>(F);

/// The function, and the request of one call.
pub struct FunctionCall<F, Req> {
    function: F,
    request: Req,
}

// ===== impl Function =====

impl<F> Function<F> {
    pub(crate) const fn new(function: F) -> Self {
        Self(function)
    }
}

impl<F: Clone, Req: Replay> Source<Req> for Function<F> {
    type Kept = FunctionCall<F, Req>;

    #[inline]
    fn keep(&self, req: &Req) -> Option<Self::Kept> {
        Some(FunctionCall { request: req.replay()?, function: self.0.clone() })
    }
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").finish_non_exhaustive()
    }
}

// ===== impl FunctionCall =====

impl<F, Req, T, E> Answer<T, E> for FunctionCall<F, Req>
where
    F: Fn(Req, Result<T, E>) -> Result<T, E>,
{
    type Future = Ready<Result<T, E>>;

    fn answer(self, failed: Result<T, E>) -> Self::Future {
        ready((self.function)(self.request, failed))
    }
}

impl<F, Req> fmt::Debug for FunctionCall<F, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionCall").finish_non_exhaustive()
    }
}
