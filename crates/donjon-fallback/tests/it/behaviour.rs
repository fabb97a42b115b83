//! Which failures are answered for, with what, and what becomes of calls that are dropped.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use donjon_core::{CallError, Deadline, Fresh, Outcome, Reject, Rejection, RejectionKind, Replay, Sent};
use donjon_fallback::{FallbackLayer, Stats};
use donjon_test::{Number, Probe, ProbeHandle, Readiness, Reply};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok};
use tower::{Layer, Service, ServiceExt, service_fn};

fn counts(stats: Stats) -> (u64, u64, u64, u64) {
    (stats.answered, stats.failed, stats.not_kept, stats.cancelled)
}

/// A first probe that fails, and a second one.
fn probes() -> (Probe<Number>, ProbeHandle, Probe<Number>, ProbeHandle) {
    let (first, second) = (Probe::number(), Probe::number());
    let (a, b) = (first.handle(), second.handle());
    a.reply(Reply::fail());
    (first, a, second, b)
}

fn numbers(probe: &ProbeHandle) -> Vec<u64> {
    probe.started().iter().filter_map(|call| call.id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_success_passes_and_nothing_else_is_called() {
    let (first, a, second, b) = probes();
    a.reply(Reply::answer());
    let layer = FallbackLayer::service(second);
    layer.layer(first).oneshot(7).await.unwrap();
    assert_eq!((numbers(&a), b.stats().calls, b.stats().reserved), (vec![7], 0, 0));
    assert_eq!(counts(layer.handle().stats()), (0, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_answered_by_the_second_service_with_the_same_request() {
    let (first, a, second, b) = probes();
    let layer = FallbackLayer::service(second);
    layer.layer(first).oneshot(7).await.unwrap();
    assert_eq!((numbers(&a), numbers(&b)), (vec![7], vec![7]));
    assert_eq!(counts(layer.handle().stats()), (1, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_second_answer_is_the_answer() {
    let (first, _, second, b) = probes();
    let layer = FallbackLayer::service(second);
    for not_ready in [false, true] {
        b.reply(Reply::fail());
        b.set_readiness(if not_ready { Readiness::Fail } else { Readiness::Ready });
        let error = layer.layer(first.clone()).oneshot(7).await.unwrap_err();
        assert_eq!(error.downcast_ref::<donjon_test::ProbeError>().unwrap().is_readiness(), not_ready);
    }
    assert_eq!(counts(layer.handle().stats()), (0, 2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_function_sees_request_and_failure_and_may_hand_it_on() {
    let layer = FallbackLayer::function(|n: u64, failed: Result<u64, CallError>| match failed {
        Err(error) if n < 10 => Ok(error.to_string().len() as u64 + n),
        failed => failed,
    });
    let service = layer.layer(service_fn(|_: u64| async { Err::<u64, _>(CallError::new("down")) }));
    assert_eq!(service.clone().oneshot(3).await.unwrap(), 7);
    assert_eq!(service.oneshot(30).await.unwrap_err().to_string(), "down");
    assert_eq!(counts(layer.handle().stats()), (1, 1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn by_default_all_failures_are_answered_for_and_on_says_which() {
    let table = [
        (Outcome::Success, false, false),
        (Outcome::Transient { sent: Sent::Unknown, retry_after: None }, true, false),
        (Outcome::Throttled { retry_after: None }, true, true),
        (Outcome::Refused { retry_after: None }, true, false),
        (Outcome::Permanent, true, false),
        (Outcome::Cancelled, false, false),
    ];
    for (outcome, by_default, throttled) in table {
        let layer = FallbackLayer::value(0).classify(move |_: Result<&u64, &CallError>| outcome);
        let inner = service_fn(|n: u64| async move { Ok::<_, CallError>(n) });
        let answer = layer.layer(inner).oneshot(1).await.unwrap();
        assert_eq!(answer == 0, by_default, "{outcome:?}");
        let layer = layer.on(|outcome| matches!(outcome, Outcome::Throttled { .. }));
        let answer = layer.layer(inner).oneshot(1).await.unwrap();
        assert_eq!(answer == 0, throttled, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_an_inner_layer_is_answered_for() {
    let inner = service_fn(|_: u64| async { Err::<u64, _>(Rejection::new(RejectionKind::CircuitOpen, "breaker")) });
    assert_eq!(FallbackLayer::value(5).layer(inner).oneshot(1).await.unwrap(), 5);
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn an_ok_503_is_a_failure_of_http_and_a_404_is_not() {
    use http::{Request, Response};

    let inner = service_fn(|request: Request<()>| async move {
        Ok::<_, Rejection>(Response::builder().status(&request.uri().path()[1..]).body("").unwrap())
    });
    let stale = Response::new("stale");
    let service = FallbackLayer::value(stale).http().layer(inner);
    for (path, body) in [("/503", "stale"), ("/429", "stale"), ("/404", ""), ("/200", "")] {
        let request = Request::get(path).body(()).unwrap();
        assert_eq!(*service.clone().oneshot(request).await.unwrap().body(), body, "{path}");
    }
}

struct Stream(u64);

impl Replay for Stream {
    fn replay(&self) -> Option<Self> {
        (self.0 < 10).then_some(Self(self.0))
    }

    fn is_intact(&self) -> bool {
        self.0 != 3
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_kept_has_its_failure() {
    let first = service_fn(|request: Stream| async move { Err::<u64, _>(CallError::new(request.0.to_string())) });
    let second = service_fn(|request: Stream| async move { Ok::<_, CallError>(request.0) });
    let layer = FallbackLayer::service(second);
    let service = layer.layer(first);
    assert_eq!(service.clone().oneshot(Stream(1)).await.unwrap(), 1);
    assert_eq!(service.clone().oneshot(Stream(11)).await.unwrap_err().to_string(), "11");
    assert_eq!(counts(layer.handle().stats()), (1, 0, 1, 0));
    // Nor is one sent whose recording has outgrown its cap meanwhile.
    assert_eq!(service.oneshot(Stream(3)).await.unwrap_err().to_string(), "3");
    assert_eq!(FallbackLayer::value(8).layer(first).oneshot(Stream(11)).await.unwrap(), 8, "a value keeps nothing");
}

#[tokio::test(start_paused = true)]
async fn after_the_deadline_no_second_service_is_called() {
    let (first, a, second, b) = probes();
    a.reply(Reply::fail().after(Duration::from_secs(2)));
    let layer = FallbackLayer::service(second);
    let call = Deadline::after(Duration::from_secs(1)).scope(layer.layer(first.clone()).oneshot(1));
    assert!(call.await.unwrap_err().downcast_ref::<donjon_test::ProbeError>().is_some());
    assert_eq!(b.stats().calls, 0);

    // Nor does it wait for one beyond it.
    a.reply(Reply::fail());
    b.set_readiness(Readiness::Pending);
    let started = tokio::time::Instant::now();
    let call = Deadline::after(Duration::from_secs(1)).scope(layer.layer(first).oneshot(2));
    let error = call.await.unwrap_err();
    assert!(!error.downcast_ref::<donjon_test::ProbeError>().unwrap().is_readiness());
    assert_eq!((started.elapsed(), b.stats().calls), (Duration::from_secs(1), 0));
}

#[tokio::test(start_paused = true)]
async fn the_second_service_runs_in_the_scope_of_the_caller() {
    use donjon_core::{Criticality, Scope};

    let (first, _, second, b) = probes();
    let at = tokio::time::Instant::now() + Duration::from_secs(3);
    let scope = Scope::root().with_criticality(Criticality::Sheddable).with_deadline(Deadline::at(at));
    scope.wrap(FallbackLayer::service(second).layer(first).oneshot(1)).await.unwrap();
    let started = b.started();
    assert_eq!((started[0].criticality, started[0].deadline), (Criticality::Sheddable, Deadline::at(at)));
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_dropped_at_any_point() {
    let (first, a, second, b) = probes();
    let layer = FallbackLayer::service(second);
    let mut service = layer.layer(first);
    let call = |n| tokio_test::task::spawn(service.clone().oneshot(n));

    // While the first runs.
    a.reply_next([Reply::never()]);
    let mut dropped = call(1);
    assert_pending!(dropped.poll());
    drop(dropped);
    // While the second is not ready, then while it runs.
    b.set_readiness(Readiness::Pending);
    let mut dropped = call(2);
    assert_pending!(dropped.poll());
    drop(dropped);
    b.set_readiness(Readiness::Ready);
    b.reply_next([Reply::never()]);
    let mut dropped = call(3);
    assert_pending!(dropped.poll());
    assert_eq!((a.stats().in_flight, b.stats().in_flight), (0, 1), "the first is gone when the second begins");
    drop(dropped);
    assert_eq!(b.stats().in_flight, 0);
    assert_eq!(counts(layer.handle().stats()), (0, 0, 0, 2));
    // When it has ended, and its future stays alive.
    let mut ended = call(4);
    assert_ready_ok!(ended.poll());
    assert_eq!((a.stats().in_flight, b.stats().in_flight), (0, 0));
    drop(ended);
    // Before its first poll.
    let mut task = tokio_test::task::spawn(());
    task.enter(|cx, _| assert_ready_ok!(Service::<u64>::poll_ready(&mut service, cx)));
    drop(service.call(5));
    assert_eq!(counts(layer.handle().stats()), (1, 0, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn the_failed_call_is_gone_before_the_second_answer_begins() {
    use std::{
        future::Future,
        pin::Pin,
        sync::Arc,
        task::{Context, Poll},
    };

    /// Has failed, and is there until it is dropped.
    struct Failed(Arc<()>);

    impl Future for Failed {
        type Output = Result<u64, CallError>;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(Err(CallError::new(format!("{} are there", Arc::strong_count(&self.0)))))
        }
    }

    let there = Arc::new(());
    let seen = Arc::clone(&there);
    let layer = FallbackLayer::function(move |_: u64, failed: Result<u64, CallError>| {
        assert!(failed.is_err());
        Ok(Arc::strong_count(&seen) as u64)
    });
    let inner = service_fn(|_: u64| Failed(Arc::clone(&there)));
    let mut call = tokio_test::task::spawn(layer.layer(inner).oneshot(1));
    assert_eq!(assert_ready_ok!(call.poll()), 3, "the test's own, and those of the layer's and the call's function");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_drop() {
    let (first, a, second, b) = probes();
    let layer = FallbackLayer::service(second);
    let service = layer.layer(first);
    let call = |n| tokio_test::task::spawn(service.clone().oneshot(n));
    for (own, reply) in [(&b, Reply::panic()), (&b, Reply::panic_in_call()), (&a, Reply::panic())] {
        own.reply_next([reply]);
        let mut panics = call(1);
        assert!(catch_unwind(AssertUnwindSafe(|| panics.poll())).is_err());
        assert_eq!((a.stats().in_flight, b.stats().in_flight), (0, 0));
    }
    assert_ready_ok!(call(2).poll());
    assert_eq!(layer.handle().stats().answered, 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_when_the_first_is_and_holds_nothing_of_the_second() {
    let (first, a, second, b) = probes();
    b.set_capacity(Some(1));
    let mut service = FallbackLayer::service(second).layer(first);
    let mut task = tokio_test::task::spawn(());
    a.set_readiness(Readiness::Pending);
    task.enter(|cx, _| assert_pending!(Service::<u64>::poll_ready(&mut service, cx)));
    a.set_readiness(Readiness::Fail);
    task.enter(|cx, _| assert!(assert_ready!(Service::<u64>::poll_ready(&mut service, cx)).is_err()));
    a.set_readiness(Readiness::Ready);
    task.enter(|cx, _| assert_ready_ok!(Service::<u64>::poll_ready(&mut service, cx)));
    assert_eq!(b.stats().reserved, 0);
}

#[tokio::test(start_paused = true)]
async fn clones_share_their_figures_fresh_has_its_own_and_bypass_hands_failures_on() {
    let (first, _, _, _) = probes();
    let layer = FallbackLayer::value(0_u64);
    for layer in [&layer, &layer.clone()] {
        layer.layer(first.clone()).oneshot(1).await.unwrap();
    }
    layer.fresh().layer(first.clone()).oneshot(1).await.unwrap();
    assert_eq!(layer.handle().stats().answered, 2);
    let bypass = layer.bypass();
    assert_ready_err!(tokio_test::task::spawn(bypass.layer(first).oneshot(1)).poll());
    assert_eq!(counts(bypass.handle().stats()), (0, 0, 0, 0));
}

#[test]
fn a_success_allocates_nothing() {
    use std::{
        future::{Future, ready},
        pin::pin,
        task::{Context, Poll, Waker},
    };

    fn allocations<S: Service<u64, Response = u64>>(mut service: S) -> u64 {
        let counted = allocation_counter::measure(|| {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(service.poll_ready(&mut cx).is_ready());
            assert!(matches!(pin!(service.call(1)).poll(&mut cx), Poll::Ready(Ok(1))));
        });
        counted.count_total
    }
    let inner = service_fn(|n: u64| ready(Ok::<_, CallError>(n)));
    assert_eq!(allocations(FallbackLayer::value(0).on(|_| false).layer(inner)), 0);
    assert_eq!(allocations(FallbackLayer::value(0).layer(inner)), 0);
    assert_eq!(allocations(FallbackLayer::service(inner).layer(inner)), 0);
    assert_eq!(allocations(FallbackLayer::function(|_: u64, failed: Result<u64, CallError>| failed).layer(inner)), 0);
    // Nor does a failure that is answered for.
    let fails = service_fn(|_: u64| ready(Err::<u64, _>(Rejection::new(RejectionKind::Overloaded, "test"))));
    assert_eq!(allocations(FallbackLayer::service(service_fn(|n| ready(Ok::<u64, Rejection>(n)))).layer(fails)), 0);
}

#[test]
fn it_says_what_it_is_and_not_the_value() {
    let layer = FallbackLayer::value("secret");
    let text = format!("{layer:?} {:?} {:?}", layer.layer(()), layer.handle());
    assert!(text.contains("FallbackLayer") && !text.contains("secret"), "{text}");
    let rejection = CallError::from_rejection(Rejection::new(RejectionKind::Overloaded, "test"));
    assert!(rejection.as_rejection().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failed_response_that_is_handed_on_after_the_deadline_is_no_answer() {
    use http::{Request, Response};

    let first = service_fn(|_: Request<()>| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, CallError>(Response::builder().status(503).body(()).unwrap())
    });
    let second = service_fn(|_: Request<()>| async { Ok::<_, CallError>(Response::new(())) });
    let layer = FallbackLayer::service(second).http();
    let service = layer.layer(first);
    let in_time = service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!((in_time.status(), counts(layer.handle().stats())), (http::StatusCode::OK, (1, 0, 0, 0)));
    let late = Deadline::after(Duration::from_secs(1)).scope(service.oneshot(Request::new(()))).await.unwrap();
    assert_eq!((late.status().as_u16(), counts(layer.handle().stats())), (503, (1, 1, 0, 0)));
}
