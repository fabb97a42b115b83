use std::{
    error::Error,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use donjon_core::{CallError, Classify, Deadline, Fresh, Outcome, Phase, Reject, Rejection, RejectionKind, Sent};
use donjon_http::{CollectLayer, CollectedBody, GuardedBody, HttpClassify};
use http::{HeaderValue, Request, Response};
use http_body::{Body, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use proptest::prelude::*;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt};

use crate::support::{Script, Step, data, trailers};

type Answer<B> = Result<Response<CollectedBody<B>>, CallError>;

async fn call<B>(layer: CollectLayer, response: Response<B>) -> Answer<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<donjon_core::BoxError>,
{
    let mut response = Some(response);
    let inner =
        tower::service_fn(move |_: Request<()>| std::future::ready(Ok::<_, CallError>(response.take().unwrap())));
    layer.layer(inner).oneshot(Request::new(())).await
}

fn ok(steps: impl IntoIterator<Item = Step>) -> Response<Script> {
    Response::new(Script::new(steps))
}

// ===== Whole =====

#[tokio::test]
async fn a_body_is_read_before_the_call_is_done_and_keeps_its_trailers() {
    let response = ok([data("ab"), Step::Yield, data("c"), Step::Trailers(trailers())]);
    let response = call(CollectLayer::new(), response).await.unwrap();
    let body = response.into_body();
    assert!(body.is_whole() && !body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(3));
    let body = body.collect().await.unwrap();
    assert_eq!(body.trailers(), Some(&trailers()));
    assert_eq!(body.to_bytes(), "abc");
}

#[tokio::test]
async fn head_and_extensions_are_kept() {
    let mut response = Response::builder().status(201).header("x-a", "b").body(Full::new(Bytes::from("x"))).unwrap();
    response.extensions_mut().insert(7u8);
    let response = call(CollectLayer::new(), response).await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["x-a"], "b");
    assert_eq!(response.extensions().get(), Some(&7u8));
}

#[tokio::test]
async fn what_the_body_held_is_given_back_when_it_was_read() {
    let held = Arc::new(());
    let body = GuardedBody::new(Script::new([data("a")]), Arc::clone(&held));
    let response = call(CollectLayer::new(), Response::new(body)).await.unwrap();
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(response.into_body().into_bytes().unwrap(), "a");
}

#[tokio::test]
async fn an_empty_body_is_whole() {
    for cap in [0, 10] {
        let response = call(CollectLayer::new().cap(cap), Response::new(Empty::<Bytes>::new())).await.unwrap();
        assert!(response.body().is_whole() && response.body().is_end_stream());
        assert_eq!(response.into_body().into_bytes().unwrap(), "");
    }
}

// ===== Truncated =====

#[tokio::test]
async fn a_truncated_body_is_an_outcome_of_the_call() {
    let error = call(CollectLayer::new(), ok([data("half"), Step::Yield, Step::Fail])).await.unwrap_err();
    let outcome = HttpClassify::new().classify(Err::<&Response<()>, _>(&error));
    assert_eq!(outcome, Outcome::Transient { sent: Sent::Answered, retry_after: None });
    let rejection = error.as_rejection().unwrap();
    assert_eq!((rejection.kind(), rejection.phase()), (RejectionKind::BodyIncomplete, Phase::Body));
    assert_eq!(rejection.source().unwrap().downcast_ref::<io::Error>().unwrap().to_string(), "planned");
}

#[tokio::test]
async fn a_refusal_that_comes_from_the_body_stays_itself() {
    struct Late;
    impl Body for Late {
        type Data = Bytes;
        type Error = io::Error;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, io::Error>>> {
            let late = Rejection::new(RejectionKind::DeadlineExceeded, "timeout").with_phase(Phase::Body);
            Poll::Ready(Some(Err(io::Error::other(late))))
        }
    }
    let error = call(CollectLayer::new(), Response::new(Late)).await.unwrap_err();
    assert_eq!(error.as_rejection().unwrap().kind(), RejectionKind::DeadlineExceeded);
}

#[tokio::test]
async fn an_error_of_the_call_passes() {
    let inner = tower::service_fn(async |_: Request<()>| {
        Err::<Response<Full<Bytes>>, _>(CallError::from(io::Error::from(io::ErrorKind::ConnectionRefused)))
    });
    let error = CollectLayer::new().layer(inner).oneshot(Request::new(())).await.unwrap_err();
    assert!(error.downcast_ref::<io::Error>().is_some());
}

// ===== Streaming =====

#[tokio::test]
async fn what_exceeds_the_cap_streams_on_from_there() {
    let script = Script::new([data("abc"), data("def"), Step::Wait, data("ghi"), Step::Trailers(trailers())]);
    let gate = script.gate();
    let response = call(CollectLayer::new().cap(5), Response::new(script)).await.unwrap();
    assert_eq!(gate.polls(), 2, "no further than past the cap");
    let body = response.into_body();
    assert!(!body.is_whole());
    assert_eq!((body.size_hint().lower(), body.size_hint().upper()), (6, None));
    let body = body.into_bytes().unwrap_err();
    gate.open();
    let body = body.collect().await.unwrap();
    assert_eq!(body.trailers(), Some(&trailers()));
    assert_eq!(body.to_bytes(), "abcdefghi");
}

#[tokio::test]
async fn a_body_of_exactly_the_cap_is_whole() {
    for (cap, whole) in [(6, true), (5, false)] {
        let response = call(CollectLayer::new().cap(cap), ok([data("abc"), data("def")])).await.unwrap();
        assert_eq!(response.body().is_whole(), whole);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "abcdef");
    }
}

#[tokio::test]
async fn an_announced_size_over_the_cap_streams_at_once() {
    let script = Script::new([data("abcdef")]).hint(SizeHint::with_exact(6));
    let gate = script.gate();
    let response = call(CollectLayer::new().cap(5), Response::new(script)).await.unwrap();
    assert_eq!(gate.polls(), 0);
    assert_eq!(response.body().size_hint().exact(), Some(6));

    let script = Script::new([data("abcdef")]);
    let gate = script.gate();
    let response = Response::builder().header("content-length", "6").body(script).unwrap();
    call(CollectLayer::new().cap(5), response).await.unwrap();
    assert_eq!(gate.polls(), 0);
}

#[tokio::test]
async fn an_error_past_the_cap_is_the_callers() {
    let response = call(CollectLayer::new().cap(2), ok([data("abc"), Step::Fail])).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap_err().to_string(), "planned");
}

#[tokio::test]
async fn streams_and_failures_are_not_waited_for() {
    let types = ["text/event-stream", "Text/Event-Stream; charset=utf-8", "application/grpc+proto", "application/grpc"];
    let streams = types.map(|kind| Response::builder().header("content-type", kind));
    let failures = [301, 404, 500, 503].map(|status| Response::builder().status(status));
    for head in streams.into_iter().chain(failures) {
        // It would wait for ever.
        let response = call(CollectLayer::new(), head.body(Script::new([Step::Wait])).unwrap()).await.unwrap();
        assert!(!response.body().is_whole(), "{response:?}");
    }
    let head = Response::builder().header("content-type", "application/grpcx");
    let response = call(CollectLayer::new(), head.body(Script::new([data("x")])).unwrap()).await.unwrap();
    assert!(response.body().is_whole());
}

#[tokio::test]
async fn bypass_reads_nothing() {
    let script = Script::new([data("a")]);
    let gate = script.gate();
    let response = call(CollectLayer::new().bypass(), Response::new(script)).await.unwrap();
    assert_eq!(gate.polls(), 0);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "a");
}

// ===== Cancellation, readiness, time =====

#[tokio::test]
async fn dropping_the_call_drops_the_body_at_any_point() {
    for polls in 0..3 {
        let held = Arc::new(());
        let script = Script::new([data("a"), Step::Yield, data("b"), Step::Wait]);
        let mut response = Some(Response::new(GuardedBody::new(script, Arc::clone(&held))));
        let mut service = CollectLayer::new().layer(tower::service_fn(move |_: Request<()>| {
            std::future::ready(Ok::<_, CallError>(response.take().unwrap()))
        }));
        let mut call = task::spawn(service.call(Request::new(())));
        for _ in 0..polls {
            assert_pending!(call.poll());
        }
        assert_eq!(Arc::strong_count(&held), 2);
        drop(call);
        drop(service);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[tokio::test]
async fn a_finished_future_holds_nothing() {
    let held = Arc::new(());
    let script = Script::new([data("a"), Step::Fail]);
    let mut response = Some(Response::new(GuardedBody::new(script, Arc::clone(&held))));
    let mut service = CollectLayer::new().layer(tower::service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, CallError>(response.take().unwrap()))
    }));
    let mut call = task::spawn(service.call(Request::new(())));
    assert_ready!(call.poll()).unwrap_err();
    assert_eq!(Arc::strong_count(&held), 1);
    drop(call);
}

#[tokio::test]
async fn a_finished_future_does_not_keep_that_of_the_service() {
    struct Done(#[expect(dead_code, reason = "held")] Arc<()>, Option<Result<Response<Full<Bytes>>, CallError>>);
    impl Future for Done {
        type Output = Result<Response<Full<Bytes>>, CallError>;
        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(self.1.take().unwrap())
        }
    }
    let streams = Response::builder().status(500).body(Full::new(Bytes::from("x"))).unwrap();
    for result in [Ok(Response::new(Full::new(Bytes::from("x")))), Ok(streams), Err(CallError::new("planned"))] {
        let held = Arc::new(());
        let mut inner = Some(Done(Arc::clone(&held), Some(result)));
        let mut service = CollectLayer::new().layer(tower::service_fn(move |_: Request<()>| inner.take().unwrap()));
        let mut call = task::spawn(service.call(Request::new(())));
        let _ = assert_ready!(call.poll());
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_around_the_call_covers_the_body() {
    let response = ok([data("a"), Step::Wait]);
    let outer = Deadline::after(Duration::from_secs(1));
    let late =
        tokio::time::timeout_at(outer.instant().unwrap(), outer.scope(call(CollectLayer::new(), response))).await;
    assert!(late.is_err());
}

#[tokio::test]
async fn readiness_is_that_of_the_service() {
    let (mock, mut handle) = tower_test_service();
    let mut service = task::spawn(CollectLayer::new().layer(mock));
    assert_pending!(service.enter(|cx, mut service| service.poll_ready(cx)));
    handle.ready();
    assert!(service.is_woken());
    assert_ready!(service.enter(|cx, mut service| service.poll_ready(cx))).unwrap();
}

#[tokio::test]
async fn spawned_and_concrete() {
    let service = CollectLayer::new()
        .layer(tower::service_fn(async |_: Request<()>| Ok::<_, CallError>(ok([data("a"), Step::Yield, data("b")]))));
    let call = tokio::spawn(async move { service.oneshot(Request::new(())).await });
    assert_eq!(call.await.unwrap().unwrap().into_body().into_bytes().unwrap(), "ab");
}

/// A service that is ready when its handle says so.
fn tower_test_service() -> (Sometimes, Sometimes) {
    let one = Sometimes::default();
    (one.clone(), one)
}

#[derive(Clone, Default)]
struct Sometimes(Arc<std::sync::Mutex<(bool, Option<std::task::Waker>)>>);

impl Sometimes {
    fn ready(&mut self) {
        let mut inner = self.0.lock().unwrap();
        inner.0 = true;
        inner.1.take().unwrap().wake();
    }
}

impl Service<Request<()>> for Sometimes {
    type Response = Response<Full<Bytes>>;
    type Error = CallError;
    type Future = std::future::Ready<Result<Self::Response, CallError>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), CallError>> {
        let mut inner = self.0.lock().unwrap();
        if inner.0 {
            return Poll::Ready(Ok(()));
        }
        inner.1 = Some(cx.waker().clone());
        Poll::Pending
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        unreachable!("not called here")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever the head says, the bytes are those of the body.
    #[test]
    fn any_head_is_survived(
        content_type in prop::collection::vec(any::<u8>(), 0..30),
        content_length in prop_oneof!["[0-9]{0,25}", "[ -~]{0,12}"],
        status in 100..1000u16,
        cap in 0..8usize,
    ) {
        let mut head = Response::builder().status(status).header("content-length", content_length);
        if let Ok(value) = HeaderValue::from_bytes(&content_type) {
            head = head.header("content-type", value);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let got = runtime.block_on(async {
            let response = head.body(Script::new([data("abc"), Step::Yield, data("de")])).unwrap();
            call(CollectLayer::new().cap(cap), response).await.unwrap().into_body().collect().await.unwrap()
        });
        prop_assert_eq!(got.to_bytes(), "abcde");
    }
}

#[tokio::test]
async fn the_answer_to_head_is_whole_whatever_size_it_announces() {
    for status in [200, 404] {
        let head = Response::builder().status(status).header("content-length", "9999999999");
        let response = call(CollectLayer::new(), head.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert!(response.body().is_whole(), "{status}");
        assert_eq!(response.into_body().into_bytes().expect("it is whole"), "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_empty_frames_without_end_does_not_hold_up_the_call() {
    let mut response = call(CollectLayer::new(), Response::new(Endless::default())).await.unwrap();
    assert!(!response.body().is_whole(), "the rest is the reader's");
    assert!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap().is_empty());
}

/// Has always another empty frame.
#[derive(Default)]
struct Endless {
    polls: usize,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, io::Error>>> {
        self.polls += 1;
        assert!(self.polls < 1_000_000, "it is read without end");
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::new()))))
    }
}
