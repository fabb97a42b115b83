//! Turns: who waits for how long, and what becomes of a turn that is given up.

use std::time::Duration;

use donjon_core::{CallError, Deadline, Phase, RejectionKind};
use donjon_rate_limit::{Rate, RateLimitLayer};
use tokio::time::{Instant, advance, timeout};
use tokio_test::{assert_pending, task::spawn};
use tower::{Service, ServiceExt};

use crate::support::{echo, passed, refusal};

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// One token each 100 ms, one at once.
const RATE: Rate = Rate::per_second(10).burst(1);

fn patient() -> RateLimitLayer {
    RateLimitLayer::new(RATE).max_wait(millis(300))
}

/// Calls that wait, each with its future.
fn queued<S>(service: &S, calls: u64) -> Vec<tokio_test::task::Spawn<tower::util::Oneshot<S, u64>>>
where
    S: Service<u64, Response = u64, Error = CallError> + Clone,
{
    let calls = (0..calls).map(|n| {
        let mut call = spawn(service.clone().oneshot(n));
        assert_pending!(call.poll());
        call
    });
    calls.collect()
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_their_turns_in_order_and_those_who_would_wait_too_long_are_told_at_once() {
    let limit = patient();
    let service = echo(&limit);
    let start = Instant::now();
    let calls = (0..6).map(|n| {
        let service = service.clone();
        async move { (n, service.oneshot(n).await, start.elapsed()) }
    });
    let mut ended = futures_util::future::join_all(calls).await;
    let refused = ended.split_off(4);
    for (n, result, at) in ended {
        assert_eq!(result.unwrap(), n);
        assert_eq!(at, millis(100) * n as u32);
    }
    for (_, result, at) in refused {
        assert_eq!(at, Duration::ZERO, "at once");
        assert_eq!(refusal(result), (RejectionKind::RateLimited, Phase::Admission, Some(millis(400))));
    }
    let stats = limit.handle().stats();
    assert_eq!((stats.admitted, stats.waited, stats.refused, stats.waiting), (4, 3, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn no_wait_is_the_default_and_clones_may_wait_differently() {
    let limit = RateLimitLayer::new(RATE);
    assert_eq!(passed(&echo(&limit), 2).await, 1);
    let start = Instant::now();
    assert_eq!(passed(&echo(&limit.clone().max_wait(millis(100))), 1).await, 1);
    assert_eq!(start.elapsed(), millis(100));
}

#[tokio::test(start_paused = true)]
async fn the_number_of_those_who_wait_is_bounded() {
    let limit = RateLimitLayer::new(RATE).max_wait(Duration::MAX).queue(2);
    let service = echo(&limit);
    assert_eq!(passed(&service, 1).await, 1);
    let waits = queued(&service, 2);
    assert_eq!(limit.handle().stats().waiting, 2);
    assert_eq!(refusal(service.clone().oneshot(9).await).2, Some(millis(300)));
    drop(waits);
    assert_eq!(limit.handle().stats().waiting, 0);
    assert_eq!(queued(&service, 2).len(), 2);
    limit.handle().set_queue(0);
    assert_eq!(passed(&service, 1).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_turn_after_the_deadline_is_refused_at_once() {
    let service = echo(&patient());
    assert_eq!(passed(&service, 1).await, 1);
    for (left, goes_on) in [(99, false), (100, false), (101, true)] {
        let start = Instant::now();
        let call = Deadline::after(millis(left)).scope(service.clone().oneshot(7));
        let result = call.await;
        if goes_on {
            assert_eq!(result.unwrap(), 7);
            assert_eq!(start.elapsed(), millis(100));
        } else {
            assert_eq!(refusal(result), (RejectionKind::RateLimited, Phase::Admission, Some(millis(100))));
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_polled_after_its_deadline_does_not_start_and_gives_its_turn_back() {
    let limit = patient();
    let service = echo(&limit);
    assert_eq!(passed(&service, 1).await, 1);
    let mut call = spawn(Deadline::after(millis(150)).scope(service.clone().oneshot(7)));
    assert_pending!(call.poll());
    advance(millis(200)).await;
    let result = tokio_test::assert_ready!(call.poll());
    assert_eq!(refusal(result), (RejectionKind::DeadlineExceeded, Phase::Queue, None));
    assert_eq!(limit.handle().stats().cancelled, 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_who_waits_leaves_as_if_it_had_never_come() {
    let limit = patient();
    let service = echo(&limit);
    assert_eq!(passed(&service, 1).await, 1);
    for _ in 0..100 {
        drop(queued(&service, 3));
    }
    let mut three = queued(&service, 3);
    // From the back, one by one: each is then the last.
    while let Some(call) = three.pop() {
        drop(call);
    }
    advance(millis(100)).await;
    assert_eq!(passed(&service, 1).await, 1, "the token that all of them had waited for");
    assert_eq!(limit.handle().stats().cancelled, 303);
}

#[tokio::test(start_paused = true)]
async fn the_turn_of_one_who_leaves_others_behind_is_for_the_next_who_comes() {
    let service = echo(&patient());
    assert_eq!(passed(&service, 1).await, 1);
    let start = Instant::now();
    let mut waits = queued(&service, 3);
    drop(waits.remove(0));
    // Its turn at 100 ms is free; the two behind keep theirs at 200 and 300, and there is no room after them.
    advance(millis(50)).await;
    let mut newcomer = queued(&service, 1);
    assert_eq!(refusal(service.clone().oneshot(8).await).2, Some(millis(350)));
    advance(millis(50)).await;
    tokio_test::assert_ready!(newcomer[0].poll()).unwrap();
    for (mut call, at) in waits.into_iter().zip([200, 300]) {
        advance(start + millis(at) - Instant::now()).await;
        tokio_test::assert_ready!(call.poll()).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn callers_who_all_leave_early_do_not_starve_those_who_stay() {
    // Each tenth of a second two come; one has given up before its turn. The rate is met by those who stay.
    let limit = patient();
    let service = echo(&limit);
    let start = Instant::now();
    let mut stays = Vec::new();
    let mut leaves = Vec::new();
    for _ in 0..100 {
        leaves.clear();
        for _ in 0..2 {
            leaves.push(tokio::spawn(timeout(millis(90), service.clone().oneshot(1))));
        }
        stays.push(tokio::spawn(service.clone().oneshot(2)));
        tokio::time::sleep(millis(100)).await;
    }
    let mut answered = 0;
    for call in stays {
        answered += usize::from(call.await.unwrap().is_ok());
    }
    assert!(start.elapsed() >= millis(10_000));
    assert!(limit.handle().stats().admitted >= 95, "{:?}", limit.handle().stats());
    assert!(answered >= 40, "{answered} of those who stay, {:?}", limit.handle().stats());
}

#[tokio::test(start_paused = true)]
async fn turns_keep_the_rate_whoever_leaves() {
    let mut rng = fastrand::Rng::with_seed(8);
    for _ in 0..50 {
        let layer = RateLimitLayer::new(Rate::per_second(10).burst(3)).max_wait(millis(700)).cost(|cost: &u64| *cost);
        let service = echo(&layer);
        let (start, mut started, mut waits) = (Instant::now(), Vec::new(), Vec::new());
        for _ in 0..200 {
            match rng.u8(0..4) {
                0 | 1 => {
                    let cost = rng.u64(1..=3);
                    waits.push((cost, spawn(service.clone().oneshot(cost))));
                }
                2 if !waits.is_empty() => drop(waits.swap_remove(rng.usize(0..waits.len()))),
                _ => advance(millis(rng.u64(0..100))).await,
            }
            // Everybody is polled every millisecond, so that a start is at its turn, to the millisecond of a timer.
            waits.retain_mut(|(cost, call)| match call.poll() {
                std::task::Poll::Pending => true,
                std::task::Poll::Ready(result) => {
                    started.extend(result.ok().map(|_| (start.elapsed(), *cost)));
                    false
                }
            });
        }
        assert!(started.len() > 10);
        for (first, (from, _)) in started.iter().enumerate() {
            let mut tokens = 0;
            for (to, cost) in &started[first..] {
                tokens += cost;
                // What is polled late starts late: by up to the 100 ms that the clock is moved at a time.
                let window = *to - *from + millis(101);
                assert!(u128::from(tokens) * 100 <= 300 + window.as_millis(), "{tokens} in {window:?}");
            }
        }
    }
}

/// Ready as soon as somebody says so, and then at once.
#[derive(Clone)]
struct Gate(std::sync::Arc<tokio::sync::Semaphore>);

impl Service<u64> for Gate {
    type Response = u64;
    type Error = CallError;
    type Future = std::future::Ready<Result<u64, CallError>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), CallError>> {
        if self.0.available_permits() > 0 {
            return std::task::Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    }

    fn call(&mut self, n: u64) -> Self::Future {
        std::future::ready(Ok(n))
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_service_gets_ready_after_the_deadline_does_not_start() {
    let open = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
    let mut service = tower::Layer::layer(&patient(), Gate(open.clone()));
    service.ready().await.unwrap().call(0).await.unwrap();
    let called = std::future::poll_fn(|_| std::task::Poll::Ready(service.call(1)));
    let mut waits = spawn(Deadline::after(millis(150)).scope(called).await);
    assert_pending!(waits.poll());
    open.acquire().await.unwrap().forget();
    advance(millis(100)).await;
    assert_pending!(waits.poll());
    advance(millis(100)).await;
    open.add_permits(1);
    let result = waits.await;
    assert_eq!(refusal(result), (RejectionKind::DeadlineExceeded, Phase::Ready, None));
}
