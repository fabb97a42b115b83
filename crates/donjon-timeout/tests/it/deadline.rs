//! The deadline over any request.

use std::{
    future::{Future, pending, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use donjon_core::{CallError, Criticality, Deadline, Fresh, Phase, Reject, Rejection, RejectionKind, Scope};
use donjon_timeout::DeadlineLayer;
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};

use crate::support::{Alive, Counted, Holds, millis, refusal, secs, without_budget};

const EXCEEDED: RejectionKind = RejectionKind::DeadlineExceeded;

fn hangs() -> impl Service<u64, Response = u64, Error = CallError, Future: Send> + Clone {
    service_fn(|_: u64| pending::<Result<u64, CallError>>())
}

/// Answers with what is left.
fn left() -> impl Service<u64, Response = Option<Duration>, Error = CallError, Future: Send> + Clone {
    service_fn(|_: u64| async { Ok(Deadline::current().remaining()) })
}

// ===== what it covers =====

#[tokio::test(start_paused = true)]
async fn it_covers_the_attempt() {
    let layer = DeadlineLayer::new(secs(5));
    let start = Instant::now();
    let error = layer.layer(hangs()).oneshot(1).await.expect_err("it never answers");
    assert_eq!(refusal(&error), (EXCEEDED, Phase::Attempt));
    assert_eq!(error.to_string(), "deadline refused the call: deadline-exceeded (attempt)");
    assert_eq!(start.elapsed(), secs(5));
    let stats = layer.handle().stats();
    assert_eq!((stats.attempt, stats.total()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn it_covers_readiness() {
    let inner = Counted::new(|_: &mut Context<'_>| Poll::Pending, |n: u64| ready(Ok::<_, CallError>(n)));
    let layer = DeadlineLayer::new(secs(5));
    let start = Instant::now();
    let error = layer.layer(inner.clone()).oneshot(1).await.expect_err("it is never ready");
    assert_eq!(refusal(&error), (EXCEEDED, Phase::Ready));
    assert!(!error.as_rejection().expect("a refusal").may_have_been_sent());
    assert_eq!(start.elapsed(), secs(5));
    assert_eq!(inner.counts().1, 0, "it was not called");
    assert_eq!(layer.handle().stats().ready, 1);
}

#[tokio::test(start_paused = true)]
async fn it_covers_a_queue() {
    // tower's own limit: its queue is in the readiness.
    let limited = ConcurrencyLimitLayer::new(1).layer(hangs());
    let holder = tokio::spawn(limited.clone().oneshot(1));
    tokio::task::yield_now().await;
    let start = Instant::now();
    let error = DeadlineLayer::new(secs(2)).layer(limited.clone()).oneshot(2).await.expect_err("it waits in the queue");
    assert_eq!(refusal(&error), (EXCEEDED, Phase::Ready));
    assert_eq!(start.elapsed(), secs(2));
    // The place in the queue is given back with the refusal.
    holder.abort();
    let _ = holder.await;
    let answers = ServiceExt::<u64>::ready(&mut limited.clone()).await.is_ok();
    assert!(answers, "the permit is free");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_queue_that_knows_the_deadline_is_returned_with_its_phase() {
    // What a deadline-aware queue does: it wakes at the deadline and gives up in its own name.
    let queue = service_fn(|_: u64| async {
        let left = Deadline::current().remaining().expect("there is one");
        sleep(left).await;
        let rejection = Rejection::new(EXCEEDED, "queue").with_phase(Phase::Queue);
        Err::<u64, _>(CallError::from_rejection(rejection))
    });
    let layer = DeadlineLayer::new(secs(5));
    let error = layer.layer(queue).oneshot(1).await.expect_err("it gives up");
    assert_eq!(refusal(&error), (EXCEEDED, Phase::Queue));
    assert_eq!(layer.handle().stats().total(), 0, "it was not this layer that gave up");
}

#[tokio::test(start_paused = true)]
async fn it_covers_a_sleep_and_no_attempt_follows_it() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let retries = service_fn(move |_: u64| {
        let attempts = Arc::clone(&counted);
        async move {
            loop {
                attempts.fetch_add(1, SeqCst);
                sleep(secs(2)).await;
            }
            #[expect(unreachable_code, reason = "says what the type is")]
            Ok::<u64, CallError>(0)
        }
    });
    let start = Instant::now();
    let error = DeadlineLayer::new(secs(5)).layer(retries).oneshot(1).await.expect_err("it goes on for ever");
    assert_eq!(refusal(&error), (EXCEEDED, Phase::Attempt));
    assert_eq!((start.elapsed(), attempts.load(SeqCst)), (secs(5), 3));
    sleep(secs(60)).await;
    assert_eq!(attempts.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_from_the_first_poll() {
    let mut service = DeadlineLayer::new(secs(5)).layer(left());
    let call = service.ready().await.expect("always ready").call(1);
    advance(secs(60)).await;
    assert_eq!(call.await.expect("it answers"), Some(secs(5)));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_readiness_is_the_caller_s() {
    let mut wait = Box::pin(sleep(secs(2)));
    let slow = Mutex::new(move |cx: &mut Context<'_>| wait.as_mut().poll(cx).map(Ok));
    let slow = Arc::new(slow);
    let inner = Counted::new(
        move |cx: &mut Context<'_>| (slow.lock().expect("no panic"))(cx),
        |_: u64| async { Ok::<_, CallError>(Deadline::current().remaining()) },
    );
    let service = DeadlineLayer::new(secs(5)).layer(inner);
    assert_eq!(service.oneshot(1).await.expect("it answers"), Some(secs(3)));
}

// ===== the moment itself =====

#[tokio::test(start_paused = true)]
async fn what_is_ready_when_the_time_is_up_wins() {
    let inner = service_fn(|n: u64| async move {
        sleep(secs(5)).await;
        Ok::<_, CallError>(n)
    });
    assert_eq!(DeadlineLayer::new(secs(5)).layer(inner).oneshot(7).await.expect("just in time"), 7);
}

#[tokio::test(start_paused = true)]
async fn no_work_starts_when_the_time_is_up() {
    // Ready in the very moment of the deadline: a call then would be work after it.
    let wait = Arc::new(Mutex::new(Box::pin(sleep(secs(5)))));
    let inner = Counted::new(
        move |cx: &mut Context<'_>| wait.lock().expect("no panic").as_mut().poll(cx).map(Ok),
        |n: u64| ready(Ok::<_, CallError>(n)),
    );
    let error = DeadlineLayer::new(secs(5)).layer(inner.clone()).oneshot(1).await.expect_err("too late");
    assert_eq!(refusal(&error), (EXCEEDED, Phase::Ready));
    assert_eq!(inner.counts().1, 0);
}

#[tokio::test(start_paused = true)]
async fn zero_refuses_before_any_inner_work() {
    let inner = Counted::new(|_: &mut Context<'_>| Poll::Ready(Ok(())), |n: u64| ready(Ok::<_, CallError>(n)));
    let layer = DeadlineLayer::new(Duration::ZERO);
    let error = layer.layer(inner.clone()).oneshot(1).await.expect_err("no time at all");
    assert_eq!(refusal(&error), (EXCEEDED, Phase::Admission));
    assert_eq!(inner.counts(), (0, 0));
    assert_eq!(layer.handle().stats().admission, 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_time_is_up_is_refused_before_any_inner_work() {
    let inner = Counted::new(|_: &mut Context<'_>| Poll::Ready(Ok(())), |n: u64| ready(Ok::<_, CallError>(n)));
    let service = DeadlineLayer::new(secs(5)).layer(inner.clone());
    let past = Deadline::at(Instant::now());
    let error = past.scope(service.oneshot(1)).await.expect_err("too late");
    assert_eq!(refusal(&error), (EXCEEDED, Phase::Admission));
    assert_eq!(inner.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_made_in_time_and_polled_too_late_starts_nothing() {
    let inner = Counted::new(|_: &mut Context<'_>| Poll::Ready(Ok(())), |n: u64| ready(Ok::<_, CallError>(n)));
    let mut service = DeadlineLayer::new(secs(5)).layer(inner.clone());
    let call = Scope::root().with_deadline(Deadline::after(secs(1))).enter(|| service.call(1));
    advance(secs(1)).await;
    assert_eq!(refusal(&call.await.expect_err("too late")), (EXCEEDED, Phase::Admission));
    assert_eq!(inner.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_longer_than_an_instant_is_never() {
    let layer = DeadlineLayer::new(Duration::MAX);
    assert_eq!(layer.handle().timeout(), None);
    assert_eq!(layer.layer(left()).oneshot(1).await.expect("it answers"), None);
    let mut call = pin!(layer.layer(hangs()).oneshot(1));
    assert!(tokio::time::timeout(secs(1_000_000_000), &mut call).await.is_err());
    // The caller's is enforced all the same.
    let start = Instant::now();
    let work = Deadline::after(secs(3)).scope(layer.layer(hangs()).oneshot(1));
    assert_eq!(refusal(&work.await.expect_err("the caller's")), (EXCEEDED, Phase::Attempt));
    assert_eq!(start.elapsed(), secs(3));
}

// ===== nesting =====

#[tokio::test(start_paused = true)]
async fn of_two_nested_layers_the_shorter_one_holds() {
    for (outer, inner) in [(2, 9), (9, 2), (4, 4)] {
        let (outside, inside) = (DeadlineLayer::new(secs(outer)), DeadlineLayer::new(secs(inner)));
        let shorter = secs(outer.min(inner));
        let service = outside.layer(inside.layer(left()));
        assert_eq!(service.oneshot(1).await.expect("it answers"), Some(shorter));

        let start = Instant::now();
        let error = outside.layer(inside.layer(hangs())).oneshot(1).await.expect_err("it hangs");
        assert_eq!(refusal(&error), (EXCEEDED, Phase::Attempt));
        assert_eq!(start.elapsed(), shorter, "{outer} around {inner}");
        let counts = (outside.handle().stats().total(), inside.handle().stats().total());
        assert_eq!(counts, (0, 1), "the inner one gives up, also for the outer one's deadline");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_s_shorter_deadline_holds_wherever_it_was_set() {
    let layer = DeadlineLayer::new(secs(60));
    // Around the call and its polls.
    let start = Instant::now();
    let call = Scope::root().with_timeout(secs(3)).wrap(layer.layer(hangs()).oneshot(1));
    assert_eq!(refusal(&call.await.expect_err("it hangs")), (EXCEEDED, Phase::Attempt));
    assert_eq!(start.elapsed(), secs(3));
    // Around the call alone: the future is polled somewhere else.
    let mut service = layer.layer(hangs());
    let call = Scope::root().with_deadline(Deadline::after(secs(3))).enter(|| service.call(1));
    let start = Instant::now();
    assert_eq!(refusal(&call.await.expect_err("it hangs")), (EXCEEDED, Phase::Attempt));
    assert_eq!(start.elapsed(), secs(3));
    // Around the polls alone.
    let call = service.call(1);
    let start = Instant::now();
    let call = Scope::root().with_timeout(secs(3)).wrap(call);
    assert_eq!(refusal(&call.await.expect_err("it hangs")), (EXCEEDED, Phase::Attempt));
    assert_eq!(start.elapsed(), secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_client_inside_of_a_handler_inherits_what_is_left() {
    let client = DeadlineLayer::new(secs(30)).layer(left());
    let handler = service_fn(move |n: u64| {
        let client = client.clone();
        async move {
            sleep(secs(4)).await;
            client.oneshot(n).await
        }
    });
    let server = DeadlineLayer::new(secs(10)).layer(handler);
    assert_eq!(server.oneshot(1).await.expect("it answers"), Some(secs(6)));
}

#[tokio::test(start_paused = true)]
async fn layers_do_not_each_spend_the_timeout_anew() {
    // Three calls one after the other, each through a client with a deadline of its own.
    let client = DeadlineLayer::new(secs(4)).layer(hangs());
    let handler = service_fn(move |n: u64| {
        let client = client.clone();
        async move {
            for _ in 0..3 {
                let _ = client.clone().oneshot(n).await;
            }
            Ok::<_, CallError>(n)
        }
    });
    let server = DeadlineLayer::new(secs(10)).layer(handler);
    let start = Instant::now();
    // The third client call is ended by the server's deadline, and the handler still has the last word.
    assert_eq!(server.oneshot(1).await.expect("the handler answers"), 1);
    assert_eq!(start.elapsed(), secs(10));
}

#[tokio::test(start_paused = true)]
async fn the_attempt_and_the_criticality_of_the_caller_go_on_inside() {
    let inner = service_fn(|_: u64| async {
        tokio::task::yield_now().await;
        Ok::<_, CallError>((Scope::current().attempt(), Scope::current().criticality()))
    });
    let service = DeadlineLayer::new(secs(1)).layer(inner);
    let caller = Scope::root().with_attempt(3).with_criticality(Criticality::Sheddable);
    assert_eq!(caller.wrap(service.oneshot(1)).await.expect("it answers"), (3, Criticality::Sheddable));
}

// ===== panics and drops =====

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_inner_call_is_a_panic_and_no_timeout() {
    let layer = DeadlineLayer::new(secs(5));
    let service = layer.layer(service_fn(|_: u64| -> std::future::Ready<Result<u64, CallError>> { panic!("call") }));
    let mut call = Box::pin(service.oneshot(1));
    let mut cx = Context::from_waker(Waker::noop());
    let panic = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx))).expect_err("a panic");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"call"));
    assert!(!Scope::current().has_deadline(), "the scope is put back");
    drop(call);
    assert_eq!(layer.handle().stats().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_inner_future_is_a_panic_and_no_timeout() {
    let layer = DeadlineLayer::new(secs(5));
    let inner = service_fn(|_: u64| async {
        sleep(secs(1)).await;
        if Scope::current().attempt() == 1 {
            panic!("future");
        }
        Ok::<u64, CallError>(1)
    });
    let task = tokio::spawn(layer.layer(inner).oneshot(1));
    let panic = task.await.expect_err("a panic").into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"future"));
    assert_eq!(layer.handle().stats().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_inner_call_is_dropped_wherever_it_ends() {
    let alive = Alive::default();
    let inner = {
        let alive = alive.clone();
        service_fn(move |wait: u64| {
            let token = alive.token();
            async move {
                sleep(secs(wait)).await;
                drop(token);
                Ok::<_, CallError>(wait)
            }
        })
    };
    let mut service = DeadlineLayer::new(secs(5)).layer(inner);

    drop(service.call(1));
    assert_eq!(alive.count(), 0, "dropped before the first poll: nothing was started");

    let mut call = Box::pin(service.call(60));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(alive.count(), 1);
    drop(call);
    assert_eq!(alive.count(), 0, "dropped while pending");

    let mut call = Box::pin(service.call(60));
    assert!(call.as_mut().await.is_err());
    assert_eq!(alive.count(), 0, "given up, though the finished future is alive");
    drop(call);

    let mut call = Box::pin(service.call(1));
    assert!(call.as_mut().await.is_ok());
    assert_eq!(alive.count(), 0, "answered, though the finished future is alive");
}

#[tokio::test(start_paused = true)]
async fn the_inner_future_is_dropped_when_it_has_answered() {
    let alive = Alive::default();
    let made = alive.clone();
    let mut service = DeadlineLayer::new(secs(5)).layer(service_fn(move |_: u64| Holds(made.token())));
    let mut call = Box::pin(service.call(1));
    assert!(call.as_mut().await.is_ok());
    assert_eq!(alive.count(), 0);
}

#[tokio::test]
async fn a_busy_inner_call_cannot_hide_the_timer() {
    // It uses up the task's cooperative budget in each poll; on the real clock, since it is never idle.
    let busy = service_fn(|n: u64| async move {
        let start = Instant::now();
        while start.elapsed() < secs(10) {
            tokio::task::coop::consume_budget().await;
        }
        Ok::<_, CallError>(n)
    });
    let error = DeadlineLayer::new(millis(20)).layer(busy).oneshot(1).await.expect_err("it was cut");
    assert_eq!(refusal(&error), (EXCEEDED, Phase::Attempt));
}

#[tokio::test]
async fn a_busy_task_cannot_hide_the_timer() {
    let start = Instant::now();
    let call = DeadlineLayer::new(millis(20)).layer(service_fn(move |n: u64| async move {
        // Woken all the time, since the budget is used up all the time.
        std::future::poll_fn(|_| if start.elapsed() < secs(10) { Poll::Pending } else { Poll::Ready(()) }).await;
        Ok::<_, CallError>(n)
    }));
    let error = without_budget(call.oneshot(1)).await.expect_err("it was cut");
    assert_eq!(refusal(&error), (EXCEEDED, Phase::Attempt));
}

#[tokio::test]
async fn readiness_that_blocks_beyond_the_deadline_is_given_up_at_once() {
    let inner = Counted::new(
        |_: &mut Context<'_>| {
            // A timer fires up to a millisecond late.
            let late = Deadline::current().instant().expect("there is one") + millis(3);
            while Instant::now() < late {}
            Poll::<Result<(), CallError>>::Pending
        },
        |n: u64| ready(Ok::<_, CallError>(n)),
    );
    let error = DeadlineLayer::new(millis(2)).layer(inner.clone()).oneshot(1).await.expect_err("it is never ready");
    assert_eq!(refusal(&error), (EXCEEDED, Phase::Ready));
    assert_eq!(inner.counts(), (1, 0));
}

// ===== settings =====

#[tokio::test(start_paused = true)]
async fn the_handle_turns_the_timeout_of_calls_to_come() {
    let layer = DeadlineLayer::new(secs(5));
    let handle = layer.handle();
    let running = tokio::spawn(layer.layer(hangs()).oneshot(1));
    tokio::task::yield_now().await;
    let start = Instant::now();
    handle.set_timeout(secs(1)).expect("every duration means something");
    assert_eq!((handle.timeout(), layer.clone().handle().timeout()), (Some(secs(1)), Some(secs(1))));
    assert!(layer.layer(hangs()).oneshot(1).await.is_err());
    assert_eq!(start.elapsed(), secs(1));
    assert!(running.await.expect("no panic").is_err());
    assert_eq!(start.elapsed(), secs(5), "the running one keeps its own");

    handle.set_timeout(Duration::ZERO).expect("every duration means something");
    assert!(layer.layer(left()).oneshot(1).await.is_err());
    handle.set_timeout(Duration::MAX).expect("every duration means something");
    assert_eq!(handle.timeout(), None);
    assert_eq!(layer.layer(left()).oneshot(1).await.expect("it answers"), None);
}

#[tokio::test(start_paused = true)]
async fn clones_share_and_fresh_ones_do_not() {
    let layer = DeadlineLayer::new(secs(5));
    let (clone, fresh, bypass) = (layer.clone(), layer.fresh(), layer.bypass());
    layer.handle().set_timeout(secs(1)).expect("every duration means something");
    assert_eq!((clone.handle().timeout(), fresh.handle().timeout()), (Some(secs(1)), Some(secs(5))));
    assert!(clone.layer(hangs()).oneshot(1).await.is_err());
    assert_eq!((layer.handle().stats().total(), fresh.handle().stats().total()), (1, 0));

    // Switched off it sets nothing, and enforces nothing either.
    assert_eq!(bypass.layer(left()).oneshot(1).await.expect("it answers"), None);
    let late = service_fn(|n: u64| async move {
        sleep(secs(20)).await;
        Ok::<_, CallError>(n)
    });
    let call = Deadline::after(secs(1)).scope(bypass.layer(late).oneshot(1));
    assert_eq!(call.await.expect("nobody ends it"), 1);
}

#[tokio::test(start_paused = true)]
async fn switched_off_it_is_as_ready_as_the_inner_service() {
    let probe = donjon_test::Probe::number();
    let handle = probe.handle();
    handle.set_readiness(donjon_test::Readiness::Pending);
    let mut service = DeadlineLayer::new(secs(5)).bypass().layer(probe);
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(service.poll_ready(cx))).await.is_pending());
    handle.set_readiness(donjon_test::Readiness::Ready);
    assert!(service.ready().await.expect("it is ready").call(1).await.is_ok());
    assert_eq!(handle.violations(), []);
}

#[tokio::test(start_paused = true)]
async fn a_call_outlives_its_layer() {
    let layer = DeadlineLayer::new(secs(5));
    let call = layer.layer(hangs()).oneshot(1);
    drop(layer);
    assert_eq!(refusal(&call.await.expect_err("it hangs")), (EXCEEDED, Phase::Attempt));
}
