use std::{
    future::Future,
    task::{Context, Poll},
    time::Duration,
};

use donjon_core::{CallError, Deadline, Phase, Reject, RejectionKind};
use donjon_retry::{Backoff, Budget, Jitter, NoRetry, RetryLayer};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

use crate::support::{Reply, Upstream};

const SECOND: Duration = Duration::from_secs(1);
const MS: fn(u64) -> Duration = Duration::from_millis;

fn waiting(wait: Duration) -> RetryLayer {
    RetryLayer::default().backoff(Backoff::constant(wait).jitter(Jitter::None)).budget(Budget::unlimited())
}

async fn within<F: Future>(limit: Duration, future: F) -> (F::Output, Duration) {
    let began = Instant::now();
    let output = Deadline::after(limit).scope(future).await;
    (output, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_would_start_after_the_deadline_is_not_waited_for() {
    for (limit, calls) in [(SECOND / 2, 1), (SECOND, 1), (SECOND + MS(1), 2), (SECOND * 2 + MS(1), 3)] {
        let layer = waiting(SECOND);
        let upstream = Upstream::failing();
        let (result, took) = within(limit, layer.layer(upstream.clone()).oneshot(1_u64)).await;
        assert_eq!(result.expect_err("it is down").to_string(), "it failed");
        assert_eq!(upstream.calls(), calls, "{limit:?}");
        assert_eq!(took, SECOND * (calls as u32 - 1), "the answer comes at once");
        assert_eq!(layer.handle().stats().gave_up(NoRetry::DeadlineTooClose), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_beyond_the_deadline_returns_the_answer_now() {
    let layer = waiting(Duration::ZERO);
    let upstream = Upstream::new(|_| Reply::Refuse(Some(SECOND * 10)));
    let (result, took) = within(SECOND * 5, layer.layer(upstream.clone()).oneshot(1_u64)).await;
    assert_eq!(result.expect_err("refused").as_rejection().expect("it is").kind(), RejectionKind::Overloaded);
    assert_eq!((upstream.calls(), took), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn jitter_gives_way_to_the_deadline_and_the_wait_that_was_asked_for_does_not() {
    let layer = waiting(SECOND * 3);
    let upstream = Upstream::replies([Reply::Refuse(Some(SECOND * 4))]);
    let (result, took) = within(SECOND * 5, layer.layer(upstream).oneshot(1_u64)).await;
    result.expect("the second works");
    assert_eq!(took, SECOND * 4);
}

#[tokio::test(start_paused = true)]
async fn too_long_a_wait_is_refused_where_there_is_no_deadline() {
    let layer = waiting(Duration::ZERO);
    let began = Instant::now();
    let upstream = Upstream::replies([Reply::Refuse(Some(SECOND * 61)), Reply::Refuse(Some(SECOND * 60))]);
    let service = layer.layer(upstream.clone());
    service.clone().oneshot(1_u64).await.expect_err("it asks for 61 s");
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(layer.handle().stats().gave_up(NoRetry::WaitTooLong), 1);
    service.oneshot(1_u64).await.expect("a minute is agreed to");
    assert_eq!(began.elapsed(), SECOND * 60);
}

#[tokio::test(start_paused = true)]
async fn too_long_a_wait_is_refused_where_hints_are_followed_exactly_too() {
    let layer = RetryLayer::default().backoff(Backoff::grpc(MS(1), SECOND));
    let upstream = Upstream::replies([Reply::Refuse(Some(SECOND * 61))]);
    let began = Instant::now();
    layer.layer(upstream.clone()).oneshot(1_u64).await.expect_err("it asks for 61 s");
    assert_eq!((upstream.calls(), began.elapsed()), (1, Duration::ZERO));
    assert_eq!(layer.handle().stats().gave_up(NoRetry::WaitTooLong), 1);
}

#[tokio::test(start_paused = true)]
async fn the_longest_wait_of_all_does_not_overflow() {
    let layer = waiting(Duration::MAX).max_retry_after(Duration::MAX);
    let upstream = Upstream::new(|_| Reply::Refuse(Some(Duration::MAX - Duration::from_nanos(1))));
    let call = layer.clone().layer(upstream).oneshot(1_u64);
    tokio::time::timeout(SECOND * 86400, call).await.expect_err("it waits on");
    // And all there is means never.
    let upstream = Upstream::new(|_| Reply::Refuse(Some(Duration::MAX)));
    let call = layer.layer(upstream.clone()).oneshot(1_u64);
    tokio::time::timeout(SECOND, call).await.expect("it ends at once").expect_err("with the refusal");
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_the_same_deadline_is_not_tried_again() {
    let layer = waiting(Duration::ZERO);
    let upstream = Upstream::new(|_| Reply::Reject(RejectionKind::DeadlineExceeded));
    let (result, _) = within(SECOND, layer.layer(upstream.clone()).oneshot(1_u64)).await;
    result.expect_err("refused");
    assert_eq!(upstream.calls(), 1);
    assert_eq!(layer.handle().stats().gave_up(NoRetry::DeadlineTooClose), 1);

    let attempt = Upstream::replies([Reply::Reject(RejectionKind::AttemptTimeout)]);
    let (result, _) = within(SECOND, layer.layer(attempt.clone()).oneshot(1_u64)).await;
    result.expect("an attempt's own timeout is another matter");
    assert_eq!(attempt.calls(), 2);
}

/// Ready for its first call, then never again.
#[derive(Clone)]
struct Once(Upstream);

impl Service<u64> for Once {
    type Response = u64;
    type Error = CallError;
    type Future = <Upstream as Service<u64>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        if self.0.calls() == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, req: u64) -> Self::Future {
        self.0.call(req)
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_covers_the_readiness_of_a_retry() {
    let layer = waiting(SECOND);
    let upstream = Upstream::failing();
    let (result, took) = within(SECOND * 5, layer.layer(Once(upstream.clone())).oneshot(1)).await;
    let error = result.expect_err("it is never ready");
    let rejection = error.as_rejection().expect("the layer's own");
    assert_eq!((rejection.kind(), rejection.phase()), (RejectionKind::DeadlineExceeded, Phase::Ready));
    assert_eq!((upstream.calls(), took), (1, SECOND * 5));
    assert_eq!(layer.handle().budget().stats().given_back, 1, "it was not sent");
}

/// Ready for its first call; then it uses up what its task may do in one poll, and asks to be polled again.
#[derive(Clone)]
struct Greedy(Upstream);

impl Service<u64> for Greedy {
    type Response = u64;
    type Error = CallError;
    type Future = <Upstream as Service<u64>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        if self.0.calls() == 0 {
            return Poll::Ready(Ok(()));
        }
        while std::pin::pin!(tokio::task::consume_budget()).poll(cx).is_ready() {}
        Poll::Pending
    }

    fn call(&mut self, req: u64) -> Self::Future {
        self.0.call(req)
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_covers_a_readiness_that_leaves_no_time_for_timers() {
    let layer = waiting(Duration::ZERO);
    let upstream = Upstream::failing();
    let call = layer.layer(Greedy(upstream.clone())).oneshot(1);
    let mut call = Box::pin(Deadline::after(SECOND).scope(call));
    assert!(std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await.is_pending());
    tokio::time::advance(SECOND * 2).await;
    let Poll::Ready(result) = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await else {
        panic!("the deadline has passed")
    };
    let error = result.expect_err("too late");
    assert_eq!(error.as_rejection().expect("the layer's own").phase(), Phase::Ready);
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_after_the_deadline_though_polled_late() {
    let layer = waiting(SECOND);
    let upstream = Upstream::failing();
    let call = layer.layer(upstream.clone()).oneshot(1_u64);
    // The wait fits, but whoever polls comes only after the deadline.
    let mut call = Box::pin(Deadline::after(SECOND * 2).scope(call));
    assert!(std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await.is_pending());
    tokio::time::advance(SECOND * 3).await;
    let error = call.await.expect_err("too late");
    let rejection = error.as_rejection().expect("the layer's own");
    assert_eq!((rejection.kind(), rejection.phase()), (RejectionKind::DeadlineExceeded, Phase::Backoff));
    assert_eq!(upstream.calls(), 1);
}
