//! The silence of bodies.

use std::{convert::Infallible, pin::pin, time::Duration};

use donjon_core::{CallError, Phase, RejectionKind};
use donjon_timeout::{IdleBody, IdleTimeoutLayer, RequestIdleTimeoutLayer};
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    Alive,
    body::{Script, Step},
    millis, refusal, secs,
};

const SILENT: (RejectionKind, Phase) = (RejectionKind::AttemptTimeout, Phase::Body);

/// The body of an answer through the layer.
async fn through(layer: &IdleTimeoutLayer, body: Script) -> IdleBody<Script> {
    let mut body = Some(body);
    let inner = tower::util::service_fn(move |()| {
        std::future::ready(Ok::<_, Infallible>(Response::new(body.take().expect("once"))))
    });
    layer.layer(inner).oneshot(()).await.expect("the head").into_body()
}

async fn read(body: IdleBody<Script>) -> (usize, Option<CallError>) {
    let mut body = pin!(body);
    let mut frames = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(_) => frames += 1,
            Err(error) => {
                assert!(body.frame().await.is_none() && body.is_end_stream());
                return (frames, Some(error));
            }
        }
    }
    (frames, None)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_falls_silent_is_cut() {
    let layer = IdleTimeoutLayer::new(secs(2));
    let start = Instant::now();
    let steps = [Step::Data("a"), Step::Wait(secs(1)), Step::Data("b"), Step::Hang];
    let (frames, error) = read(through(&layer, Script::new(steps)).await).await;
    let error = error.expect("it hangs");
    assert_eq!((frames, refusal(&error)), (2, SILENT));
    assert_eq!(error.to_string(), "idle-timeout refused the call: attempt-timeout (body)");
    assert_eq!(start.elapsed(), secs(3));
    assert_eq!((layer.handle().stats().body, layer.handle().stats().total()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_first_frame_is_waited_for_no_longer() {
    let start = Instant::now();
    let (frames, error) = read(through(&IdleTimeoutLayer::new(secs(2)), Script::new([Step::Hang])).await).await;
    assert_eq!((frames, refusal(&error.expect("it hangs")), start.elapsed()), (0, SILENT, secs(2)));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_goes_on_may_go_on_for_ever() {
    let steps = (0..500).flat_map(|_| [Step::Wait(millis(1900)), Step::Data("x")]);
    let (frames, error) = read(through(&IdleTimeoutLayer::new(secs(2)), Script::new(steps)).await).await;
    assert!(frames == 500 && error.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_held_against_the_peer() {
    let steps = [Step::Data("a"), Step::Data("b"), Step::Wait(secs(1)), Step::Data("c")];
    let mut body = pin!(through(&IdleTimeoutLayer::new(secs(2)), Script::new(steps)).await);
    for _ in 0..3 {
        sleep(secs(60)).await;
        assert!(body.frame().await.expect("more").is_ok());
    }
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn zero_takes_only_what_is_there() {
    let layer = IdleTimeoutLayer::new(Duration::ZERO);
    let (frames, error) = read(through(&layer, Script::new([Step::Data("a"), Step::Data("b")])).await).await;
    assert!(frames == 2 && error.is_none());
    let (frames, error) = read(through(&layer, Script::new([Step::Data("a"), Step::Wait(millis(1))])).await).await;
    assert_eq!((frames, refusal(&error.expect("nothing was there"))), (1, SILENT));
}

#[tokio::test(start_paused = true)]
async fn never_is_never() {
    let steps = [Step::Wait(secs(1_000_000)), Step::Data("x")];
    let (frames, error) = read(through(&IdleTimeoutLayer::new(Duration::MAX), Script::new(steps)).await).await;
    assert!(frames == 1 && error.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_inner_body_is_dropped_when_it_is_given_up_and_when_it_ends() {
    for steps in [vec![Step::Hang], vec![Step::Data("x"), Step::Wait(millis(1))], vec![Step::Fail("reset")]] {
        let alive = Alive::default();
        let mut body = Script::new(steps);
        body.token = Some(alive.token());
        let mut body = pin!(through(&IdleTimeoutLayer::new(secs(2)), body).await);
        while body.frame().await.is_some_and(|frame| frame.is_ok()) {}
        assert_eq!(alive.count(), 0);
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_body_stays_what_it_is() {
    let (_, error) = read(through(&IdleTimeoutLayer::new(secs(2)), Script::new([Step::Fail("reset")])).await).await;
    assert_eq!(error.expect("it fails").downcast_ref::<std::io::Error>().expect("as it was").to_string(), "reset");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_falls_silent_is_cut_too() {
    let layer = RequestIdleTimeoutLayer::new(secs(2));
    let handler = service_fn(|req: Request<IdleBody<Script>>| async move {
        Ok::<_, Infallible>(req.into_body().collect().await.map(|body| body.to_bytes()))
    });
    let service = layer.layer(handler);

    let whole = Script::new([Step::Data("a"), Step::Wait(secs(1)), Step::Data("b")]);
    assert_eq!(service.clone().oneshot(Request::new(whole)).await.expect("it answers").expect("it is whole"), "ab");

    let start = Instant::now();
    let silent = Script::new([Step::Data("a"), Step::Hang]);
    let error = service.oneshot(Request::new(silent)).await.expect("it answers").expect_err("it falls silent");
    assert_eq!((refusal(&error), start.elapsed()), (SILENT, secs(2)));
    assert_eq!(layer.handle().stats().body, 1);
}
