//! The ready-made HTTP form, by heads alone.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use donjon_core::{CallError, Deadline, Fresh, Reject, Rejection, RejectionKind, TokioClock};
use donjon_http::{HttpClassify, Idempotent};
use donjon_retry::{Backoff, Http, Jitter, NoRetry, RetryInfo, RetryLayer, RetryOverride, RetryReport};
use http::{HeaderName, Method, Request, Response};
use http_body_util::Full;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

type Req = Request<Full<Bytes>>;
type Res = Response<Full<Bytes>>;
/// A status with a `Retry-After`, or an error.
type Reply = Result<(u16, Option<&'static str>), fn() -> CallError>;

/// What arrived: the method, and the attempt that the header says.
type Seen = Arc<Mutex<Vec<(Method, Option<String>)>>>;

const ATTEMPT: HeaderName = HeaderName::from_static("x-attempt");

const RESET: Reply = Err(reset);

fn request(method: Method) -> Req {
    Request::builder().method(method).uri("/").body(Full::from("hello")).unwrap()
}

/// The n-th attempt gets the n-th reply, then 200.
async fn send(layer: &RetryLayer<Http>, replies: &[Reply], req: Req) -> (Result<Res, CallError>, usize, Duration) {
    send_with(layer, replies, req, &Seen::default()).await
}

async fn send_with<P>(
    layer: &RetryLayer<P>,
    replies: &[Reply],
    req: Req,
    seen: &Seen,
) -> (Result<Res, CallError>, usize, Duration)
where
    P: donjon_retry::Policy<Req, Res, CallError> + Clone,
{
    let replies = Arc::new(replies.to_vec());
    let log = Arc::clone(seen);
    let upstream = service_fn(move |req: Req| {
        let mut log = log.lock().unwrap();
        let attempt = req.headers().get(ATTEMPT).map(|value| value.to_str().unwrap().to_owned());
        log.push((req.method().clone(), attempt));
        let reply = replies.get(log.len() - 1).copied().unwrap_or(Ok((200, None)));
        async move {
            let (status, after) = reply.map_err(|error| error())?;
            let mut response = Response::builder().status(status);
            if let Some(after) = after {
                response = response.header("retry-after", after);
            }
            Ok(response.body(Full::default()).unwrap())
        }
    });
    let began = Instant::now();
    let result = layer.layer(upstream).oneshot(req).await;
    (result, seen.lock().unwrap().len(), began.elapsed())
}

fn info(response: &Res) -> Option<RetryInfo> {
    response.extensions().get().copied()
}

fn reason(response: &Res) -> Option<NoRetry> {
    info(response).expect("it says how it went").reason
}

fn at_once() -> RetryLayer<Http> {
    RetryLayer::http().backoff(Backoff::constant(Duration::ZERO))
}

fn refused() -> CallError {
    CallError::from(io::Error::from(io::ErrorKind::ConnectionRefused))
}

fn reset() -> CallError {
    CallError::from(io::Error::from(io::ErrorKind::ConnectionReset))
}

fn overloaded() -> CallError {
    CallError::from_rejection(Rejection::new(RejectionKind::Overloaded, "test"))
}

#[tokio::test(start_paused = true)]
async fn a_status_that_another_attempt_may_mend_is_repeated() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let (result, calls, _) = send(&at_once(), &[Ok((status, None))], request(Method::GET)).await;
        let response = result.unwrap();
        assert_eq!((response.status().as_u16(), calls), (200, 2), "{status}");
        assert_eq!(info(&response).map(|info| (info.attempts, info.reason)), Some((2, None)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_it_cannot_mend_is_not() {
    for status in [200, 204, 301, 400, 401, 404, 409, 422] {
        let (result, calls, _) = send(&at_once(), &[Ok((status, None))], request(Method::GET)).await;
        let response = result.unwrap();
        assert_eq!((response.status().as_u16(), calls, info(&response)), (status, 1, None), "{status}");
        assert!(response.extensions().is_empty(), "a success at the first attempt says nothing");
    }
    for status in [501, 505] {
        let (result, calls, _) = send(&at_once(), &[Ok((status, None))], request(Method::GET)).await;
        assert_eq!((reason(&result.unwrap()), calls), (Some(NoRetry::NotRetryable), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn all_attempts_fail_and_the_last_answer_says_so() {
    let (result, calls, _) = send(&at_once(), &[Ok((503, None)); 9], request(Method::GET)).await;
    let info = info(&result.unwrap()).unwrap();
    assert_eq!((info.attempts, info.reason, calls), (4, Some(NoRetry::AttemptsExhausted), 4));
}

#[tokio::test(start_paused = true)]
async fn a_post_is_not_sent_twice() {
    let replies: &[Reply] = &[Ok((503, None))];
    let (result, calls, _) = send(&at_once(), replies, request(Method::POST)).await;
    assert_eq!((reason(&result.unwrap()), calls), (Some(NoRetry::NotIdempotent), 1));
    let (result, calls, _) = send(&at_once(), &[Err(reset)], request(Method::POST)).await;
    result.unwrap_err();
    assert_eq!(calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_post_is_sent_again_if_it_was_not_sent_or_is_marked() {
    for error in [refused, overloaded] {
        let (result, calls, _) = send(&at_once(), &[Err(error)], request(Method::POST)).await;
        assert_eq!((result.unwrap().status().as_u16(), calls), (200, 2));
    }
    let mut marked = request(Method::POST);
    marked.extensions_mut().insert(Idempotent(true));
    assert_eq!(send(&at_once(), &[Ok((503, None))], marked).await.1, 2);

    let mut keyed = request(Method::POST);
    keyed.headers_mut().insert("idempotency-key", "42".parse().unwrap());
    assert_eq!(send(&at_once(), &[Ok((503, None))], keyed).await.1, 2);

    let mut unmarked = request(Method::GET);
    unmarked.extensions_mut().insert(Idempotent(false));
    assert_eq!(send(&at_once(), &[Ok((503, None))], unmarked).await.1, 1);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_whole() {
    let layer = RetryLayer::http().backoff(Backoff::constant(SECOND).jitter(Jitter::Full));
    for status in [429, 503] {
        let (result, calls, took) = send(&layer, &[Ok((status, Some("3")))], request(Method::GET)).await;
        assert_eq!((result.unwrap().status().as_u16(), calls), (200, 2));
        assert!(took >= SECOND * 3 && took <= SECOND * 4, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_date_is_honoured_whole_and_rounded_up() {
    // 0.4 s past the second: until :05 of the date there are 4.6 s.
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(400);
    let layer = at_once().classify(HttpClassify::new().with_clock(TokioClock::starting_at(now)));
    let replies: &[Reply] = &[Ok((503, Some("Thu, 01 Jan 1970 00:00:05 GMT")))];
    let (result, _, took) = send_with(&layer, replies, request(Method::GET), &Seen::default()).await;
    result.unwrap();
    assert_eq!(took, SECOND * 5);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_deadline_returns_the_answer_now() {
    let layer = at_once();
    let replies: &[Reply] = &[Ok((503, Some("10")))];
    let call = send(&layer, replies, request(Method::GET));
    let (result, calls, took) = Deadline::after(SECOND * 5).scope(call).await;
    let response = result.unwrap();
    assert_eq!((response.status().as_u16(), calls, took), (503, 1, Duration::ZERO));
    assert_eq!(reason(&response), Some(NoRetry::DeadlineTooClose));
    assert_eq!(response.headers()["retry-after"], "10", "and the answer is whole");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_is_too_long_returns_the_answer_now() {
    let (result, calls, _) = send(&at_once(), &[Ok((503, Some("3600")))], request(Method::GET)).await;
    assert_eq!((reason(&result.unwrap()), calls), (Some(NoRetry::WaitTooLong), 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_may_say_otherwise() {
    for (over, calls) in [
        (RetryOverride::off(), 1),
        (RetryOverride::max_attempts(0), 1),
        (RetryOverride::max_attempts(2), 2),
        (RetryOverride::max_attempts(6), 6),
    ] {
        let mut req = request(Method::GET);
        req.extensions_mut().insert(over);
        assert_eq!(send(&at_once(), &[Ok((503, None)); 9], req).await.1, calls, "{over:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_says_how_each_call_went_errors_and_first_successes_too() {
    let rows: [(&[Reply], u32, Option<NoRetry>); 3] =
        [(&[], 1, None), (&[Ok((503, None))], 2, None), (&[RESET; 4], 4, Some(NoRetry::AttemptsExhausted))];
    for (replies, attempts, reason) in rows {
        let report = RetryReport::new();
        let mut req = request(Method::GET);
        req.extensions_mut().insert(report.clone());
        let _ = send(&at_once(), replies, req).await;
        let info = report.info().expect("the call has ended");
        assert_eq!((info.attempts, info.reason), (attempts, reason));
    }
}

#[tokio::test(start_paused = true)]
async fn the_attempt_goes_into_a_header_from_the_second_on_if_asked() {
    let seen = Seen::default();
    let layer = at_once().attempt_header(ATTEMPT);
    send_with(&layer, &[Ok((503, None)); 9], request(Method::PUT), &seen).await.0.unwrap();
    let attempts: Vec<_> = seen.lock().unwrap().iter().map(|(_, attempt)| attempt.clone()).collect();
    assert_eq!(attempts, [None, Some("2".into()), Some("3".into()), Some("4".into())]);

    let silent = Seen::default();
    send_with(&at_once(), &[Ok((503, None))], request(Method::PUT), &silent).await.0.unwrap();
    assert!(silent.lock().unwrap().iter().all(|(method, attempt)| method == Method::PUT && attempt.is_none()));
}

#[tokio::test(start_paused = true)]
async fn bypass_leaves_a_failure_as_it_is() {
    let (result, calls, _) = send(&at_once().bypass(), &[Ok((503, None))], request(Method::GET)).await;
    let response = result.unwrap();
    assert_eq!((response.status().as_u16(), calls), (503, 1));
    assert!(response.extensions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_concrete_stack_is_spawned() {
    let service = RetryLayer::http().layer(service_fn(async |_: Req| Ok::<Res, CallError>(Res::default())));
    let spawned = tokio::spawn(async move { service.oneshot(request(Method::GET)).await });
    assert_eq!(spawned.await.unwrap().unwrap().status(), 200);
}
