//! What governor's limiters cost as the check of a service: the direct one, and the one with a state for each key. They are
//! composed as its users do it: a check in `call`, over a clock that is read at each.

use std::{
    future::{Ready, ready},
    num::NonZeroU32,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::Either;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use tower::{BoxError, Service};

/// More than any benchmark takes: what is measured is a call that is admitted.
pub const PER_SECOND: u32 = 1_000_000_000;

/// A service behind a check.
#[derive(Clone, Debug)]
pub struct Governed<S, F> {
    inner: S,
    check: F,
}

/// One limit for all.
pub fn direct<S>(inner: S) -> Governed<S, impl Fn(u64) -> bool + Clone + Send + Sync + 'static> {
    let limiter: Arc<DefaultDirectRateLimiter> = Arc::new(RateLimiter::direct(quota()));
    Governed { inner, check: move |_| limiter.check().is_ok() }
}

/// A limit for each of so many keys.
pub fn keyed<S>(inner: S, keys: u64) -> Governed<S, impl Fn(u64) -> bool + Clone + Send + Sync + 'static> {
    let limiter: Arc<DefaultKeyedRateLimiter<u64>> = Arc::new(RateLimiter::keyed(quota()));
    Governed { inner, check: move |n| limiter.check_key(&(n % keys)).is_ok() }
}

fn quota() -> Quota {
    Quota::per_second(NonZeroU32::new(PER_SECOND).expect("it is not nought"))
}

impl<S, F> Service<u64> for Governed<S, F>
where
    S: Service<u64, Error = BoxError>,
    F: Fn(u64) -> bool,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Either<S::Future, Ready<Result<S::Response, BoxError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: u64) -> Self::Future {
        if (self.check)(request) {
            Either::Left(self.inner.call(request))
        } else {
            Either::Right(ready(Err("over the limit".into())))
        }
    }
}
