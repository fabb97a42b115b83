//! The probe by itself.

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use donjon_core::{CallError, Criticality, Deadline, Ratio, Scope};
use donjon_test::{Http, Probe, ProbeError, Readiness, Reply, Script, Streaming, Truncated, Violation};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::{Service, ServiceExt};

fn poll_ready(probe: &mut Probe<donjon_test::Number>) -> Poll<Result<(), CallError>> {
    probe.poll_ready(&mut Context::from_waker(Waker::noop()))
}

fn send_sync_clone<T: Send + Sync + Clone + 'static>() {}
fn send<T: Send + 'static>() {}

#[test]
fn the_probe_can_be_moved_and_shared() {
    send_sync_clone::<Probe>();
    send_sync_clone::<Probe<donjon_test::Number>>();
    send_sync_clone::<donjon_test::ProbeHandle>();
    send::<donjon_test::ProbeFuture<Streaming>>();
    send::<donjon_test::ProbeBody>();
}

#[tokio::test]
async fn a_concrete_stack_over_the_probe_is_spawned() {
    async fn generic<S: Service<u64, Response = u64, Error = CallError>>(service: S) -> bool {
        service.oneshot(3).await.is_ok()
    }
    let stack = tower::ServiceBuilder::new().concurrency_limit(1).service(Probe::number());
    assert!(tokio::spawn(generic(stack)).await.unwrap());
}

#[tokio::test]
async fn a_clone_is_not_ready_and_neither_is_an_instance_that_was_called() {
    let mut probe = Probe::number();
    let handle = probe.handle();
    let _ = probe.ready().await.unwrap();
    drop(probe.clone().call(1));
    assert_eq!(handle.violations(), [Violation::NotReady { id: Some(1) }]);

    drop(probe.call(2));
    assert_eq!(handle.violations().len(), 1, "it was ready");
    drop(probe.call(3));
    assert_eq!(handle.violations()[1..], [Violation::NotReady { id: Some(3) }]);
}

#[tokio::test]
async fn a_reservation_is_a_place_until_the_call_ends_or_the_instance_is_dropped() {
    let mut first = Probe::number();
    let handle = first.handle();
    handle.set_capacity(Some(1));
    let mut second = first.clone();
    assert!(poll_ready(&mut first).is_ready());
    assert!(poll_ready(&mut second).is_pending());
    assert_eq!((handle.stats().reserved, handle.stats().instances), (1, 2));

    let call = first.call(1);
    assert_eq!((handle.stats().reserved, handle.stats().in_flight), (0, 1));
    assert!(poll_ready(&mut second).is_pending());
    drop(call);
    assert!(poll_ready(&mut second).is_ready());
    assert!(poll_ready(&mut first).is_pending());
    drop(second);
    assert!(poll_ready(&mut first).is_ready());
}

#[tokio::test]
async fn whoever_waits_for_a_place_is_woken() {
    let mut first = Probe::number();
    let handle = first.handle();
    handle.set_capacity(Some(1));
    let mut second = first.clone();
    let call = first.ready().await.unwrap().call(1);
    let waiting = tokio::spawn(async move { second.ready().await.unwrap().call(2).await });
    tokio::task::yield_now().await;
    drop(call);
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn readiness_does_what_it_is_told() {
    let mut probe = Probe::number();
    let handle = probe.handle();
    handle.set_readiness(Readiness::Pending);
    assert!(poll_ready(&mut probe).is_pending());
    handle.set_readiness(Readiness::Slow);
    assert!(poll_ready(&mut probe).is_pending());
    assert!(poll_ready(&mut probe).is_ready());
    handle.set_readiness(Readiness::Fail);
    assert!(poll_ready(&mut probe).is_ready(), "what is ready stays so");
    drop(probe.call(1));
    let Poll::Ready(Err(error)) = poll_ready(&mut probe) else { panic!("it was told to fail") };
    assert!(error.downcast_ref::<ProbeError>().unwrap().is_readiness());
}

#[tokio::test(start_paused = true)]
async fn replies_come_in_the_order_in_which_calls_start() {
    let mut probe = Probe::number();
    let handle = probe.handle();
    handle.reply_next([Reply::fail(), Reply::answer().after(Duration::from_millis(5)), Reply::answer().held()]);
    let started = Instant::now();
    assert!(probe.ready().await.unwrap().call(1).await.is_err());
    assert!(probe.ready().await.unwrap().call(2).await.is_ok());
    assert_eq!(started.elapsed(), Duration::from_millis(5));
    let held = probe.ready().await.unwrap().call(3);
    assert_eq!(handle.in_flight().into_iter().collect::<Vec<_>>(), [3]);
    assert_eq!(handle.release_all(), 1);
    assert!(held.now_or_never().unwrap().is_ok());
    let stats = handle.stats();
    assert_eq!((stats.calls, stats.answered, stats.failed, stats.in_flight), (3, 2, 1, 0));
}

#[tokio::test]
async fn panics_unwind_in_the_call_and_in_the_future() {
    let mut probe = Probe::number();
    let handle = probe.handle();
    handle.reply_next([Reply::panic_in_call(), Reply::panic()]);
    let _ = probe.ready().await.unwrap();
    let call = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(probe.call(1))));
    assert!(call.is_err());
    let _ = probe.ready().await.unwrap();
    let future = std::panic::AssertUnwindSafe(probe.call(2)).catch_unwind();
    assert!(future.await.is_err());
    assert_eq!((handle.stats().panicked, handle.stats().in_flight, handle.stats().dropped), (2, 0, 0));
}

#[tokio::test]
async fn spinning_and_polling_after_the_end_are_noted() {
    let mut probe = Probe::number();
    let handle = probe.handle();
    let mut cx = Context::from_waker(Waker::noop());
    handle.reply(Reply::answer().held());
    let mut call = Box::pin(probe.ready().await.unwrap().call(1));
    handle.begin_poll();
    assert!(call.as_mut().poll(&mut cx).is_pending());
    handle.begin_poll();
    assert!(call.as_mut().poll(&mut cx).is_pending());
    assert_eq!(handle.violations(), [], "polled twice, from outside");
    assert!(call.as_mut().poll(&mut cx).is_pending());
    assert_eq!(handle.violations(), [Violation::Spun]);

    handle.release_all();
    assert!(call.as_mut().poll(&mut cx).is_ready());
    assert!(call.as_mut().poll(&mut cx).is_pending());
    assert_eq!(handle.violations()[1..], [Violation::PolledAfterEnd { id: Some(1) }]);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_noted_with_the_scope_it_started_in() {
    let mut probe = Probe::number();
    let handle = probe.handle();
    let deadline = Deadline::after(Duration::from_secs(1));
    let mut scope = Scope::root().with_deadline(deadline).with_criticality(Criticality::SheddablePlus).with_attempt(3);
    let _ = probe.ready().await.unwrap();
    drop(scope.enter(|| probe.call(9)));
    let started = handle.started();
    assert_eq!(started.len(), 1);
    assert_eq!((started[0].id, started[0].at, started[0].deadline), (Some(9), Instant::now(), deadline));
    assert_eq!((started[0].criticality, started[0].attempt), (Criticality::SheddablePlus, 3));
}

#[tokio::test]
async fn requests_and_responses_of_http_carry_the_number_of_their_call() {
    use donjon_test::Exchange;

    let probe = Probe::http();
    let handle = probe.handle();
    handle.reply_next([Reply::answer(), Reply::unavailable()]);
    let answer = probe.clone().oneshot(Http::default().request(5)).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "answer 5");
    let answer = probe.clone().oneshot(Http::get().request(6)).await.unwrap();
    assert_eq!(answer.status(), 503);
    // The probe was told to expect what `Http::default` sends, and this was a `GET` without its body.
    let [Violation::RequestChanged { id: Some(6), how }] = &handle.violations()[..] else { panic!("it has no body") };
    assert_eq!(how, "the body ended 6 bytes too early");
}

#[tokio::test]
async fn bodies_stream_with_trailers_or_are_truncated() {
    use donjon_test::Exchange;

    let probe = Probe::streaming();
    probe.handle().reply_next([Reply::answer(), Reply::truncated()]);
    let answer = probe.clone().oneshot(Streaming::new().request(5)).await.unwrap();
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-probe-call"], "5");
    assert_eq!(body.to_bytes(), "answer 5");
    let answer = probe.clone().oneshot(Streaming::new().request(6)).await.unwrap();
    let error: Truncated = answer.into_body().collect().await.unwrap_err();
    assert_eq!(error.to_string(), "the probe's body was truncated");
    assert_eq!(probe.handle().violations(), []);
}

#[tokio::test(start_paused = true)]
async fn a_script_is_the_same_for_the_same_seed() {
    async fn play(script: Script) -> (Vec<bool>, Duration) {
        let mut probe = Probe::number();
        probe.handle().play(script);
        let started = Instant::now();
        let mut answers = Vec::new();
        for id in 0..500 {
            answers.push(probe.ready().await.unwrap().call(id).await.is_ok());
        }
        (answers, started.elapsed())
    }
    let share = |share| Ratio::new(share).unwrap();
    let script = |seed| {
        let script = Script::seeded(seed).failing(share(0.1)).unavailable(share(0.1)).truncated(share(0.1));
        script.latency(Duration::from_millis(4)).slow(share(0.02), Duration::from_secs(1))
    };
    let (answers, time) = play(script(1)).await;
    assert_eq!((answers.clone(), time), play(script(1)).await);
    assert_ne!(answers, play(script(2)).await.0);
    let failed = answers.iter().filter(|answered| !**answered).count();
    assert!((30..70).contains(&failed), "{failed} of 500 failed");
    // 500 calls of 4 ms, and ten of a second.
    assert!((6..20).contains(&time.as_secs()), "{time:?}");

    // What one setting draws does not move what another one does.
    let (same, _) = play(Script::seeded(1).failing(share(0.1))).await;
    assert_eq!(answers, same);
}
