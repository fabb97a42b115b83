//! The ready-made form for gRPC.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use donjon_budget::Budget;
use donjon_core::{CallError, Fresh, Ratio};
use donjon_http::{Idempotent, ReplayLayer, grpc::StatusLayer};
use donjon_retry::{Backoff, Grpc, Hints, Jitter, NoRetry, RetryInfo, RetryLayer};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);

/// A status, and a pushback.
type Reply = (u8, Option<&'static str>);

const OK: Reply = (0, None);
const UNAVAILABLE: Reply = (14, None);

/// What arrived, and when: `grpc-previous-rpc-attempts`, and how long after the attempt before.
type Seen = Vec<(Option<String>, Duration)>;

fn status(map: &mut HeaderMap, (code, pushback): Reply) {
    map.insert("grpc-status", HeaderValue::from(u16::from(code)));
    if let Some(pushback) = pushback {
        map.insert("grpc-retry-pushback-ms", HeaderValue::from_static(pushback));
    }
}

fn request() -> Request<Full<Bytes>> {
    Request::post("/shop.Catalogue/Find").body(Full::from("query")).expect("a valid request")
}

/// The n-th attempt gets the n-th reply, then OK: all in the headers.
async fn send(layer: &RetryLayer<Grpc>, replies: &[Reply], request: Request<Full<Bytes>>) -> (Response<()>, Seen) {
    let replies = replies.to_vec();
    let seen = Arc::new(Mutex::new((Instant::now(), Seen::new())));
    let log = Arc::clone(&seen);
    let upstream = service_fn(move |request: Request<Full<Bytes>>| {
        let mut log = log.lock().unwrap();
        let previous = request.headers().get("grpc-previous-rpc-attempts");
        let previous = previous.map(|value| value.to_str().unwrap().to_owned());
        let since = log.0.elapsed();
        log.0 = Instant::now();
        log.1.push((previous, since));
        let mut response = Response::new(Empty::<Bytes>::new());
        status(response.headers_mut(), replies.get(log.1.len() - 1).copied().unwrap_or(OK));
        async { Ok::<_, CallError>(response) }
    });
    let response = layer.layer(upstream).oneshot(request).await.expect("a response, whatever it says");
    let seen = seen.lock().unwrap().1.clone();
    (response.map(drop), seen)
}

fn all() -> RetryLayer<Grpc> {
    RetryLayer::grpc().idempotent(|_| true).seed(1)
}

fn reason(response: &Response<()>) -> Option<NoRetry> {
    response.extensions().get::<RetryInfo>().and_then(|info| info.reason)
}

#[tokio::test(start_paused = true)]
async fn what_is_idempotent_is_called_again_and_says_how_often() {
    let (response, seen) = send(&all(), &[UNAVAILABLE, (4, None), (8, None)], request()).await;
    assert_eq!(response.headers()["grpc-status"], "0");
    let previous: Vec<_> = seen.iter().map(|(previous, _)| previous.as_deref()).collect();
    assert_eq!(previous, [None, Some("1"), Some("2"), Some("3")]);
}

#[tokio::test(start_paused = true)]
async fn no_method_is_idempotent_unless_said() {
    let layer = RetryLayer::grpc();
    let (response, seen) = send(&layer, &[UNAVAILABLE], request()).await;
    assert_eq!((seen.len(), reason(&response)), (1, Some(NoRetry::NotIdempotent)));

    let mut marked = request();
    marked.extensions_mut().insert(Idempotent(true));
    assert_eq!(send(&layer, &[UNAVAILABLE], marked).await.1.len(), 2);

    let by_path = layer.idempotent(|path| path == "/shop.Catalogue/Find");
    assert_eq!(send(&by_path, &[UNAVAILABLE], request()).await.1.len(), 2);
    let mut marked = request();
    marked.extensions_mut().insert(Idempotent(false));
    assert_eq!(send(&by_path, &[UNAVAILABLE], marked).await.1.len(), 1, "what the request says goes before");
}

#[tokio::test(start_paused = true)]
async fn what_another_attempt_cannot_mend_is_not_called_again() {
    for code in [1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16] {
        let (response, seen) = send(&all(), &[(code, None)], request()).await;
        assert_eq!((seen.len(), &response.headers()["grpc-status"]), (1, &HeaderValue::from(u16::from(code))));
    }
}

/// Pushback (gRFC A6; grpc-go, `test/retry_test.go`): the exact delay; negative or unparsable means stop.
#[tokio::test(start_paused = true)]
async fn t4_a_pushback_is_the_exact_delay() {
    for (pushback, wait) in [("0", 0), ("10", 10), ("1234", 1234)] {
        let (_, seen) = send(&all(), &[(14, Some(pushback)), (14, Some(pushback))], request()).await;
        let waits: Vec<_> = seen.iter().skip(1).map(|(_, wait)| *wait).collect();
        // Timers of tokio end on the next millisecond.
        assert!(waits.iter().all(|it| (wait * MS..=(wait + 1) * MS).contains(it)), "{pushback}: {waits:?}");
        assert_eq!(waits.len(), 2);
    }
}

/// gRFC A6: the next wait after a pushback is the first one again.
#[tokio::test(start_paused = true)]
async fn waits_begin_again_after_a_pushback() {
    let (_, seen) = send(&all(), &[UNAVAILABLE, (14, Some("7")), UNAVAILABLE], request()).await;
    let waits: Vec<_> = seen.iter().skip(1).map(|(_, wait)| *wait).collect();
    let first = 40 * MS..=61 * MS;
    assert!(first.contains(&waits[0]) && first.contains(&waits[2]), "{waits:?}");
    assert!((7 * MS..=8 * MS).contains(&waits[1]), "{waits:?}");
    assert_eq!(waits.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn t4_a_pushback_that_is_negative_or_no_number_means_stop() {
    let patient = || all().max_retry_after(Duration::MAX);
    let other_hints = |hints| patient().backoff(Backoff::constant(MS).jitter(Jitter::None).hints(hints));
    for layer in [all(), patient(), other_hints(Hints::Ignore), other_hints(Hints::Capped)] {
        for pushback in ["-1", "-100", "x", "", "1.5"] {
            for code in [14, 8] {
                let (response, seen) = send(&layer, &[(code, Some(pushback))], request()).await;
                assert_eq!((seen.len(), reason(&response)), (1, Some(NoRetry::WaitTooLong)), "{pushback:?}");
            }
        }
    }
}

/// grpc-go: "This counts as a failure for throttling."
#[tokio::test(start_paused = true)]
async fn t4_a_call_that_was_pushed_back_for_good_takes_its_token() {
    let layer = all().budget(Budget::grpc(10, Ratio::ZERO));
    send(&layer, &[(14, Some("-1"))], request()).await;
    assert!((layer.handle().budget().stats().tokens - 9.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn a_pushback_beyond_what_is_agreed_to_is_not_cut_short() {
    let (response, seen) = send(&all(), &[(14, Some("60001"))], request()).await;
    assert_eq!((seen.len(), reason(&response)), (1, Some(NoRetry::WaitTooLong)));
}

#[tokio::test(start_paused = true)]
async fn waits_are_those_of_grpc_more_or_less_a_fifth() {
    let (_, seen) = send(&all(), &[UNAVAILABLE; 3], request()).await;
    for ((_, wait), full) in seen.iter().skip(1).zip([50, 100, 200]) {
        assert!((full * 4 / 5 * MS..=(full * 6 / 5 + 1) * MS).contains(wait), "{wait:?} of {full}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_the_trailers_of_a_streamed_request_is_called_again_with_the_same_bytes() {
    type Streamed =
        StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<http_body::Frame<Bytes>, CallError>>>>;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let upstream = service_fn(move |request: Request<_>| {
        let log = Arc::clone(&log);
        async move {
            let body: donjon_http::grpc::WatchedBody<donjon_http::ReplayBody<Streamed>> = request.into_body();
            let sent = body.collect().await.map_err(CallError::new)?.to_bytes();
            let mut log = log.lock().unwrap();
            log.push(sent);
            let mut trailers = HeaderMap::new();
            status(&mut trailers, if log.len() < 3 { UNAVAILABLE } else { OK });
            let message = if log.len() < 3 { Bytes::new() } else { Bytes::from_static(b"\0\0\0\0\x02hi") };
            let body = Full::new(message).with_trailers(Box::pin(async { Some(Ok(trailers)) }));
            Ok::<_, CallError>(Response::builder().header("content-type", "application/grpc").body(body)?)
        }
    });
    let stack = ServiceBuilder::new().layer(ReplayLayer::new()).layer(all()).layer(StatusLayer::new());
    let frames = ["que", "ry"].map(|part| Ok(http_body::Frame::data(Bytes::from(part))));
    let body: Streamed = StreamBody::new(futures_util::stream::iter(frames.into_iter().collect::<Vec<_>>()));
    let request = Request::post("/shop.Catalogue/Find").body(body).unwrap();
    let answer = stack.service(upstream).oneshot(request).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "\0\0\0\0\x02hi");
    assert_eq!(*seen.lock().unwrap(), ["query"; 3]);
}

#[test]
fn it_keeps_the_laws() {
    donjon_test::contract::check_fresh(RetryLayer::grpc).unwrap();
    let _ = RetryLayer::grpc().bypass();
}
