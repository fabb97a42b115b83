//! What outlives its call (a socket after the handshake) keeps the permit.

use bytes::Bytes;
use donjon_concurrency_limit::{ConcurrencyLimitLayer, HeldPermit, Http, LimitedBody};
use donjon_core::{Fresh, Rejection, RejectionKind};
use http::{Method, Request, Response};
use http_body_util::Empty;
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn};

type Answer = Response<Empty<Bytes>>;

fn handshake() -> Request<()> {
    Request::get("/socket").header("upgrade", "websocket").body(()).expect("a valid request")
}

/// A handler that hands out the permit that its request carries.
fn keep(
    sender: mpsc::UnboundedSender<Option<HeldPermit>>,
) -> impl tower::Service<Request<()>, Response = Answer, Error = Rejection, Future: Send> + Clone {
    service_fn(move |mut request: Request<()>| {
        let _ = sender.send(request.extensions_mut().remove());
        async { Ok(Response::new(Empty::new())) }
    })
}

async fn ask(layer: &ConcurrencyLimitLayer<Http>, request: Request<()>) -> (Response<()>, Option<HeldPermit>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let response: Response<LimitedBody<_>> = layer.layer(keep(sender)).oneshot(request).await.expect("there is room");
    (response.map(drop), receiver.recv().await.expect("it was called"))
}

#[tokio::test]
async fn the_permit_of_a_handshake_is_kept_until_its_last_clone_is_gone() {
    let layer = ConcurrencyLimitLayer::http(1).queue(0);
    let in_flight = || layer.handle().stats().in_flight;
    let (_, held) = ask(&layer, handshake()).await;
    let held = held.expect("a request for an upgrade carries it");
    assert!(held.is_some());
    assert_eq!(in_flight(), 1, "the response and its body are gone");
    let clone = held.clone();
    drop(held);
    assert_eq!(in_flight(), 1);
    let (sender, _receiver) = mpsc::unbounded_channel();
    let refused = layer.layer(keep(sender)).oneshot(handshake()).await.expect_err("it is in flight");
    assert_eq!(refused.kind(), RejectionKind::Overloaded);
    drop(clone);
    assert_eq!(in_flight(), 0);
    assert_eq!(layer.handle().stats().admitted, 1);
}

#[tokio::test]
async fn the_call_itself_holds_the_permit_too() {
    let layer = ConcurrencyLimitLayer::http(1);
    let inner = service_fn(|mut request: Request<()>| async move {
        drop(request.extensions_mut().remove::<HeldPermit>());
        std::future::pending::<()>().await;
        Ok::<_, Rejection>(Response::new(Empty::<Bytes>::new()))
    });
    let mut call = tokio_test::task::spawn(layer.layer(inner).oneshot(handshake()));
    tokio_test::assert_pending!(call.poll());
    assert_eq!(layer.handle().stats().in_flight, 1, "given away by the handler, and its call goes on");
    drop(call);
    assert_eq!(layer.handle().stats().in_flight, 0);
    assert_eq!(layer.handle().stats().cancelled_running, 1);
}

#[tokio::test]
async fn a_call_that_waited_carries_its_permit_as_well() {
    let layer = ConcurrencyLimitLayer::http(1);
    let (_, first) = ask(&layer, handshake()).await;
    let mut second = tokio_test::task::spawn(ask(&layer, handshake()));
    tokio_test::assert_pending!(second.poll());
    drop(first);
    assert!(second.is_woken());
    let (_, held) = tokio_test::assert_ready!(second.poll());
    assert_eq!(layer.handle().stats().in_flight, 1);
    drop(held);
    assert_eq!(layer.handle().stats().in_flight, 0);
}

#[tokio::test]
async fn who_asks_for_no_upgrade_carries_nothing() {
    let layer = ConcurrencyLimitLayer::http(1);
    assert!(ask(&layer, Request::new(())).await.1.is_none());
    assert_eq!(layer.handle().stats().in_flight, 0);
    let connect = Request::builder().method(Method::CONNECT).uri("host:1").body(()).unwrap();
    assert!(ask(&layer, connect).await.1.is_some(), "the upgrade of HTTP/2");
}

#[tokio::test]
async fn under_two_limits_both_permits_are_held() {
    let (global, route) = (ConcurrencyLimitLayer::http(8), ConcurrencyLimitLayer::http(4));
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let response = global.layer(route.layer(keep(sender))).oneshot(handshake()).await.unwrap();
    drop(response);
    let held = receiver.recv().await.flatten().expect("one for both");
    let in_flight = || (global.handle().stats().in_flight, route.handle().stats().in_flight);
    assert_eq!(in_flight(), (1, 1));
    drop(held.clone());
    assert_eq!(in_flight(), (1, 1));
    drop(held);
    assert_eq!(in_flight(), (0, 0));
}

#[tokio::test]
async fn where_nothing_is_limited_there_is_one_that_holds_nothing() {
    let (_, held) = ask(&ConcurrencyLimitLayer::http(0).bypass(), handshake()).await;
    assert!(!held.expect("the handler finds what it asks for").is_some());
    assert!(!HeldPermit::none().is_some() && !HeldPermit::default().and(HeldPermit::none()).is_some());
}

#[tokio::test]
async fn the_permit_outlives_the_layer() {
    let layer = ConcurrencyLimitLayer::http(1);
    let handle = layer.handle();
    let (_, held) = ask(&layer, handshake()).await;
    drop(layer);
    assert_eq!(handle.stats().in_flight, 1);
    drop(held);
    assert_eq!(handle.stats().in_flight, 0);
}
