//! What goes wrong in a wrong order of layers, beside the right one: the figures that the architecture page speaks of.

use std::time::Duration;

use bytes::Bytes;
use donjon::{Backoff, CallError, CollectLayer, ConcurrencyLimitLayer, DeadlineLayer, RetryLayer, TimeoutLayer};
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
