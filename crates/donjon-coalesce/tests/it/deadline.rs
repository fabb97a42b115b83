//! Each caller has its own time, and what ends one for its deadline ends no other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use donjon_coalesce::Coalesce;
use donjon_core::{CallError, Deadline, Phase, Reject, Rejection, RejectionKind, Scope, Scoped};
use donjon_test::{Readiness, Reply};
use tokio::time::{Instant, advance, sleep, sleep_until};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task::Spawn};
use tower::{Layer, Service, service_fn};

use crate::support::{ByNumber, Result, by_number, call, held, refusal};

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A call with so much time, polled once.
fn within<S>(
    service: &Coalesce<S, ByNumber>,
    time: Duration,
    n: u64,
) -> Spawn<Scoped<<Coalesce<S, ByNumber> as Service<u64>>::Future>>
where
    S: Service<u64, Response = u64, Error = CallError> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let future = service.clone().call(n);
    let mut call = tokio_test::task::spawn(Scope::root().with_deadline(Deadline::after(time)).wrap(future));
    assert_pending!(call.poll());
    call
}

fn shared_cause(result: Result) -> Rejection {
    let error = result.expect_err("it is refused");
    let rejection = error.as_rejection().expect("by a layer");
    assert_eq!(rejection.kind(), RejectionKind::Shared);
    let cause = std::error::Error::source(rejection).expect("there is a cause");
    cause.downcast_ref::<Rejection>().expect("a refusal is shared as it is").clone()
}

fn late(phase: Phase) -> CallError {
    CallError::from_rejection(Rejection::new(RejectionKind::DeadlineExceeded, "inner").with_phase(phase))
}

#[tokio::test(start_paused = true)]
async fn a_follower_gives_up_at_its_own_deadline_and_the_call_goes_on() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    let mut leader = call(&service, 7);
    assert_pending!(leader.poll());
    let mut follower = within(&service, millis(50), 7);
    sleep(millis(49)).await;
    assert!(!follower.is_woken());
    sleep(millis(2)).await;
    assert!(follower.is_woken());
    assert_eq!(refusal(assert_ready!(follower.poll())), (RejectionKind::DeadlineExceeded, Phase::Attempt));
    assert!(!leader.is_woken());
    probe.release_all();
    assert_ready_ok!(leader.poll());
    assert_eq!((probe.stats().calls, layer.handle().stats().timed_out), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_driver_whose_deadline_passes_leaves_the_call_to_another() {
    let (service, probe) = held(&by_number());
    let mut driver = within(&service, millis(50), 7);
    let mut follower = within(&service, millis(500), 7);
    sleep(millis(51)).await;
    assert_eq!(refusal(assert_ready!(driver.poll())), (RejectionKind::DeadlineExceeded, Phase::Attempt));
    assert!(follower.is_woken());
    assert_pending!(follower.poll());
    probe.release_all();
    assert!(follower.is_woken());
    assert_ready_ok!(follower.poll());
    assert_eq!(probe.stats().calls, 1, "the same call, not another one");
}

/// The inner call sees the time of whoever drives it.
#[tokio::test(start_paused = true)]
async fn whoever_is_promoted_is_seen_inside() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let service = by_number().layer(service_fn(move |_: u64| {
        let notes = Arc::clone(&notes);
        std::future::poll_fn(move |_| {
            notes.lock().unwrap().push(Deadline::current().remaining());
            std::task::Poll::<Result>::Pending
        })
    }));
    let driver = within(&service, millis(50), 7);
    let mut follower = within(&service, millis(500), 7);
    drop(driver);
    assert_pending!(follower.poll());
    assert_eq!(*seen.lock().unwrap(), [Some(millis(50)), Some(millis(500))]);
}

/// An inner layer that fixes the deadline that it sees when it is called, as a queue does.
fn fixes_the_deadline(
    calls: &Arc<AtomicUsize>,
) -> impl Service<u64, Response = u64, Error = CallError, Future: Send> + Clone + Send + 'static {
    let calls = Arc::clone(calls);
    service_fn(move |n: u64| {
        calls.fetch_add(1, Relaxed);
        let deadline = Deadline::current().instant();
        async move {
            let answer = Instant::now() + millis(80);
            match deadline.filter(|at| *at < answer) {
                Some(at) => {
                    sleep_until(at).await;
                    Err(late(Phase::Attempt))
                }
                None => {
                    sleep_until(answer).await;
                    Ok(n)
                }
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_follower_with_time_left_starts_again_when_the_call_ends_for_the_deadline_of_its_driver() {
    let calls = Arc::new(AtomicUsize::new(0));
    let layer = by_number();
    let service = layer.layer(fixes_the_deadline(&calls));
    let in_time = |time| Deadline::after(millis(time)).scope(service.clone().call(7));
    let (driver, same, more, never) = tokio::join!(in_time(50), in_time(50), in_time(500), service.clone().call(7));
    // What the inner layer says at that very moment is heard, and it is the driver's own.
    assert_eq!(driver.unwrap_err().as_rejection().unwrap().layer(), "inner");
    let same = same.unwrap_err();
    assert_eq!(same.as_rejection().unwrap().outcome(), late(Phase::Attempt).as_rejection().unwrap().outcome());
    assert_eq!((more.unwrap(), never.unwrap()), (7, 7));
    assert_eq!(calls.load(Relaxed), 2, "those with time left make one call together");
    assert_eq!(layer.handle().stats().again, 2);
}

#[tokio::test(start_paused = true)]
async fn a_promoted_driver_with_time_left_starts_again_too() {
    let calls = Arc::new(AtomicUsize::new(0));
    let service = by_number().layer(fixes_the_deadline(&calls));
    let driver = within(&service, millis(50), 7);
    let follower = tokio::spawn(Deadline::after(millis(500)).scope(service.clone().call(7)));
    tokio::task::yield_now().await;
    drop(driver);
    assert_eq!(follower.await.unwrap().unwrap(), 7);
    assert_eq!(calls.load(Relaxed), 2, "the first has fixed another one's deadline");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_the_inner_service_itself_is_shared() {
    let calls = Arc::new(AtomicUsize::new(0));
    let inner = fixes_the_deadline(&calls);
    let shorter = service_fn(move |n: u64| {
        let mut inner = inner.clone();
        async move { Deadline::after(millis(20)).scope(async move { inner.call(n).await }).await }
    });
    let service = by_number().layer(shorter);
    let in_time = |time| Deadline::after(millis(time)).scope(service.clone().call(7));
    let (driver, follower, never) = tokio::join!(in_time(200), in_time(500), service.clone().call(7));
    assert_eq!(driver.unwrap_err().as_rejection().unwrap().layer(), "inner");
    for follower in [follower, never] {
        assert_eq!(shared_cause(follower).kind(), RejectionKind::DeadlineExceeded);
    }
    assert_eq!(calls.load(Relaxed), 1, "another call would not do better");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_refused_early_for_the_time_of_its_driver_is_started_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    // As a queue does that cannot be served in time.
    let service = by_number().layer(service_fn(move |n: u64| {
        count.fetch_add(1, Relaxed);
        let in_time = Deadline::current().allows(millis(100));
        async move {
            tokio::task::yield_now().await;
            if in_time { Ok(n) } else { Err(late(Phase::Queue)) }
        }
    }));
    let in_time = |time| Deadline::after(millis(time)).scope(service.clone().call(7));
    let (driver, less, more) = tokio::join!(in_time(50), in_time(40), in_time(500));
    assert_eq!(driver.unwrap_err().as_rejection().unwrap().layer(), "inner");
    assert_eq!(shared_cause(less).kind(), RejectionKind::DeadlineExceeded);
    assert_eq!(more.unwrap(), 7);
    assert_eq!(calls.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_waited_for_up_to_the_deadline_of_each() {
    let (service, probe) = held(&by_number());
    probe.set_readiness(Readiness::Pending);
    probe.reply(Reply::answer());
    let mut driver = within(&service, millis(50), 7);
    let mut follower = within(&service, millis(60), 7);
    let mut patient = within(&service, millis(500), 7);
    sleep(millis(51)).await;
    assert_eq!(refusal(assert_ready!(driver.poll())), (RejectionKind::DeadlineExceeded, Phase::Ready));
    // Promoted, and so it is its wait for readiness now.
    assert_pending!(follower.poll());
    sleep(millis(10)).await;
    assert_eq!(refusal(assert_ready!(follower.poll())), (RejectionKind::DeadlineExceeded, Phase::Ready));
    assert_pending!(patient.poll());
    assert_eq!(probe.stats().calls, 0);
    probe.set_readiness(Readiness::Ready);
    assert!(patient.is_woken());
    assert_ready_ok!(patient.poll());
    assert_eq!(probe.stats().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_gives_up_before_anything_was_sent_says_so() {
    let (service, probe) = held(&by_number());
    probe.set_readiness(Readiness::Pending);
    let mut driver = within(&service, millis(500), 7);
    let mut follower = within(&service, millis(50), 7);
    sleep(millis(51)).await;
    assert_eq!(refusal(assert_ready!(follower.poll())), (RejectionKind::DeadlineExceeded, Phase::Queue));
    assert_pending!(driver.poll());
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_after_the_deadline_of_the_driver_though_readiness_comes_then() {
    let (service, probe) = held(&by_number());
    probe.set_readiness(Readiness::Pending);
    probe.reply(Reply::answer());
    let mut driver = within(&service, millis(50), 7);
    let mut follower = within(&service, millis(500), 7);
    advance(millis(50)).await;
    probe.set_readiness(Readiness::Ready);
    assert_eq!(refusal(assert_ready!(driver.poll())), (RejectionKind::DeadlineExceeded, Phase::Ready));
    assert_eq!(probe.stats().calls, 0);
    assert!(follower.is_woken());
    assert_ready_ok!(follower.poll());
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_too_late_is_refused_at_the_door() {
    let (service, probe) = held(&by_number());
    let mut leader = call(&service, 7);
    assert_pending!(leader.poll());
    let deadline = Deadline::after(millis(50));
    advance(millis(50)).await;
    for n in [7, 8] {
        let refused = deadline.scope(service.clone().call(n)).await;
        assert_eq!(refusal(refused), (RejectionKind::DeadlineExceeded, Phase::Admission));
    }
    assert_eq!(probe.stats().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn one_with_less_time_does_not_poll_for_the_driver() {
    let (service, probe) = held(&by_number());
    let mut driver = within(&service, millis(500), 7);
    let mut less = within(&service, millis(50), 7);
    let mut more = within(&service, millis(600), 7);
    probe.release_all();
    assert!(driver.is_woken() && more.is_woken() && !less.is_woken());
    let polls = probe.stats().polls;
    assert_pending!(less.poll());
    assert_eq!(probe.stats().polls, polls);
    assert_ready_ok!(more.poll());
    assert!(less.is_woken());
    assert_ready_ok!(less.poll());
    assert_ready_ok!(driver.poll());
}

#[tokio::test(start_paused = true)]
async fn nobody_starts_again_after_its_own_deadline() {
    let (service, probe) = held(&by_number());
    probe.reply_next([Reply::panic().held()]);
    let mut driver = call(&service, 7);
    assert_pending!(driver.poll());
    let mut follower = within(&service, millis(50), 7);
    advance(millis(50)).await;
    probe.release_all();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| driver.poll())).is_err());
    assert_eq!(refusal(assert_ready!(follower.poll())), (RejectionKind::DeadlineExceeded, Phase::Attempt));
    assert_eq!(probe.stats().calls, 1);
}

/// A call that is woken while its driver is away, and fixes the deadline that it sees then.
#[tokio::test(start_paused = true)]
async fn one_that_comes_with_less_time_while_the_driver_is_away_does_not_poll_for_it() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let opens = Arc::clone(&gate);
    let service = by_number().layer(service_fn(move |n: u64| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            let answer = Instant::now() + millis(80);
            match Deadline::current().instant().filter(|at| *at < answer) {
                Some(at) => {
                    sleep_until(at).await;
                    Err(late(Phase::Attempt))
                }
                None => {
                    sleep_until(answer).await;
                    Ok(n)
                }
            }
        }
    }));
    for time in [millis(500), Duration::MAX] {
        let mut driver = within(&service, time, 7);
        opens.notify_one();
        assert!(driver.is_woken());
        let mut less = within(&service, millis(50), 7);
        assert_pending!(driver.poll());
        sleep(millis(51)).await;
        assert_eq!(refusal(assert_ready!(less.poll())), (RejectionKind::DeadlineExceeded, Phase::Attempt));
        sleep(millis(40)).await;
        assert!(driver.is_woken());
        assert_ready_ok!(driver.poll());
    }
}
