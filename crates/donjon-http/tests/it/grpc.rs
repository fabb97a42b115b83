//! The status of a call of gRPC: what it means, and where it is found.

use std::{io, time::Duration};

use bytes::Bytes;
use donjon_core::{CallError, Classify, Fresh, Outcome, Phase, Reject, Rejection, RejectionKind, Sent};
use donjon_http::{
    CollectedBody,
    grpc::{Code, GrpcClassify, GrpcStatus, HeadFirst, Pushback, RefusalLayer, StatusLayer, WatchedBody},
};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Gate, Script, Step};

const MS: Duration = Duration::from_millis(1);

fn classify(headers: &[(&'static str, &str)], status: u16) -> Outcome {
    let mut response = Response::builder().status(status).header("content-type", "application/grpc");
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let response = response.body(()).unwrap();
    GrpcClassify::new().classify(Ok::<_, &CallError>(&response))
}

fn trailers(code: u8) -> HeaderMap {
    let mut map = HeaderMap::new();
    map.insert("grpc-status", HeaderValue::from(u16::from(code)));
    map
}

/// A message of gRPC: not compressed, its length, its bytes.
fn message(text: &str) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    Bytes::from(bytes)
}

// ===== Classification =====

#[test]
fn each_code_has_its_outcome() {
    let transient = Outcome::Transient { sent: Sent::Answered, retry_after: None };
    for (code, outcome) in [
        (0, Outcome::Success),
        (1, Outcome::Cancelled),
        (2, Outcome::Permanent),
        (3, Outcome::Success),
        (4, transient),
        (5, Outcome::Success),
        (6, Outcome::Success),
        (7, Outcome::Success),
        (8, Outcome::Throttled { retry_after: None }),
        (9, Outcome::Success),
        (10, Outcome::Success),
        (11, Outcome::Success),
        (12, Outcome::Permanent),
        (13, Outcome::Permanent),
        (14, transient),
        (15, Outcome::Permanent),
        (16, Outcome::Success),
        (17, Outcome::Permanent),
        (4_000_000_000, Outcome::Permanent),
    ] {
        assert_eq!(classify(&[("grpc-status", &code.to_string())], 200), outcome, "{code}");
        assert_eq!(u32::from(Code::from_number(code).number()), if code < 17 { code } else { 2 });
    }
    for nonsense in ["", "x", "-1", "+0", "0 ", "99999999999999"] {
        assert_eq!(classify(&[("grpc-status", nonsense)], 200), Outcome::Permanent, "{nonsense:?}");
    }
}

/// gRFC A6 and grpc-go: a number of milliseconds is when; negative, no number, or several are never.
#[test]
fn t4_pushback_is_exact_or_never() {
    let wait =
        |value: &str| classify(&[("grpc-status", "14"), ("grpc-retry-pushback-ms", value)], 200).retry_after().unwrap();
    assert_eq!(wait("0"), Duration::ZERO);
    assert_eq!(wait("1"), MS);
    assert_eq!(wait("73000"), Duration::from_secs(73));
    for never in ["-1", "-100", "", "x", "1.5", "10s", "99999999999999999999"] {
        assert_eq!(wait(never), Duration::MAX, "{never:?}");
    }
    let twice = [("grpc-status", "14"), ("grpc-retry-pushback-ms", "1"), ("grpc-retry-pushback-ms", "1")];
    assert_eq!(classify(&twice, 200).retry_after(), Some(Duration::MAX));
    assert_eq!(Pushback::read(&HeaderMap::new()), None);
    let throttled = [("grpc-status", "8"), ("grpc-retry-pushback-ms", "5")];
    assert_eq!(classify(&throttled, 200), Outcome::Throttled { retry_after: Some(5 * MS) });
}

#[test]
fn a_proxy_in_between_says_it_with_http() {
    let transient = |after| Outcome::Transient { sent: Sent::Answered, retry_after: after };
    assert_eq!(classify(&[], 200), Outcome::Success, "the status may come later");
    assert_eq!(classify(&[("retry-after", "2")], 503), transient(Some(Duration::from_secs(2))));
    assert_eq!(classify(&[], 502), transient(None));
    assert_eq!(classify(&[], 429), Outcome::Throttled { retry_after: None });
    assert_eq!(classify(&[], 403), Outcome::Success);
    assert_eq!(classify(&[], 404), Outcome::Permanent, "UNIMPLEMENTED");
    assert_eq!(classify(&[("grpc-status", "14")], 404), transient(None), "gRPC's own word goes before");
}

#[test]
fn errors_are_read_as_those_of_http() {
    let classify = |error: CallError| GrpcClassify::new().classify(Err::<&Response<()>, _>(&error));
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    assert_eq!(classify(refused.into()), Outcome::Transient { sent: Sent::NotSent, retry_after: None });
    let rejection = Rejection::new(RejectionKind::Overloaded, "test");
    assert_eq!(classify(CallError::from_rejection(rejection)), Outcome::Refused { retry_after: None });
}

// ===== Finding =====

type Answer = Response<CollectedBody<Script>>;

/// What a client gets of a server that answers a whole request with these steps.
async fn ask(layer: StatusLayer, steps: impl IntoIterator<Item = Step>) -> Result<Answer, CallError> {
    let mut body = Some(Script::new(steps));
    let server = service_fn(move |request: Request<WatchedBody<Empty<Bytes>>>| {
        let body = body.take().expect("called once");
        async move {
            drop(request);
            Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
        }
    });
    // `oneshot` of a service that is no `Clone`.
    layer.layer(server).oneshot(Request::new(Empty::new())).await
}

fn found(answer: &Answer) -> Option<Code> {
    answer.extensions().get::<GrpcStatus>().map(|status| status.code)
}

fn data(bytes: Bytes) -> Step {
    Step::Data(bytes)
}

#[tokio::test]
async fn a_failure_in_the_trailers_is_left_with_the_head() {
    let mut map = trailers(14);
    map.insert("grpc-retry-pushback-ms", HeaderValue::from_static("20"));
    let answer = ask(StatusLayer::new(), [Step::Yield, Step::Trailers(map.clone())]).await.unwrap();
    let outcome = GrpcClassify::new().classify(Ok::<_, &CallError>(&answer));
    assert_eq!(outcome, Outcome::Transient { sent: Sent::Answered, retry_after: Some(20 * MS) });
    assert_eq!(answer.into_body().collect().await.unwrap().trailers(), Some(&map), "the trailers are there still");
}

#[tokio::test]
async fn a_unary_answer_is_read_to_its_end_and_its_success_leaves_nothing() {
    let steps = [data(message("hello")), Step::Trailers(trailers(0))];
    let answer = ask(StatusLayer::new(), steps).await.unwrap();
    assert!(answer.body().is_whole() && answer.extensions().is_empty());
    let whole = answer.into_body().collect().await.unwrap();
    assert_eq!(whole.trailers(), Some(&trailers(0)));
    assert_eq!(whole.to_bytes(), message("hello"));
}

#[tokio::test]
async fn a_failure_right_after_a_message_is_found() {
    let answer = ask(StatusLayer::new(), [data(message("half")), Step::Trailers(trailers(13))]).await.unwrap();
    assert_eq!(found(&answer), Some(Code::Internal));
}

#[tokio::test]
async fn a_message_in_pieces_is_waited_for() {
    let all = message("hello");
    let pieces = (0..all.len()).flat_map(|at| [data(all.slice(at..=at)), Step::Yield]);
    let last = [Step::Trailers(trailers(0))];
    let answer = ask(StatusLayer::new(), pieces.chain(last)).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), all);
}

#[tokio::test]
async fn a_message_that_breaks_off_is_an_error_of_the_call() {
    let error = ask(StatusLayer::new(), [data(message("hello").slice(..7)), Step::Fail]).await.unwrap_err();
    let rejection = error.as_rejection().unwrap();
    assert_eq!((rejection.kind(), rejection.phase()), (RejectionKind::BodyIncomplete, Phase::Body));
}

#[tokio::test]
async fn the_end_without_a_status_is_unknown() {
    let answer = ask(StatusLayer::new(), [data(message("hello"))]).await.unwrap();
    assert_eq!(found(&answer), Some(Code::Unknown));
}

#[tokio::test]
async fn a_stream_of_a_server_is_handed_on_with_its_first_message() {
    let script = [data(message("one")), Step::Wait, data(message("two")), Step::Trailers(trailers(0))];
    let answer = ask(StatusLayer::new(), script).await.unwrap();
    assert!(!answer.body().is_whole(), "the second one has not come, and nobody has waited for it");
    assert_eq!(found(&answer), None);
}

#[tokio::test]
async fn of_a_fast_stream_no_more_is_read_than_shows_that_it_is_one() {
    let script = Script::new((0..100).map(|_| data(message("again"))));
    let gate: Gate = script.gate();
    let mut body = Some(script);
    let server = service_fn(move |_: Request<WatchedBody<Empty<Bytes>>>| {
        let body = body.take().unwrap();
        async { Ok::<_, CallError>(Response::builder().header("content-type", "application/grpc").body(body)?) }
    });
    let answer = StatusLayer::new().layer(server).oneshot(Request::new(Empty::new())).await.unwrap();
    assert_eq!(gate.polls(), 2);
    let frames = answer.into_body().into_data_stream().count().await;
    assert_eq!(frames, 100, "and none is lost");
}

#[tokio::test]
async fn a_call_whose_request_goes_on_passes_at_once() {
    // The server waits for the client, and the client for the head of the response.
    let server = service_fn(async |request: Request<WatchedBody<StreamBody<_>>>| {
        let (sender, receiver) = mpsc::unbounded_channel::<Result<Frame<Bytes>, io::Error>>();
        tokio::spawn(async move {
            let whole: http_body_util::Collected<Bytes> = request.into_body().collect().await.unwrap();
            let _ = sender.send(Ok(Frame::data(whole.to_bytes())));
        });
        let body = StreamBody::new(Box::pin(stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|frame| (frame, receiver))
        })));
        Ok::<_, CallError>(Response::builder().header("content-type", "application/grpc").body(body)?)
    });
    let (sender, receiver) = mpsc::unbounded_channel::<Result<Frame<Bytes>, io::Error>>();
    let body = StreamBody::new(stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|frame| (frame, receiver))
    }));
    let answer = StatusLayer::new().layer(server).oneshot(Request::new(body)).await.unwrap();
    sender.send(Ok(Frame::data(message("after the head")))).unwrap();
    drop(sender);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), message("after the head"));
}

/// A client that subscribes, and then does what the first message is about.
#[tokio::test]
async fn a_stream_that_begins_later_passes_at_once_if_its_request_says_so() {
    let mut body = Some(Script::new([Step::Wait, data(message("event")), Step::Trailers(trailers(0))]));
    let gate = body.as_ref().unwrap().gate();
    let server = service_fn(move |_: Request<WatchedBody<Empty<Bytes>>>| {
        let body = body.take().unwrap();
        async { Ok::<_, CallError>(Response::builder().header("content-type", "application/grpc").body(body)?) }
    });
    let mut request = Request::new(Empty::<Bytes>::new());
    request.extensions_mut().insert(HeadFirst);
    let mut call = tokio_test::task::spawn(StatusLayer::new().layer(server).oneshot(request));
    let answer = tokio_test::assert_ready!(call.poll()).unwrap();
    gate.open();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), message("event"));
}

#[tokio::test]
async fn what_is_no_grpc_or_says_its_status_at_once_passes() {
    for (name, value) in [("content-type", "application/json"), ("grpc-status", "5")] {
        let mut body = Some(Script::new([Step::Wait]));
        let server = service_fn(move |_: Request<WatchedBody<Empty<Bytes>>>| {
            let mut response = Response::new(body.take().unwrap());
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            response.headers_mut().insert(name, HeaderValue::from_static(value));
            async { Ok::<_, CallError>(response) }
        });
        let answer = StatusLayer::new().layer(server).oneshot(Request::new(Empty::new())).await.unwrap();
        assert!(!answer.body().is_whole(), "it would have hung");
    }
    let answer = ask(StatusLayer::new().bypass(), [Step::Wait]).await.unwrap();
    assert!(!answer.body().is_whole());
}

#[tokio::test]
async fn a_message_over_the_cap_streams() {
    let steps = [data(message("hello").slice(..8)), Step::Wait, data(message("hello").slice(8..))];
    let answer = ask(StatusLayer::new().cap(7), steps).await.unwrap();
    assert!(!answer.body().is_whole());
}

#[tokio::test]
async fn a_request_body_is_the_same_as_before() {
    let server = service_fn(async |request: Request<WatchedBody<Full<Bytes>>>| {
        assert_eq!(request.body().size_hint().exact(), Some(5));
        assert!(!request.body().is_end_stream());
        let whole = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, CallError>(Response::new(Full::new(whole)))
    });
    let answer = StatusLayer::new().layer(server).oneshot(Request::new(Full::from("hello"))).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
}

// ===== Refusals =====

#[tokio::test]
async fn a_client_library_is_told_of_a_refusal_in_grpc() {
    for (kind, code) in [
        (RejectionKind::Overloaded, 8),
        (RejectionKind::RateLimited, 8),
        (RejectionKind::DeadlineExceeded, 4),
        (RejectionKind::CircuitOpen, 14),
    ] {
        let refuse = service_fn(move |_: Request<()>| async move {
            Err::<Response<Full<Bytes>>, _>(CallError::from_rejection(Rejection::new(kind, "test")))
        });
        let response = RefusalLayer::new().layer(refuse).oneshot(Request::new(())).await.unwrap();
        let status = GrpcStatus::read(response.headers()).unwrap();
        assert_eq!(status.code, Code::from_number(code));
        // A rate that says no time has refused for good.
        let never = (kind == RejectionKind::RateLimited).then_some(Pushback::Never);
        assert_eq!(status.pushback, never);
        let bypassed = RefusalLayer::new().bypass().layer(refuse).oneshot(Request::new(())).await;
        assert_eq!(bypassed.unwrap_err().as_rejection().unwrap().kind(), kind);
    }
    let fail = service_fn(async |_: Request<()>| Err::<Response<Full<Bytes>>, _>(CallError::new("it broke")));
    let error = RefusalLayer::new().layer(fail).oneshot(Request::new(())).await.unwrap_err();
    assert_eq!(error.to_string(), "it broke");
}
