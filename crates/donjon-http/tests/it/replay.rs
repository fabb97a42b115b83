//! Copies of one body that are read one after the other, and the layer.

use std::io;

use bytes::{Buf, Bytes};
use donjon_core::{CallError, Fresh, Replay};
use donjon_http::{ReplayBody, ReplayLayer, replay::NotReplayable};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tower::{Layer, ServiceExt};

use crate::support::{Script, Step, data, trailers};

async fn all<B>(body: ReplayBody<B>) -> (Bytes, Option<HeaderMap>)
where
    B: Body,
    B::Error: Into<donjon_core::BoxError>,
{
    let whole = body.collect().await.unwrap();
    let trailers = whole.trailers().cloned();
    (whole.to_bytes(), trailers)
}

// ===== One after the other =====

#[tokio::test]
async fn each_copy_gets_all_data_and_the_trailers() {
    let body = ReplayBody::new(Script::new([data("a"), Step::Yield, data("bc"), Step::Trailers(trailers())]));
    let expected = (Bytes::from("abc"), Some(trailers()));
    for _ in 0..3 {
        assert_eq!(all(body.replay().unwrap()).await, expected);
    }
    assert!(body.is_intact());
    assert_eq!(all(body).await, expected);
}

#[tokio::test]
async fn nothing_is_read_ahead() {
    let script = Script::new([data("a"), data("b")]);
    let gate = script.gate();
    let body = ReplayBody::new(script);
    let mut copy = body.replay().unwrap();
    assert_eq!(gate.polls(), 0);
    copy.frame().await.unwrap().unwrap();
    assert_eq!(gate.polls(), 1);
    drop((body, copy));
    assert_eq!(gate.polls(), 1);
}

#[tokio::test]
async fn a_replay_goes_on_where_a_torn_attempt_has_stopped() {
    let script = Script::new([data("a"), data("b"), data("c"), Step::Trailers(trailers())]);
    let gate = script.gate();
    let body = ReplayBody::new(script);
    let mut first = body.replay().unwrap();
    first.frame().await.unwrap().unwrap();
    drop(first);
    assert_eq!(all(body).await, ("abc".into(), Some(trailers())));
    assert_eq!(gate.polls(), 4, "each frame was read once");
}

#[tokio::test]
async fn an_empty_body_is_always_replayable() {
    for body in [ReplayBody::with_cap(Full::new(Bytes::new()), 0), ReplayBody::default()] {
        let copy = body.replay().unwrap();
        assert!(copy.is_end_stream() && body.is_intact() && body.not_replayable().is_none());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(copy.collect().await.unwrap().to_bytes().is_empty());
    }
    assert!(ReplayBody::new(Empty::<Bytes>::new()).replay().is_some());
}

#[tokio::test]
async fn data_of_any_kind_is_recorded() {
    let stream = StreamBody::new(futures_util::stream::iter([
        Ok::<_, io::Error>(Frame::data(b"split ".chain(&b"in two"[..]))),
        Ok(Frame::data(b"".chain(&b""[..]))),
    ]));
    let body = ReplayBody::new(stream);
    assert_eq!(all(body.replay().unwrap()).await.0, "split in two");
    assert_eq!(all(body).await.0, "split in two");
}

// ===== The cap =====

#[tokio::test]
async fn a_body_of_exactly_the_cap_is_replayable_and_a_byte_more_is_not() {
    for (cap, replayable) in [(6, true), (5, false)] {
        let body = ReplayBody::with_cap(Script::new([data("abc"), data("def")]), cap);
        let first = body.replay().unwrap();
        assert_eq!(all(first).await.0, "abcdef", "it is sent in any case");
        assert_eq!(body.replay().is_some(), replayable);
        assert_eq!(body.is_intact(), replayable);
        assert_eq!(body.not_replayable(), (!replayable).then_some(NotReplayable::TooLarge));
    }
}

#[tokio::test]
async fn the_default_cap_is_64_kib() {
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    let body = ReplayBody::new(Script::new([Step::Data(chunk.clone())]));
    all(body.replay().unwrap()).await;
    assert!(body.is_intact());
    let body = ReplayBody::new(Script::new([Step::Data(chunk), data("x")]));
    all(body.replay().unwrap()).await;
    assert_eq!(body.not_replayable(), Some(NotReplayable::TooLarge));
}

#[tokio::test]
async fn trailers_count_towards_the_cap() {
    for (cap, replayable) in [(1 + "x-sum".len() + "7".len(), true), ("x-sum".len() + "7".len(), false)] {
        let body = ReplayBody::with_cap(Script::new([data("a"), Step::Trailers(trailers())]), cap);
        assert_eq!(all(body.replay().unwrap()).await, ("a".into(), Some(trailers())));
        assert_eq!(body.is_intact(), replayable);
    }
}

#[tokio::test]
async fn an_announced_size_over_the_cap_is_not_recorded_at_all() {
    let body = ReplayBody::with_cap(Full::new(Bytes::from_static(b"abcdef")), 5);
    assert!(body.replay().is_none());
    assert_eq!(body.not_replayable(), Some(NotReplayable::TooLarge));
    assert!(body.is_intact(), "it can be sent itself");
    assert_eq!(body.size_hint().exact(), Some(6));
    assert_eq!(all(body).await.0, "abcdef");
}

#[tokio::test]
async fn a_kept_copy_says_that_it_is_torn_and_fails_if_sent_all_the_same() {
    let body = ReplayBody::with_cap(Script::new([data("abc"), data("def")]), 4);
    all(body.replay().unwrap()).await;
    assert!(!body.is_intact());
    let error = body.collect().await.unwrap_err();
    assert_eq!(error.reason(), NotReplayable::TooLarge);
}

#[tokio::test]
async fn a_copy_that_was_begun_is_not_intact_and_a_new_one_is() {
    let mut body = ReplayBody::new(Script::new([data("abc"), data("def")]));
    let kept = body.replay().unwrap();
    assert!(body.is_intact() && kept.is_intact());
    body.frame().await.unwrap().unwrap();
    assert!(!body.is_intact(), "its beginning is gone");
    assert!(kept.is_intact() && body.replay().unwrap().is_intact());
}

#[tokio::test]
async fn a_body_in_very_many_pieces_is_not_kept() {
    for (pieces, replayable) in [(64 + 16, true), (64 + 17, false)] {
        let body = ReplayBody::with_cap(Script::new((0..pieces).map(|_| data("x"))), 1024);
        assert_eq!(all(body.replay().unwrap()).await.0.len(), pieces, "it is sent in any case");
        assert_eq!(body.not_replayable(), (!replayable).then_some(NotReplayable::TooLarge));
    }
    // Pieces without anything in them are not counted.
    let body = ReplayBody::with_cap(Script::new((0..1000).map(|_| data(""))), 10);
    all(body.replay().unwrap()).await;
    assert!(body.is_intact());
}

#[tokio::test]
async fn a_copy_that_is_alone_is_not_recorded() {
    let chunk = Bytes::from(vec![b'x'; 100]);
    let mut body = ReplayBody::with_cap(Script::new([Step::Data(chunk.clone()), Step::Data(chunk)]), 150);
    body.frame().await.unwrap().unwrap();
    assert_eq!(body.not_replayable(), Some(NotReplayable::Consumed));
    assert!(body.replay().is_none(), "what it has read is gone");
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 100);
}

#[tokio::test]
async fn the_last_attempt_reads_on_past_the_cap() {
    let body = ReplayBody::with_cap(Script::new([data("abc"), data("def"), data("ghi")]), 4);
    let mut first = body.replay().unwrap();
    first.frame().await.unwrap().unwrap();
    drop(first);
    assert!(body.is_intact());
    assert_eq!(all(body).await.0, "abcdefghi");
}

// ===== What transports look at =====

#[tokio::test]
async fn the_size_is_what_this_copy_has_left() {
    let body = ReplayBody::new(Full::new(Bytes::from_static(b"hello")));
    let mut first = body.replay().unwrap();
    assert_eq!(first.size_hint().exact(), Some(5));
    assert!(!first.is_end_stream());
    first.frame().await.unwrap().unwrap();
    assert_eq!(first.size_hint().exact(), Some(0));
    assert!(first.is_end_stream(), "a transport may stop here");
    assert_eq!(body.size_hint().exact(), Some(5), "all of it, now from the recording");
    assert!(!body.is_end_stream());

    let mut hint = SizeHint::new();
    hint.set_lower(2);
    hint.set_upper(9);
    let body = ReplayBody::new(Script::new([data("ab")]).hint(hint));
    assert_eq!((body.size_hint().lower(), body.size_hint().upper()), (2, Some(9)));
}

// ===== The layer =====

#[tokio::test]
async fn an_early_response_does_not_tear_or_double_the_next_attempt() {
    // The first attempt is answered after one chunk, and its connection goes on reading the body while the second
    // attempt, with the last copy, is being sent.
    let script = Script::new([data("1"), Step::Yield, data("2"), Step::Yield, data("3"), Step::Trailers(trailers())]);
    let request = Request::post("/").body(script).unwrap();
    let service = ReplayLayer::new().layer(tower::service_fn(async |request: Request<ReplayBody<Script>>| {
        let mut first = request.replay().unwrap().into_body();
        first.frame().await.unwrap().unwrap();
        let connection = tokio::spawn(first.collect());
        let second = request.into_body().collect().await.unwrap();
        assert_eq!(second.trailers(), Some(&trailers()));
        assert_eq!(second.to_bytes(), "123");
        let rest = connection.await.unwrap().unwrap();
        assert_eq!(rest.trailers(), Some(&trailers()));
        assert_eq!(rest.to_bytes(), "23");
        Ok::<_, CallError>(Response::new(()))
    }));
    service.oneshot(request).await.unwrap();
}

#[tokio::test]
async fn the_reason_is_counted() {
    let layer = ReplayLayer::new().cap(4);
    let send_twice = |body: Script| {
        layer
            .clone()
            .layer(tower::service_fn(async |request: Request<ReplayBody<Script>>| {
                if let Some(copy) = request.replay() {
                    let _ = copy.into_body().collect().await;
                }
                let _ = request.into_body().collect().await;
                Ok::<_, CallError>(Response::new(()))
            }))
            .oneshot(Request::new(body))
    };
    send_twice(Script::new([data("1234")])).await.unwrap();
    send_twice(Script::new([data("123"), data("45")])).await.unwrap();
    send_twice(Script::new([data("123"), data("45")]).hint(SizeHint::with_exact(5))).await.unwrap();
    send_twice(Script::new([data("1"), Step::Fail])).await.unwrap();
    let stats = layer.handle().stats();
    assert_eq!((stats.copies, stats.too_large, stats.source_failed), (3, 2, 1));
    assert_eq!(layer.fresh().handle().stats(), Default::default());
}

#[tokio::test]
async fn bypass_keeps_nothing() {
    let layer = ReplayLayer::new().bypass();
    let service = layer.layer(tower::service_fn(async |request: Request<ReplayBody<Full<Bytes>>>| {
        assert!(request.replay().is_none());
        Ok::<_, CallError>(Response::new(request.into_body().collect().await?.to_bytes()))
    }));
    let response = service.oneshot(Request::new(Full::new(Bytes::from("hello")))).await.unwrap();
    assert_eq!(response.into_body(), "hello");
}

#[tokio::test]
async fn spawned_and_concrete() {
    let service = ReplayLayer::new().layer(tower::service_fn(async |request: Request<ReplayBody<Script>>| {
        Ok::<_, CallError>(Response::new(request.into_body().collect().await?.to_bytes()))
    }));
    let call = tokio::spawn(async move { service.oneshot(Request::new(Script::new([data("x")]))).await });
    assert_eq!(call.await.unwrap().unwrap().into_body(), "x");
}

#[test]
fn bounds_follow_the_body() {
    fn send_sync<T: Send + Sync>() {}
    fn unpin<T: Unpin>() {}
    /// `Send`, not `Sync`.
    type Cell = std::cell::Cell<u8>;
    send_sync::<ReplayBody<Cell>>();
    unpin::<ReplayBody<std::marker::PhantomPinned>>();
    send_sync::<ReplayLayer>();
}
