//! The forms for HTTP: what a request says, and the response body.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use donjon_core::{CallError, Deadline, Fresh, Phase, Reject, RejectionKind};
use donjon_timeout::{AttemptTimeout, DeadlineLayer, RequestTimeout, TimeoutLayer};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{
    Alive,
    body::{Script, Step},
    millis, refusal, secs,
};

const EXCEEDED: RejectionKind = RejectionKind::DeadlineExceeded;

/// Answers with this body after a wait.
fn answers(
    wait: Duration,
    body: Script,
) -> impl Service<Request<()>, Response = Response<Script>, Error = CallError, Future: Send> + Clone {
    let body = Arc::new(Mutex::new(Some(body)));
    service_fn(move |_: Request<()>| {
        let body = body.lock().expect("no panic").take().expect("called once");
        async move {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            Ok(Response::new(body))
        }
    })
}

/// The answer to a request: what is left of its time.
fn left() -> impl Service<Request<()>, Response = Response<Script>, Error = CallError, Future: Send> + Clone {
    service_fn(|_: Request<()>| async {
        let mut response = Response::new(Script::new([]));
        response.extensions_mut().insert(Deadline::current().remaining());
        Ok(response)
    })
}

async fn left_of<S, B>(service: S, request: Request<()>) -> Result<Option<Duration>, CallError>
where
    S: Service<Request<()>, Response = Response<B>, Error = CallError>,
{
    let response = service.oneshot(request).await?;
    Ok(*response.extensions().get().expect("it was put there"))
}

fn request() -> Request<()> {
    Request::new(())
}

fn with_field(name: &'static str, value: &'static str) -> Request<()> {
    let mut request = request();
    request.headers_mut().insert(name, HeaderValue::from_static(value));
    request
}

/// Reads to the end: the data, and how it ended.
async fn read<B>(body: B) -> (String, Result<(), CallError>)
where
    B: Body<Data = bytes::Bytes, Error = CallError>,
{
    let mut body = pin!(body);
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => text.extend(frame.data_ref().map(|data| String::from_utf8_lossy(data).into_owned())),
            Err(error) => {
                assert!(body.frame().await.is_none(), "after the error it has ended");
                assert!(body.is_end_stream());
                return (text, Err(error));
            }
        }
    }
    assert!(body.is_end_stream());
    (text, Ok(()))
}

// ===== the body =====

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_cut_at_the_deadline() {
    let layer = DeadlineLayer::http(secs(5));
    let inner = answers(secs(2), Script::new([Step::Data("ab"), Step::Hang]));
    let start = Instant::now();
    let response = layer.layer(inner).oneshot(request()).await.expect("the head is in time");
    assert_eq!(start.elapsed(), secs(2));
    let (text, end) = read(response.into_body()).await;
    let error = end.expect_err("it hangs");
    assert_eq!((text.as_str(), refusal(&error)), ("ab", (EXCEEDED, Phase::Body)));
    assert_eq!(start.elapsed(), secs(5), "the time counts from the call, and not from the head");
    let stats = layer.handle().stats();
    assert_eq!((stats.body, stats.total()), (1, 1));
}

/// As [`answers`], in gRPC.
fn answers_in_grpc(body: Script) -> impl Service<Request<()>, Response = Response<Script>, Error = CallError> + Clone {
    answers(Duration::ZERO, body).map_response(|mut response| {
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc+proto"));
        response
    })
}

#[tokio::test(start_paused = true)]
async fn a_late_body_of_grpc_ends_with_the_trailers_of_deadline_exceeded() {
    let layer = DeadlineLayer::http(secs(1));
    let body = Script::new([Step::Data("a"), Step::Wait(secs(5)), Step::Data("b")]);
    let response = layer.layer(answers_in_grpc(body)).oneshot(Request::new(())).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "4");
    assert!(trailers.contains_key("grpc-message"), "{trailers:?}");
    assert!(body.is_end_stream() && body.frame().await.is_none(), "nothing comes after them");
    assert_eq!(layer.handle().stats().body, 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_of_grpc_that_has_given_its_trailers_is_not_late() {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Script::new([Step::Data("a"), Step::Trailers(trailers.clone())]);
    let layer = DeadlineLayer::http(secs(1));
    let response = layer.layer(answers_in_grpc(body)).oneshot(Request::new(())).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
    assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    advance(secs(2)).await;
    assert!(body.frame().await.is_none(), "one status is enough");
    assert_eq!(layer.handle().stats().body, 0);
}

#[tokio::test(start_paused = true)]
async fn a_late_attempt_over_a_body_of_grpc_is_an_error_still() {
    let service = TimeoutLayer::http(secs(1)).layer(answers_in_grpc(Script::new([Step::Wait(secs(5))])));
    let mut body = service.oneshot(Request::new(())).await.unwrap().into_body();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(refusal(&error), (RejectionKind::AttemptTimeout, Phase::Body));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_cut_at_the_deadline() {
    let drip = (0..1000).flat_map(|_| [Step::Wait(millis(300)), Step::Data("x")]);
    let start = Instant::now();
    let service = DeadlineLayer::http(secs(2)).layer(answers(Duration::ZERO, Script::new(drip)));
    let (text, end) = read(service.oneshot(request()).await.expect("the head").into_body()).await;
    assert_eq!(refusal(&end.expect_err("it drips")), (EXCEEDED, Phase::Body));
    assert_eq!((text.len(), start.elapsed()), (6, secs(2)));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_always_has_more_is_cut_at_the_deadline() {
    let service = DeadlineLayer::http(secs(2)).layer(answers(Duration::ZERO, Script::new([Step::Flood])));
    let mut body = pin!(service.oneshot(request()).await.expect("the head").into_body());
    for n in 1..=8 {
        assert!(body.frame().await.expect("more").is_ok(), "frame {n}");
        advance(millis(250)).await;
    }
    let error = body.frame().await.expect("more").expect_err("the time is up, though there is more to read");
    assert_eq!(refusal(&error), (EXCEEDED, Phase::Body));
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_read_after_the_deadline_is_an_error() {
    let service = DeadlineLayer::http(secs(2)).layer(answers(Duration::ZERO, Script::new([Step::Data("ab")])));
    let body = service.oneshot(request()).await.expect("the head").into_body();
    assert_eq!(body.size_hint().exact(), Some(2));
    sleep(secs(3)).await;
    let (text, end) = read(body).await;
    assert_eq!((text.as_str(), refusal(&end.expect_err("too late"))), ("", (EXCEEDED, Phase::Body)));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_ended_is_never_late() {
    let service = DeadlineLayer::http(secs(2)).layer(answers(Duration::ZERO, Script::new([])));
    let body = service.oneshot(request()).await.expect("the head").into_body();
    sleep(secs(3)).await;
    assert!(read(body).await.1.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_whole_body_passes_with_its_trailers_and_hints() {
    let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("t"))]);
    let steps = [Step::Data("ab"), Step::Wait(millis(10)), Step::Data("cd"), Step::Trailers(trailers.clone())];
    let layer = DeadlineLayer::http(secs(2));
    let service = layer.layer(TimeoutLayer::http(secs(1)).layer(answers(millis(10), Script::new(steps))));
    let body = service.oneshot(request()).await.expect("the head").into_body();
    assert!(!body.is_end_stream());
    let collected = body.collect().await.expect("it is whole");
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), "abcd");
    assert_eq!(layer.handle().stats().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_body_stays_what_it_is() {
    let service = DeadlineLayer::http(secs(2))
        .layer(TimeoutLayer::http(secs(2)).layer(answers(Duration::ZERO, Script::new([Step::Fail("reset")]))));
    let (_, end) = read(service.oneshot(request()).await.expect("the head").into_body()).await;
    let error = end.expect_err("it fails");
    assert!(error.as_rejection().is_none());
    assert_eq!(error.downcast_ref::<std::io::Error>().expect("not boxed twice").to_string(), "reset");
    assert!(error.as_error().source().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_inner_body_is_dropped_when_it_is_given_up_and_when_it_ends() {
    for steps in [vec![Step::Hang], vec![Step::Data("x"), Step::Wait(millis(1))], vec![Step::Fail("reset")]] {
        let alive = Alive::default();
        let mut body = Script::new(steps);
        body.token = Some(alive.token());
        let service = DeadlineLayer::http(secs(2)).layer(answers(Duration::ZERO, body));
        let mut body = pin!(service.oneshot(request()).await.expect("the head").into_body());
        assert_eq!(alive.count(), 1);
        while body.frame().await.is_some_and(|frame| frame.is_ok()) {}
        assert_eq!(alive.count(), 0, "though the finished body is alive");
        assert!(body.frame().await.is_none());
        assert_eq!(body.size_hint().exact(), Some(0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_is_read_in_the_scope_of_its_call() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut body = Script::new([Step::Wait(secs(1)), Step::Data("x")]);
    let note = Arc::clone(&seen);
    body.seen = Some(Box::new(move || note.lock().expect("no panic").push(Deadline::current().remaining())));
    let service = DeadlineLayer::http(secs(5)).layer(answers(secs(1), body));
    let body = service.oneshot(request()).await.expect("the head").into_body();
    assert!(Deadline::current().is_never());
    assert!(read(body).await.1.is_ok());
    assert_eq!(seen.lock().expect("no panic")[..2], [Some(secs(4)), Some(secs(3))]);
    assert!(Deadline::current().is_never());
}

#[tokio::test(start_paused = true)]
async fn of_two_layers_the_inner_one_cuts_the_body() {
    let (outside, inside) = (DeadlineLayer::http(secs(3)), DeadlineLayer::http(secs(9)));
    let service = outside.layer(inside.layer(answers(Duration::ZERO, Script::new([Step::Hang]))));
    let start = Instant::now();
    let (_, end) = read(service.oneshot(request()).await.expect("the head").into_body()).await;
    assert_eq!(refusal(&end.expect_err("it hangs")), (EXCEEDED, Phase::Body));
    assert_eq!(start.elapsed(), secs(3));
    assert_eq!(outside.handle().stats().body + inside.handle().stats().body, 1, "one of them, once");
}

#[tokio::test(start_paused = true)]
async fn the_attempt_covers_the_body_if_asked() {
    let layer = TimeoutLayer::http(secs(2));
    let start = Instant::now();
    let service = layer.layer(answers(secs(1), Script::new([Step::Data("a"), Step::Hang])));
    let (text, end) = read(service.oneshot(request()).await.expect("the head").into_body()).await;
    let error = end.expect_err("it hangs");
    assert_eq!((text.as_str(), refusal(&error)), ("a", (RejectionKind::AttemptTimeout, Phase::Body)));
    assert_eq!((start.elapsed(), layer.handle().stats().body), (secs(2), 1));

    // A head that came without waiting leaves the body all of the time.
    let start = Instant::now();
    let service = layer.layer(answers(Duration::ZERO, Script::new([Step::Hang])));
    assert!(read(service.oneshot(request()).await.expect("the head").into_body()).await.1.is_err());
    assert_eq!(start.elapsed(), secs(2));

    // The form for any request ends with the head.
    let service = TimeoutLayer::new(secs(2)).layer(answers(Duration::ZERO, Script::new([Step::Wait(secs(60))])));
    let mut body = pin!(service.oneshot(request()).await.expect("the head").into_body());
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_switched_off_cuts_nothing() {
    let slow = || answers(secs(1), Script::new([Step::Wait(secs(60)), Step::Data("x")]));
    let service = DeadlineLayer::http(millis(1)).bypass().layer(slow());
    let (text, end) = read(service.oneshot(request()).await.expect("the head").into_body()).await;
    assert!(text == "x" && end.is_ok());
    let service = TimeoutLayer::http(millis(1)).bypass().layer(slow());
    let (text, end) = read(service.oneshot(request()).await.expect("the head").into_body()).await;
    assert!(text == "x" && end.is_ok());
    let service = DeadlineLayer::http(Duration::MAX).layer(slow());
    let (text, end) = read(service.oneshot(request()).await.expect("the head").into_body()).await;
    assert!(text == "x" && end.is_ok());
}

// ===== what a request says =====

#[tokio::test(start_paused = true)]
async fn a_client_s_shorter_time_holds() {
    let service = DeadlineLayer::http(secs(5)).layer(left());
    for (name, value, expected) in [
        ("x-request-timeout-ms", "250", millis(250)),
        ("grpc-timeout", "2S", secs(2)),
        ("x-request-timeout-ms", "9000", secs(5)),
        ("x-request-timeout-ms", "18446744073709551615", secs(5)),
        ("grpc-timeout", "99999999H", secs(5)),
    ] {
        let seen = left_of(service.clone(), with_field(name, value)).await.expect("it answers");
        assert_eq!(seen, Some(expected), "{name}: {value}");
    }
    let mut both = with_field("x-request-timeout-ms", "250");
    both.headers_mut().insert("grpc-timeout", HeaderValue::from_static("100m"));
    assert_eq!(left_of(service, both).await.expect("it answers"), Some(millis(100)));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_timeout_is_ignored() {
    let service = DeadlineLayer::http(secs(5)).layer(left());
    for value in ["", "-1", "1.5", "soon", "10s", "99999999999999999999999"] {
        let seen = left_of(service.clone(), with_field("x-request-timeout-ms", value)).await.expect("it answers");
        assert_eq!(seen, Some(secs(5)), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_given_up_is_refused_at_once() {
    let layer = DeadlineLayer::http(secs(5));
    let error = left_of(layer.layer(left()), with_field("x-request-timeout-ms", "0")).await.expect_err("no time");
    assert_eq!(refusal(&error), (EXCEEDED, Phase::Admission));
    assert_eq!(layer.handle().stats().admission, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_has_no_say_where_fields_are_ignored() {
    let service = DeadlineLayer::http(secs(5)).ignore_headers().layer(left());
    assert_eq!(left_of(service, with_field("x-request-timeout-ms", "0")).await.expect("it answers"), Some(secs(5)));
    // And a client is the only one who has one where the layer itself has none.
    let service = DeadlineLayer::http(Duration::MAX).layer(left());
    let seen = left_of(service.clone(), with_field("x-request-timeout-ms", "250")).await.expect("it answers");
    assert_eq!(seen, Some(millis(250)));
    assert_eq!(left_of(service, request()).await.expect("it answers"), None);
}

#[tokio::test(start_paused = true)]
async fn an_extension_replaces_the_layer_s_timeout() {
    let service = DeadlineLayer::http(secs(5)).layer(left());
    let now = Instant::now();
    let with = |timeout: Option<Duration>, deadline: Option<Deadline>, field: Option<&'static str>| {
        let mut request = field.map_or_else(request, |value| with_field("x-request-timeout-ms", value));
        timeout.map(|timeout| request.extensions_mut().insert(RequestTimeout(timeout)));
        deadline.map(|deadline| request.extensions_mut().insert(deadline));
        request
    };
    let at = |n| Some(Deadline::at(now + secs(n)));
    for (request, expected) in [
        (with(Some(secs(60)), None, None), Some(secs(60))),
        (with(Some(secs(1)), None, None), Some(secs(1))),
        (with(Some(Duration::MAX), None, None), None),
        (with(None, at(30), None), Some(secs(30))),
        (with(None, Some(Deadline::never()), None), None),
        (with(Some(secs(20)), at(30), None), Some(secs(20))),
        (with(Some(secs(40)), at(30), None), Some(secs(30))),
        (with(Some(secs(60)), None, Some("2000")), Some(secs(2))),
        (with(None, at(30), Some("2000")), Some(secs(2))),
    ] {
        let shown = format!("{request:?}");
        assert_eq!(left_of(service.clone(), request).await.expect("it answers"), expected, "{shown}");
    }
    // The caller's scope holds all the same.
    let call = Deadline::after(secs(3)).scope(left_of(service.clone(), with(Some(secs(60)), None, None)));
    assert_eq!(call.await.expect("it answers"), Some(secs(3)));
    let zero = left_of(service, with(Some(Duration::ZERO), None, None)).await.expect_err("no time");
    assert_eq!(refusal(&zero), (EXCEEDED, Phase::Admission));
}

#[tokio::test(start_paused = true)]
async fn an_extension_replaces_the_attempt_s_timeout() {
    for (asked, expected) in [(secs(3), Ok(())), (secs(1), Err(secs(1))), (Duration::ZERO, Err(Duration::ZERO))] {
        let service = TimeoutLayer::http(secs(1)).layer(answers(secs(2), Script::new([])));
        let mut request = request();
        request.extensions_mut().insert(AttemptTimeout(asked));
        let start = Instant::now();
        let seen = service.oneshot(request).await.map(drop).map_err(|_| start.elapsed());
        assert_eq!(seen, expected, "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_no_timeout_does_not_hide_the_one_that_is() {
    let service = DeadlineLayer::http(secs(5)).layer(left());
    for (good, bad) in [("grpc-timeout", "x-request-timeout-ms"), ("x-request-timeout-ms", "grpc-timeout")] {
        let value = if good == "grpc-timeout" { "250m" } else { "250" };
        let mut request = with_field(good, value);
        request.headers_mut().append(bad, "soon".parse().expect("a value"));
        assert_eq!(left_of(service.clone(), request).await.expect("it answers"), Some(millis(250)), "{good}");
        let mut request = with_field(good, value);
        request.headers_mut().append(good, "soon".parse().expect("a value"));
        assert_eq!(left_of(service.clone(), request).await.expect("it answers"), Some(millis(250)), "{good} twice");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_of_no_time_that_was_called_may_have_been_sent() {
    // As a buffer does, it hands the request on in `call`.
    let sent = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&sent);
    let eager = service_fn(move |_: Request<()>| {
        seen.fetch_add(1, SeqCst);
        std::future::ready(Ok::<_, CallError>(Response::new(Script::new([]))))
    });
    let layer = TimeoutLayer::http(secs(1));
    let mut request = request();
    request.extensions_mut().insert(AttemptTimeout(Duration::ZERO));
    let error = layer.layer(eager).oneshot(request).await.map(drop).expect_err("no time");
    let outcome = error.as_rejection().expect("the layer's own").outcome();
    assert_eq!((sent.load(SeqCst), outcome.is_unsent()), (1, false), "{outcome:?}");
}
