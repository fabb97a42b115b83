//! A stack under a paused clock, and a layer against the laws.

use donjon::{Reject, RejectionKind};
use donjon_test::{Number, Probe, ProbeHandle, Reply, contract};
use tokio::time::{Instant, advance};

use super::*;

/// The stack over a service that does what the test says.
fn rig() -> (impl Service<u64, Response = u64, Error = CallError, Future: Send> + Clone + Send + 'static, ProbeHandle) {
    let probe = Probe::<Number>::number();
    let handle = probe.handle();
    (stack(probe, CountLayer::default()), handle)
}

fn kind(error: CallError) -> RejectionKind {
    error.as_rejection().expect("a layer refused it").kind()
}

/// The laws of tower and of donjon, each a named check: readiness, clones, wakers, cancellation, panics.
#[test]
fn my_layer_keeps_the_laws() {
    contract::check(CountLayer::default).unwrap();
    contract::check_over(Number, CountLayer::default).unwrap();
}

/// A layer that breaks one is told which: this one calls another instance than the one that was readied.
#[test]
fn a_layer_that_breaks_a_law_is_told_which() {
    #[derive(Clone)]
    struct Careless<S>(S);
    impl<S: Service<R> + Clone, R> Service<R> for Careless<S> {
        type Response = S::Response;
        type Error = S::Error;
        type Future = S::Future;
        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
            self.0.poll_ready(cx)
        }
        fn call(&mut self, request: R) -> S::Future {
            self.0.clone().call(request)
        }
    }
    let report = contract::check(|| tower::layer::layer_fn(Careless)).unwrap_err();
    println!("{report}");
    assert!(report.to_string().contains("law:"));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_a_second_and_the_test_takes_none() {
    let (service, probe) = rig();
    probe.reply(Reply::answer().held());
    let start = Instant::now();
    assert_eq!(kind(service.oneshot(1).await.unwrap_err()), RejectionKind::AttemptTimeout);
    assert_eq!(start.elapsed(), Duration::from_secs(1), "to the nanosecond");
}

#[tokio::test(start_paused = true)]
async fn two_run_one_waits_and_the_fourth_is_refused() {
    let (service, probe) = rig();
    probe.reply(Reply::answer().held());
    let calls: Vec<_> = (0..3).map(|n| tokio::spawn(service.clone().oneshot(n))).collect();
    // A moment without any time: everybody has had a turn.
    advance(Duration::ZERO).await;
    assert_eq!(probe.in_flight().len(), 2);
    assert_eq!(kind(service.clone().oneshot(3).await.unwrap_err()), RejectionKind::Overloaded);

    probe.reply(Reply::answer());
    probe.release_all();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(probe.violations(), [], "the probe was used as tower asks");
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_makes_room() {
    let (service, probe) = rig();
    probe.reply(Reply::answer().held());
    let calls: Vec<_> = (0..3).map(|n| tokio::spawn(service.clone().oneshot(n))).collect();
    advance(Duration::ZERO).await;
    calls[0].abort();
    advance(Duration::ZERO).await;
    assert_eq!(probe.in_flight().len(), 2, "who had waited runs");
    assert_eq!(probe.stats().calls, 3);
}
