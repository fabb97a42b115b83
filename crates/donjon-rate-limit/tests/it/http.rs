//! The fields of responses and of refusals.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use donjon_http::respond;
use donjon_rate_limit::{Http, Rate, RateLimitLayer};
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::advance;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

async fn answers(layer: RateLimitLayer<donjon_rate_limit::LocalLimiter, Http>, calls: usize) -> Vec<http::HeaderMap> {
    let handler = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))));
    let app = respond(ServiceBuilder::new().layer(layer)).layer(handler);
    let mut answers = Vec::new();
    for _ in 0..calls {
        answers.push(app.clone().oneshot(Request::new(())).await.unwrap().into_parts().0.headers);
    }
    answers
}

/// T15: `RateLimit-Policy: "burst";q=100;w=60` and `RateLimit: "default";r=50;t=30`; Retry-After wins.
#[tokio::test(start_paused = true)]
async fn t15_responses_say_the_policy_and_what_is_left_and_refusals_say_retry_after_too() {
    let limit = RateLimitLayer::http(Rate::per_minute(100));
    let answers = answers(limit.clone(), 50).await;
    assert_eq!(answers[49]["ratelimit-policy"], r#""default";q=100;w=60"#);
    assert_eq!(answers[49]["ratelimit"], r#""default";r=50;t=30"#);
    assert!(!answers[49].contains_key("retry-after"));

    let refused = self::answers(limit.mode(Http::new().policy("burst")), 51).await.pop().unwrap();
    assert_eq!(refused["ratelimit-policy"], r#""burst";q=100;w=60"#);
    assert_eq!(refused["ratelimit"], r#""burst";r=0;t=60"#, "all of it, in a minute");
    assert_eq!(refused["retry-after"], "1", "and one of it in 600 ms, rounded up");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_kept_to_is_never_refused() {
    // 20 a second and 60 at once: 60 in three seconds. 7 a second and 60 at once: in 8.57, rounded up.
    let answer = answers(RateLimitLayer::http(Rate::per_second(20).burst(60)), 1).await.remove(0);
    assert_eq!(answer["ratelimit-policy"], r#""default";q=60;w=3"#);
    let limit = RateLimitLayer::http(Rate::per_second(7).burst(60));
    for _ in 0..5 {
        let answers = answers(limit.clone(), 60).await;
        assert_eq!(answers[59]["ratelimit-policy"], r#""default";q=60;w=9"#);
        assert!(answers.iter().all(|fields| !fields.contains_key("retry-after")));
        advance(Duration::from_secs(9)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_limits_are_two_members_of_the_lists() {
    let handler = service_fn(async |_: Request<()>| Ok::<_, donjon_core::Rejection>(Response::new(())));
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::http(Rate::per_hour(1000)).mode(Http::new().policy("daily\u{e9}")))
        .layer(RateLimitLayer::http(Rate::per_second(5)))
        .service(handler);
    let headers = service.oneshot(Request::new(())).await.unwrap().into_parts().0.headers;
    let all: Vec<_> = headers.get_all("ratelimit").iter().collect();
    assert_eq!(all, [r#""default";r=4;t=1"#, r#""daily";r=999;t=4"#]);
}

#[tokio::test(start_paused = true)]
async fn one_that_refuses_everything_never_says_come_back() {
    let refused = answers(RateLimitLayer::http(Rate::per_second(0)), 1).await.remove(0);
    assert!(!refused.contains_key("retry-after"));
    assert_eq!(refused["ratelimit-policy"], r#""default";q=0"#);
    assert_eq!(refused["ratelimit"], r#""default";r=0;t=0"#);
}
