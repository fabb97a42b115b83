use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use donjon_core::{Phase, Rejection, RejectionKind};
use donjon_http::{
    RespondBody, problem_response, respond,
    respond::{Asked, Inside, Plain, Problem, Render, grpc_response, plain_response},
};
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

type Answer = Response<Full<Bytes>>;

#[derive(Clone)]
struct Handler(Arc<AtomicU32>);

impl Service<Request<()>> for Handler {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        self.0.fetch_add(1, Ordering::Relaxed);
        ready(Ok(Response::new(Full::new(Bytes::from("hello")))))
    }
}

/// Refuses where it is told to; panics if it is called unready.
#[derive(Clone)]
struct Refuse {
    at: At,
    rejection: Rejection,
}

#[derive(Clone, Copy, PartialEq)]
enum At {
    Never,
    Ready,
    Call,
}

struct Refusing<S> {
    inner: S,
    layer: Refuse,
    is_ready: bool,
}

impl<S> Layer<S> for Refuse {
    type Service = Refusing<S>;

    fn layer(&self, inner: S) -> Refusing<S> {
        Refusing { inner, layer: self.clone(), is_ready: false }
    }
}

impl<S: Clone> Clone for Refusing<S> {
    fn clone(&self) -> Self {
        self.layer.layer(self.inner.clone())
    }
}

impl<S> Service<Request<()>> for Refusing<S>
where
    S: Service<Request<()>, Response = Answer, Error = Rejection>,
{
    type Response = Answer;
    type Error = Rejection;
    type Future = futures_util::future::Either<S::Future, Ready<Result<Answer, Rejection>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        if self.layer.at == At::Ready {
            // The next time it is well again.
            self.layer.at = At::Never;
            return Poll::Ready(Err(self.layer.rejection.clone()));
        }
        self.is_ready = true;
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without being ready");
        match self.layer.at {
            At::Call => futures_util::future::Either::Right(ready(Err(self.layer.rejection.clone()))),
            _ => futures_util::future::Either::Left(self.inner.call(request)),
        }
    }
}

fn overloaded() -> Rejection {
    Rejection::new(RejectionKind::Overloaded, "secret-layer").with_phase(Phase::Queue)
}

/// The stack over a handler, and how often the handler was called.
fn refuse(at: At, rejection: Rejection) -> (donjon_http::Respond<Refusing<Inside<Handler>>, Problem>, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    (respond(Refuse { at, rejection }).layer(Handler(Arc::clone(&calls))), calls)
}

async fn text(response: Response<RespondBody<Full<Bytes>>>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_response_of_the_stack_passes_as_it_is() {
    let (service, calls) = refuse(At::Never, overloaded());
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert!(!response.body().is_refusal());
    assert_eq!(response.body().size_hint().exact(), Some(5));
    assert_eq!(text(response).await, "hello");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_refusal_is_a_response() {
    let (service, calls) = refuse(At::Call, overloaded().with_retry_after(Duration::from_millis(1)));
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1", "rounded up");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(response.body().is_refusal() && !response.body().is_end_stream());
    let length = response.body().size_hint().exact().unwrap();
    let text = text(response).await;
    assert_eq!(text.len() as u64, length);
    assert!(!text.contains("secret-layer"));
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_readiness_error_is_the_answer_and_the_unready_stack_is_not_called() {
    let (mut service, calls) = refuse(At::Ready, overloaded());
    let response = service.ready().await.unwrap().call(Request::new(())).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    // The next call asks again.
    let response = service.ready().await.unwrap().call(Request::new(())).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_readiness_error_stays_with_the_instance_that_had_it() {
    let (mut service, _) = refuse(At::Ready, overloaded());
    service.ready().await.unwrap();
    service.ready().await.unwrap();
    let clone = service.clone();
    assert_eq!(service.call(Request::new(())).await.unwrap().status(), 503, "asked twice, answered once");
    assert_eq!(clone.oneshot(Request::new(())).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_stack_that_failed_in_its_readiness_is_not_asked_again_before_the_answer() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let mut service = respond(tower::layer::layer_fn(move |_: Inside<Handler>| Unready(Arc::clone(&count))))
        .layer(Handler(Arc::default()));
    for round in 1..3 {
        service.ready().await.unwrap();
        service.ready().await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), round);
        assert_eq!(service.call(Request::new(())).await.unwrap().status(), 503);
    }
}

/// Never ready; counts how often it was asked.
struct Unready(Arc<AtomicU32>);

impl Service<Request<()>> for Unready {
    type Response = Answer;
    type Error = Rejection;
    type Future = Ready<Result<Answer, Rejection>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Err(overloaded()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        panic!("called without being ready")
    }
}

#[tokio::test]
async fn every_kind_has_its_status() {
    for (kind, status) in [
        (RejectionKind::Overloaded, 503),
        (RejectionKind::RateLimited, 429),
        (RejectionKind::CircuitOpen, 503),
        (RejectionKind::DeadlineExceeded, 504),
        (RejectionKind::AttemptTimeout, 504),
        (RejectionKind::NoEndpoint, 503),
        (RejectionKind::BodyTooLarge, 413),
        (RejectionKind::BodyIncomplete, 502),
        (RejectionKind::Shared, 502),
    ] {
        let (service, _) = refuse(At::Call, Rejection::new(kind, "test"));
        let response = service.oneshot(Request::new(())).await.unwrap();
        assert_eq!(response.status(), status, "{kind}");
        // A rate that says no time refuses for good.
        let for_want_of_room = status == 503;
        assert_eq!(response.headers().get("retry-after").is_some(), for_want_of_room, "{kind}");
        let reason = response.status().canonical_reason().unwrap();
        let problem = format!(r#"{{"type":"about:blank","title":"{reason}","status":{status},"code":"{kind}"}}"#);
        assert_eq!(text(response).await, problem);
    }
}

#[tokio::test]
async fn a_refusal_that_does_not_say_when_gets_the_time_of_the_edge() {
    let ask = async |rejection: Rejection, after: Option<Option<Duration>>| {
        let mut layer = respond(Refuse { at: At::Call, rejection });
        if let Some(after) = after {
            layer = layer.retry_after(after);
        }
        let response = layer.layer(Handler(Arc::default())).oneshot(Request::new(())).await.unwrap();
        response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(ask(overloaded(), None).await.as_deref(), Some("1"));
    assert_eq!(ask(overloaded(), Some(Some(Duration::from_millis(2500)))).await.as_deref(), Some("3"));
    assert_eq!(ask(overloaded(), Some(None)).await, None);
    let says = overloaded().with_retry_after(Duration::from_secs(7));
    assert_eq!(ask(says.clone(), None).await.as_deref(), Some("7"), "the layer knows better");
    assert_eq!(ask(says, Some(None)).await.as_deref(), Some("7"));
    let late = Rejection::new(RejectionKind::DeadlineExceeded, "test");
    assert_eq!(ask(late, Some(Some(Duration::from_secs(9)))).await, None, "it was not refused for want of room");
}

#[tokio::test]
async fn a_closure_and_a_call_of_grpc_are_told_the_time_of_the_edge_too() {
    let refuse = Refuse { at: At::Call, rejection: overloaded() };
    let mine = respond(refuse.clone()).render(|rejection: &Rejection| {
        let after = rejection.retry_after().map_or(0, |after| after.as_secs());
        Response::new(Bytes::from(after.to_string()))
    });
    assert_eq!(text(mine.layer(Handler(Arc::default())).oneshot(Request::new(())).await.unwrap()).await, "1");

    let request = Request::post("/").header("content-type", "application/grpc").body(()).unwrap();
    let response = respond(refuse).layer(Handler(Arc::default())).oneshot(request).await.unwrap();
    assert_eq!(response.headers()["grpc-retry-pushback-ms"], "1000");
}

#[tokio::test]
async fn refusals_can_be_written_in_other_ways() {
    let handler = || Handler(Arc::default());
    let refuse = Refuse { at: At::Call, rejection: overloaded() };
    let plain = respond(refuse.clone()).render(Plain).layer(handler());
    assert_eq!(text(plain.oneshot(Request::new(())).await.unwrap()).await, "overloaded\n");

    let mine = respond(refuse)
        .render(|rejection: &Rejection| Response::builder().status(418).body(Bytes::from(rejection.layer())).unwrap());
    let response = mine.layer(handler()).oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.status(), 418);
    assert_eq!(text(response).await, "secret-layer");
}

#[tokio::test]
async fn a_call_of_grpc_is_refused_in_its_own_way() {
    let rejection = overloaded().with_retry_after(Duration::from_micros(1500));
    for (method, content_type, grpc) in [
        ("POST", "application/grpc", true),
        ("POST", "application/grpc+proto", true),
        ("POST", "application/grpc;x=y", true),
        ("POST", "application/grpc-web", false),
        ("POST", "application/json", false),
        ("GET", "application/grpc", false),
    ] {
        let (service, _) = refuse(At::Call, rejection.clone());
        let request = Request::builder().method(method).header("content-type", content_type).body(()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status() == 200, grpc, "{method}, {content_type}");
        if grpc {
            assert_eq!(response.headers()["grpc-status"], "8");
            assert_eq!(response.headers()["grpc-message"], "overloaded");
            assert_eq!(response.headers()["grpc-retry-pushback-ms"], "2");
            assert!(response.body().is_end_stream());
        }
    }
}

#[test]
fn the_functions_are_there_without_a_service() {
    let rejection = Rejection::new(RejectionKind::RateLimited, "x").with_retry_after(Duration::from_secs(3));
    assert_eq!(problem_response(&rejection).status(), 429);
    assert_eq!(plain_response(&rejection).headers()["retry-after"], "3");
    assert_eq!(grpc_response(&rejection).headers()["grpc-status"], "8");
    assert_eq!(grpc_response(&rejection).headers()["grpc-retry-pushback-ms"], "3000");
    let for_good = Rejection::new(RejectionKind::RateLimited, "x");
    assert_eq!(grpc_response(&for_good).headers()["grpc-retry-pushback-ms"], "-1", "do not come back");
    let joined = Rejection::shared("x", for_good.outcome(), Arc::new(for_good));
    assert_eq!(grpc_response(&joined).headers()["grpc-retry-pushback-ms"], "-1", "nor whoever had joined it");
    assert!(!problem_response(&joined).headers().contains_key("retry-after"));
    assert!(!grpc_response(&overloaded()).headers().contains_key("grpc-retry-pushback-ms"), "nobody knows");
    let asked = Asked::of(&Request::new(()));
    assert!(!asked.grpc);
    assert_eq!(Plain.render(&rejection, asked).body(), "rate-limited\n");
}

#[tokio::test]
async fn a_stack_of_several_layers_fits_and_can_be_spawned() {
    let refuse = |at| Refuse { at, rejection: overloaded() };
    let stack = ServiceBuilder::new().layer(refuse(At::Never)).layer(refuse(At::Call));
    let service = respond(stack).layer(Handler(Arc::default()));
    let call = tokio::spawn(async move { service.oneshot(Request::new(())).await });
    assert_eq!(call.await.unwrap().unwrap().status(), 503);
}

#[test]
fn bounds_follow_the_inside() {
    fn clone_send_sync<T: Clone + Send + Sync + 'static>(_: &T) {}
    let layer = respond(Refuse { at: At::Never, rejection: overloaded() });
    clone_send_sync(&layer);
    clone_send_sync(&layer.layer(Handler(Arc::default())));
    fn needs_debug<T: std::fmt::Debug>() {}
    needs_debug::<Inside<u8>>();
    needs_debug::<RespondBody<Full<Bytes>>>();
}

#[tokio::test]
async fn a_refusal_of_head_has_no_body_and_the_headers_of_one() {
    let ask = |method: Method| {
        let (service, _) = refuse(At::Call, overloaded());
        service.oneshot(Request::builder().method(method).body(()).unwrap())
    };
    let get = ask(Method::GET).await.unwrap();
    let length = get.body().size_hint().exact().expect("it is known").to_string();
    let head = ask(Method::HEAD).await.unwrap();
    assert_eq!(head.status(), 503);
    assert_eq!(head.headers()["content-type"], get.headers()["content-type"]);
    assert_eq!(head.headers()["content-length"], *length);
    assert!(head.body().is_end_stream() && head.body().is_refusal());
}
