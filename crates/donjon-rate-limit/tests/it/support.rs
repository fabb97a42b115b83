use std::time::Duration;

use donjon_core::{CallError, Phase, Reject, RejectionKind};
use donjon_rate_limit::{Ask, Limiter, LocalLimiter, Verdict};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

/// The layer over a service that answers the request itself.
pub(crate) fn echo<L>(
    layer: &L,
) -> impl Service<u64, Response = u64, Error = CallError, Future: Send> + Clone + Send + use<L>
where
    L: Layer<Echo>,
    L::Service: Service<u64, Response = u64, Error = CallError, Future: Send> + Clone + Send,
{
    layer.layer(service_fn(answer as fn(u64) -> Answered))
}

pub(crate) type Answered = std::future::Ready<Result<u64, CallError>>;
pub(crate) type Echo = tower::util::ServiceFn<fn(u64) -> Answered>;

fn answer(n: u64) -> Answered {
    std::future::ready(Ok(n))
}

/// How many of so many calls go through at this moment.
pub(crate) async fn passed<S>(service: &S, calls: u64) -> u64
where
    S: Service<u64, Response = u64, Error = CallError> + Clone,
{
    let mut passed = 0;
    for n in 0..calls {
        passed += u64::from(service.clone().oneshot(n).await.is_ok());
    }
    passed
}

/// Why, where, and for how long a call was refused.
pub(crate) fn refusal(result: Result<u64, CallError>) -> (RejectionKind, Phase, Option<Duration>) {
    let error = result.expect_err("it was refused");
    let rejection = error.as_rejection().expect("by a layer");
    assert_eq!(rejection.layer(), "rate-limit");
    (rejection.kind(), rejection.phase(), rejection.retry_after())
}

/// What a limiter says to a call that does not wait: admitted, or when to come back.
pub(crate) fn ask(limiter: &LocalLimiter, now: Instant, cost: u64) -> Result<(), Option<Duration>> {
    match limiter.acquire(Ask::new(now, cost, Duration::ZERO)).into_inner() {
        Verdict::Admitted(_) => Ok(()),
        Verdict::Refused { retry_after, .. } => Err(retry_after),
        Verdict::Wait(_) => panic!("it does not wait"),
    }
}
