use std::{
    fmt,
    future::{Ready, ready},
    sync::Arc,
};

use crate::{Answer, Source};

/// Always the same answer. Made by [`FallbackLayer::value`](crate::FallbackLayer::value); cloned for each failure.
pub struct Value<T>(Arc<T>);

// ===== impl Value =====

impl<T> Value<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<Req, T> Source<Req> for Value<T> {
    type Kept = Self;

    #[inline]
    fn keep(&self, _: &Req) -> Option<Self> {
        Some(self.clone())
    }
}

impl<T: Clone, E> Answer<T, E> for Value<T> {
    type Future = Ready<Result<T, E>>;

    fn answer(self, failed: Result<T, E>) -> Self::Future {
        drop(failed);
        ready(Ok(T::clone(&self.0)))
    }
}

impl<T> Clone for Value<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Value<T> {
    /// Not the value, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").finish_non_exhaustive()
    }
}
