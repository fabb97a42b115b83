//! An HTTP call is in flight to the end of its response body.

use bytes::Bytes;
use donjon_concurrency_limit::{ConcurrencyLimitLayer, Http, LimitedBody, ReleaseOn};
use donjon_core::{Fresh, Rejection};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use tower::{Layer, ServiceExt, service_fn};

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A body of two frames, the second of which may be an error.
fn two_frames(error: bool) -> Body {
    let second = if error { Err(std::io::Error::other("cut")) } else { Ok(Bytes::from("b")) };
    let frames = [Ok(Bytes::from("a")), second].map(|frame| frame.map(http_body::Frame::data));
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

async fn get(layer: &ConcurrencyLimitLayer<Http>, body: fn() -> Body) -> Response<LimitedBody<Body>> {
    let inner = service_fn(move |_: Request<()>| async move { Ok::<_, Rejection>(Response::new(body())) });
    layer.layer(inner).oneshot(Request::new(())).await.expect("there is room")
}

#[tokio::test(start_paused = true)]
async fn the_permit_is_held_to_the_end_of_the_body() {
    let layer = ConcurrencyLimitLayer::http(2);
    let in_flight = || layer.handle().stats().in_flight;
    let mut body = get(&layer, || two_frames(false)).await.into_body();
    assert_eq!(in_flight(), 1);
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
    assert_eq!(in_flight(), 1);
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "b");
    assert!(body.frame().await.is_none());
    assert_eq!(in_flight(), 0, "it has ended, and is still alive");
    drop(body);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_or_is_dropped_gives_the_permit_back() {
    let layer = ConcurrencyLimitLayer::http(2);
    let in_flight = || layer.handle().stats().in_flight;
    let mut fails = get(&layer, || two_frames(true)).await.into_body();
    let dropped = get(&layer, || two_frames(false)).await;
    assert_eq!(in_flight(), 2);
    fails.frame().await.unwrap().unwrap();
    fails.frame().await.unwrap().unwrap_err();
    assert_eq!(in_flight(), 1, "it has failed, and is still alive");
    drop(dropped);
    assert_eq!(in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_ended_before_it_began_gives_the_permit_back_at_once() {
    let layer = ConcurrencyLimitLayer::http(1);
    let empty = get(&layer, || Empty::new().map_err(|never| match never {}).boxed_unsync()).await;
    assert_eq!(layer.handle().stats().in_flight, 0);
    let full = get(&layer, || Full::new(Bytes::from("x")).map_err(|never| match never {}).boxed_unsync()).await;
    assert_eq!(layer.handle().stats().in_flight, 1);
    drop((empty, full));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_streams_makes_the_next_call_wait() {
    let layer = ConcurrencyLimitLayer::http(1).max_wait(std::time::Duration::MAX);
    let mut streams = get(&layer, || two_frames(false)).await.into_body();
    let mut waits = tokio_test::task::spawn(get(&layer, || two_frames(false)));
    tokio_test::assert_pending!(waits.poll());
    while let Some(frame) = streams.frame().await {
        frame.unwrap();
    }
    assert!(waits.is_woken());
    tokio_test::assert_ready!(waits.poll());
}

#[tokio::test(start_paused = true)]
async fn the_permit_may_be_given_back_with_the_head() {
    let layer = ConcurrencyLimitLayer::http(1).release_on(ReleaseOn::Head);
    let response = get(&layer, || two_frames(false)).await;
    assert_eq!(layer.handle().stats().in_flight, 0);
    let layers = [layer, ConcurrencyLimitLayer::http(1), ConcurrencyLimitLayer::http(1).bypass()];
    assert_eq!(layers.len(), 3, "one type, whatever the settings");
    drop(response);
}

#[tokio::test(start_paused = true)]
async fn an_error_has_no_body_to_wait_for() {
    let layer = ConcurrencyLimitLayer::http(1);
    let inner = service_fn(|_: Request<()>| async {
        Err::<Response<Body>, _>(Rejection::new(donjon_core::RejectionKind::NoEndpoint, "test"))
    });
    let mut call = tokio_test::task::spawn(layer.layer(inner).oneshot(Request::new(())));
    tokio_test::assert_ready_err!(call.poll());
    assert_eq!(layer.handle().stats().in_flight, 0);
}
