//! Whoever leaves, at whatever time and in whatever way, the others go on.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use donjon_coalesce::Coalesce;
use donjon_core::{CallError, Phase, Reject, RejectionKind};
use donjon_test::{ProbeError, Readiness, Reply};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok};
use tower::{Layer, Service, ServiceExt};

use crate::support::{ByNumber, by_number, call, held, pending, refusal};

#[tokio::test(start_paused = true)]
async fn the_driver_may_leave_at_every_poll() {
    const POLLS: u32 = 6;
    for polls in 0..=POLLS + 1 {
        for readiness in [Readiness::Ready, Readiness::Slow] {
            let layer = by_number();
            let (service, probe) = held(&layer);
            probe.set_readiness(readiness);
            probe.reply(Reply::answer().after_polls(POLLS));
            let mut driver = call(&service, 7);
            if polls > 0 {
                assert_pending!(driver.poll());
            }
            let mut others = pending(&service, 7, 3);
            for _ in 1..polls {
                if !driver.is_woken() || driver.poll().is_ready() {
                    break;
                }
            }
            drop(driver);
            let mut answered = 0;
            while let Some(woken) = others.iter().position(|it| it.is_woken()) {
                if others[woken].poll().is_ready() {
                    answered += 1;
                    drop(others.remove(woken));
                }
            }
            assert_eq!((answered, others.len()), (3, 0), "after {polls} polls");
            assert_eq!(probe.stats().calls, 1, "after {polls} polls");
            assert_eq!(layer.handle().stats().in_flight, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_polled_has_done_nothing() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    let unpolled = call(&service, 7);
    assert_eq!((probe.stats().calls, layer.handle().stats().in_flight), (0, 0));
    let mut other = call(&service, 7);
    assert_pending!(other.poll());
    drop(unpolled);
    assert!(!other.is_woken());
    probe.release_all();
    assert_ready_ok!(other.poll());
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_leaves_disturbs_nobody() {
    let (service, probe) = held(&by_number());
    let mut calls = pending(&service, 7, 4);
    drop(calls.remove(2));
    assert!(calls.iter().all(|call| !call.is_woken()));
    probe.release_all();
    for call in &mut calls {
        assert_ready_ok!(call.poll());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_was_woken_to_drive_and_leaves_wakes_the_next() {
    let (service, probe) = held(&by_number());
    let mut calls = pending(&service, 7, 5);
    probe.release_all();
    // The driver and one more know of it, and both leave before they have looked.
    assert!(calls[0].is_woken() && calls[1].is_woken() && !calls[2].is_woken());
    drop(calls.remove(1));
    assert!(calls[1].is_woken(), "the one that was woken besides the driver passes it on");
    drop(calls.remove(1));
    drop(calls.remove(0));
    assert!(calls[0].is_woken());
    assert_ready_ok!(calls[0].poll());
    assert!(calls[1].is_woken());
    assert_ready_ok!(calls[1].poll());
    assert_eq!(probe.stats().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_kept_and_not_polled_holds_up_nobody() {
    let (service, probe) = held(&by_number());
    let mut calls = pending(&service, 7, 3);
    probe.release_all();
    assert!(calls[1].is_woken());
    assert_ready_ok!(calls[1].poll());
    assert_ready_ok!(calls[2].poll());
    // It has its own answer when it comes for it.
    assert_ready_ok!(calls[0].poll());
    assert_eq!(probe.stats().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn what_another_one_has_polled_for_the_driver_is_the_drivers_own() {
    // An error.
    let (service, probe) = held(&by_number());
    probe.reply(Reply::fail().held());
    let mut calls = pending(&service, 7, 3);
    probe.release_all();
    assert_eq!(refusal(assert_ready!(calls[1].poll())), (RejectionKind::Shared, Phase::Attempt));
    assert!(assert_ready_err!(calls[0].poll()).downcast_ref::<ProbeError>().is_some());

    // A panic.
    probe.reply(Reply::answer().held());
    probe.reply_next([Reply::panic().held()]);
    let mut calls = pending(&service, 7, 3);
    probe.release_all();
    assert_pending!(calls[1].poll());
    assert_pending!(calls[2].poll());
    assert!(catch_unwind(AssertUnwindSafe(|| calls[0].poll())).is_err());
    probe.release_all();
    assert_ready_ok!(calls[1].poll());
    assert_ready_ok!(calls[2].poll());
    assert_eq!(probe.stats().calls, 3);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_inner_call_frees_the_key() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    // While the driver waits for readiness the others join.
    probe.set_readiness(Readiness::Pending);
    let mut calls = pending(&service, 7, 3);
    probe.reply_next([Reply::panic_in_call()]);
    probe.set_readiness(Readiness::Ready);
    assert!(catch_unwind(AssertUnwindSafe(|| calls[0].poll())).is_err());
    // Its future stays alive.
    assert_pending!(calls[1].poll());
    assert_pending!(calls[2].poll());
    probe.release_all();
    assert_ready_ok!(calls[1].poll());
    assert_ready_ok!(calls[2].poll());
    assert_eq!((probe.stats().calls, layer.handle().stats().again), (2, 2));
    assert_ready_ok!({
        probe.reply(Reply::answer());
        call(&service, 7).poll()
    });
}

#[tokio::test(start_paused = true)]
async fn each_of_those_who_start_again_has_its_own_panic() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    probe.reply(Reply::panic().held());
    let mut calls = pending(&service, 7, 3);
    while let Some(mut first) = (!calls.is_empty()).then(|| calls.remove(0)) {
        probe.release_all();
        assert!(catch_unwind(AssertUnwindSafe(|| first.poll())).is_err());
        for call in &mut calls {
            assert!(call.is_woken());
            assert_pending!(call.poll());
        }
    }
    assert_eq!((probe.stats().calls, layer.handle().stats().in_flight), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_the_drivers_own_and_shared() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    probe.set_readiness(Readiness::Pending);
    let mut calls = pending(&service, 7, 2);
    probe.set_readiness(Readiness::Fail);
    let own = assert_ready_err!(calls[0].poll());
    assert!(own.downcast_ref::<ProbeError>().is_some_and(ProbeError::is_readiness));
    let shared = assert_ready_err!(calls[1].poll());
    let rejection = shared.as_rejection().unwrap();
    let cause = std::error::Error::source(rejection).unwrap();
    assert_eq!(cause.to_string(), own.as_error().to_string());
    assert_eq!(layer.handle().stats().in_flight, 0, "though their futures stay alive");
}

#[tokio::test(start_paused = true)]
async fn the_next_caller_gets_a_call_of_its_own_after_an_end() {
    let (service, probe) = held(&by_number());
    for end in [Reply::answer(), Reply::fail()] {
        probe.reply(end);
        let mut ended = call(&service, 7);
        let _ = assert_ready!(ended.poll());
        let _ = assert_ready!(call(&service, 7).poll());
    }
    assert_eq!(probe.stats().calls, 4, "nothing is remembered");
}

#[tokio::test(start_paused = true)]
async fn the_inner_service_is_not_polled_without_a_wake() {
    let (service, probe) = held(&by_number());
    let mut calls = pending(&service, 7, 10);
    let polls = probe.stats().polls;
    for _ in 0..10 {
        calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
    }
    assert_eq!(probe.stats().polls, polls);
}

/// A service that stays ready after a call through it.
#[tokio::test(start_paused = true)]
async fn nothing_inside_is_readied_before_a_call() {
    let (mut service, probe) = held(&by_number());
    probe.set_capacity(Some(1));
    service.ready().await.unwrap();
    let mut idle = service.clone();
    idle.ready().await.unwrap();
    assert_eq!(probe.stats().reserved, 0);
    let mut call = tokio_test::task::spawn(service.call(7));
    assert_pending!(call.poll());
    assert_eq!((probe.stats().reserved, probe.stats().in_flight), (0, 1));
    let mut follower = tokio_test::task::spawn(idle.call(7));
    assert_pending!(follower.poll());
    assert_eq!(probe.stats().reserved, 0);
}

/// A call whose end makes the next one of its key: whatever runs when a future is dropped may come back.
#[tokio::test(start_paused = true)]
async fn a_future_that_calls_again_while_it_is_dropped_finds_no_lock_held() {
    struct CallsAgain(Option<Coalesce<Within, ByNumber>>);

    impl Drop for CallsAgain {
        fn drop(&mut self) {
            if let Some(mut service) = self.0.take() {
                let mut call = tokio_test::task::spawn(service.call(7));
                let poll = call.poll();
                let mut other = tokio_test::task::spawn(service.call(8));
                assert!(poll.is_pending() && other.poll().is_pending());
            }
        }
    }

    #[derive(Clone)]
    struct Within(Option<Box<Coalesce<Within, ByNumber>>>);

    impl Service<u64> for Within {
        type Response = u64;
        type Error = CallError;
        type Future = Pin<Box<dyn Future<Output = Result<u64, CallError>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: u64) -> Self::Future {
            let again = CallsAgain(self.0.take().map(|it| *it));
            Box::pin(async move {
                let _again = again;
                std::future::pending().await
            })
        }
    }

    let layer = by_number();
    let ends = layer.layer(Within(None));
    let mut service = layer.layer(Within(Some(Box::new(ends))));
    let mut driver = tokio_test::task::spawn(service.call(7));
    assert_pending!(driver.poll());
    drop(driver);
    assert_eq!(layer.handle().stats().in_flight, 0);
}
