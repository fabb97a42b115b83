//! What goes wrong in a wrong order of layers, beside the right one: the figures that the architecture page speaks of.

use std::time::Duration;

use bytes::Bytes;
use donjon::{
    Backoff, BreakerLayer, Budget, CacheLayer, CallError, CollectLayer, ConcurrencyLimitLayer, DeadlineLayer,
    HedgeLayer, RetryLayer, TimeoutLayer, hedge::Delay, retry,
};
use donjon_tests::upstream::{
    Step::{After, Json, Never, RetryAfter, Status, Truncated},
    Upstream,
};
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

fn request() -> Request<Full<Bytes>> {
    Request::get("http://upstream/").body(Full::default()).unwrap()
}

fn retry() -> RetryLayer<donjon::retry::Http> {
    RetryLayer::http().backoff(Backoff::constant(Duration::ZERO))
}

macro_rules! transport {
    ($upstream:expr) => {{
        let upstream = $upstream.clone();
        let answer = move |request| upstream.clone().answer(request);
        ServiceBuilder::new().map_err(CallError::from).service_fn(answer)
    }};
}

#[tokio::test(start_paused = true)]
async fn a_limit_outside_of_the_retry_is_held_while_it_sleeps() {
    for (limit_outside, held) in [(false, 0), (true, 1)] {
        let upstream = Upstream::new([RetryAfter(10), Json("1")]);
        let limit = ConcurrencyLimitLayer::http(1);
        let handle = limit.handle();
        let check = async {
            tokio::time::sleep(SECOND).await;
            handle.stats().in_flight
        };
        let in_flight = if limit_outside {
            let stack = ServiceBuilder::new().layer(limit).layer(retry()).service(transport!(upstream));
            tokio::select! { _ = stack.oneshot(request()) => panic!("it sleeps"), held = check => held }
        } else {
            let stack = ServiceBuilder::new().layer(retry()).layer(limit).service(transport!(upstream));
            tokio::select! { _ = stack.oneshot(request()) => panic!("it sleeps"), held = check => held }
        };
        assert_eq!(in_flight, held, "limit outside: {limit_outside}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_timeout_outside_of_the_retry_leaves_no_time_for_a_second() {
    let script = || Upstream::new([Never, Json("1")]);

    let upstream = script();
    let right = ServiceBuilder::new().layer(retry()).layer(TimeoutLayer::new(SECOND)).service(transport!(upstream));
    assert!(right.oneshot(request()).await.is_ok());
    assert_eq!(upstream.calls(), 2);

    let upstream = script();
    let wrong = ServiceBuilder::new().layer(TimeoutLayer::new(SECOND)).layer(retry()).service(transport!(upstream));
    assert!(wrong.oneshot(request()).await.is_err());
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn collect_outside_of_the_retry_finds_a_truncated_body_too_late() {
    let script = || Upstream::new([Truncated, Json("1")]);

    let upstream = script();
    let right = ServiceBuilder::new().layer(retry()).layer(CollectLayer::new()).service(transport!(upstream));
    let body = right.oneshot(request()).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!((body.as_ref(), upstream.calls()), (&b"1"[..], 2));

    let upstream = script();
    let wrong = ServiceBuilder::new().layer(CollectLayer::new()).layer(retry()).service(transport!(upstream));
    assert!(wrong.oneshot(request()).await.is_err());
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_inside_of_the_retry_is_spent_anew_by_each_attempt() {
    let script = || Upstream::new([After(Duration::from_millis(900), Box::new(Status(503)))]);

    let upstream = script();
    let started = Instant::now();
    let right = ServiceBuilder::new().layer(DeadlineLayer::new(SECOND)).layer(retry()).service(transport!(upstream));
    assert!(right.oneshot(request()).await.is_err());
    assert!(started.elapsed() <= SECOND + Duration::from_millis(2), "{:?}", started.elapsed());

    let upstream = script();
    let started = Instant::now();
    let wrong = ServiceBuilder::new().layer(retry()).layer(DeadlineLayer::new(SECOND)).service(transport!(upstream));
    assert_eq!(wrong.oneshot(request()).await.unwrap().status(), 503);
    assert!(started.elapsed() >= 3 * SECOND, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_breaker_outside_of_the_retry_opens_late() {
    let down = || Upstream::new([Status(503)]);
    let retry = || retry().budget(Budget::unlimited());
    // For longer than a retry waits.
    let breaker = || BreakerLayer::http().open_for(600 * SECOND).max_open(600 * SECOND);

    let upstream = down();
    let right = ServiceBuilder::new().layer(retry()).layer(breaker()).service(transport!(upstream));
    for _ in 0..10 {
        let _ = right.clone().oneshot(request()).await;
    }
    assert_eq!(upstream.calls(), 7, "each attempt counts");

    let upstream = down();
    let wrong = ServiceBuilder::new().layer(breaker()).layer(retry()).service(transport!(upstream));
    for _ in 0..10 {
        let _ = wrong.clone().oneshot(request()).await;
    }
    assert_eq!(upstream.calls(), 28, "each call counts, of four attempts");
}

#[tokio::test(start_paused = true)]
async fn a_hedge_inside_of_the_limit_puts_two_in_flight_under_one_permit() {
    let hedge = || HedgeLayer::http().delay(Delay::fixed(Duration::from_millis(10))).budget(&Budget::unlimited());
    for (hedge_inside, most) in [(false, 1), (true, 2)] {
        let upstream = Upstream::new([Never]);
        let limit = ConcurrencyLimitLayer::http(1);
        if hedge_inside {
            let stack = ServiceBuilder::new().layer(limit).layer(hedge()).service(transport!(upstream));
            let _ = tokio::time::timeout(SECOND, stack.oneshot(request())).await;
        } else {
            let stack = ServiceBuilder::new().layer(hedge()).layer(limit).service(transport!(upstream));
            let _ = tokio::time::timeout(SECOND, stack.oneshot(request())).await;
        }
        assert_eq!(upstream.calls(), most, "hedge inside: {hedge_inside}");
    }
}

/// The failure is shared by those who wait for it, and each of them pays for a retry of its own.
#[tokio::test(start_paused = true)]
async fn a_cache_inside_of_the_retry_makes_each_who_waits_pay_for_a_retry() {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    };

    for (cache_inside, answered) in [(false, 10), (true, 3)] {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let once_down = tower::service_fn(move |n: u64| {
            let is_first = counted.fetch_add(1, Relaxed) == 0;
            async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                if is_first { Err(CallError::new("it was down")) } else { Ok(n) }
            }
        });
        let cache = CacheLayer::new(|n: &u64| Some(*n)).ttl(SECOND);
        let budget = Budget::builder().capacity(3).initial(3).build();
        let retry = RetryLayer::new(retry::Standard::new()).backoff(Backoff::constant(SECOND / 10)).budget(budget);
        let ten = async |stack: tower::util::BoxCloneSyncService<u64, u64, CallError>| {
            let all = (0..10).map(|_| stack.clone().oneshot(1));
            futures_util::future::join_all(all).await.into_iter().filter(Result::is_ok).count()
        };
        let ok = if cache_inside {
            ten(tower::util::BoxCloneSyncService::new(
                ServiceBuilder::new().layer(retry).layer(cache).service(once_down),
            ))
            .await
        } else {
            ten(tower::util::BoxCloneSyncService::new(
                ServiceBuilder::new().layer(cache).layer(retry).service(once_down),
            ))
            .await
        };
        assert_eq!((ok, calls.load(Relaxed)), (answered, 2), "cache inside: {cache_inside}");
    }
}
