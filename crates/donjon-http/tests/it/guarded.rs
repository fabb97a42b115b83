use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use donjon_http::GuardedBody;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, StreamBody};

/// Plays its steps; says that it has ended only by `None`, as a chunked body does.
struct Script(VecDeque<Poll<Result<Frame<Bytes>, io::Error>>>);

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(Poll::Ready(frame)) => Poll::Ready(Some(frame)),
            Some(Poll::Pending) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

fn data(text: &'static str) -> Poll<Result<Frame<Bytes>, io::Error>> {
    Poll::Ready(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
}

fn held(permit: &Arc<()>) -> bool {
    Arc::strong_count(permit) == 2
}

#[tokio::test]
async fn the_guard_is_held_through_trailers_to_the_end_of_the_stream() {
    let permit = Arc::new(());
    let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("x"))]);
    let steps =
        VecDeque::from([data("a"), Poll::Pending, data("b"), Poll::Ready(Ok(Frame::trailers(trailers.clone())))]);
    let mut body = GuardedBody::new(Script(steps), Arc::clone(&permit));
    for expected in ["a", "b"] {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), expected);
        assert!(held(&permit));
    }
    assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    assert!(held(&permit));
    assert!(body.frame().await.is_none());
    assert!(!held(&permit), "released while the body is still alive");
    drop(body);
}

#[tokio::test]
async fn the_last_frame_of_a_body_that_knows_its_end_releases() {
    let permit = Arc::new(());
    let mut body = GuardedBody::new(Full::new(Bytes::from_static(b"x")), Arc::clone(&permit));
    assert!(held(&permit));
    assert_eq!(body.size_hint().exact(), Some(1));
    body.frame().await.unwrap().unwrap();
    assert!(!held(&permit));
    assert!(body.is_end_stream());
}

#[test]
fn a_body_without_anything_to_read_releases_at_once() {
    let permit = Arc::new(());
    let body = GuardedBody::new(Empty::<Bytes>::new(), Arc::clone(&permit));
    assert!(!held(&permit) && body.guard().is_none());
    let body = GuardedBody::new(Full::new(Bytes::new()), Arc::clone(&permit));
    assert!(!held(&permit) && body.guard().is_none());
}

#[tokio::test]
async fn an_error_releases() {
    let permit = Arc::new(());
    let steps = VecDeque::from([data("a"), Poll::Ready(Err(io::Error::other("broken")))]);
    let mut body = GuardedBody::new(Script(steps), Arc::clone(&permit));
    body.frame().await.unwrap().unwrap();
    assert!(held(&permit));
    body.frame().await.unwrap().unwrap_err();
    assert!(!held(&permit));
}

#[tokio::test]
async fn dropping_the_body_releases_at_any_point() {
    for read in 0..3 {
        let permit = Arc::new(());
        let mut body = GuardedBody::new(Script([data("a"), data("b"), data("c")].into()), Arc::clone(&permit));
        for _ in 0..read {
            body.frame().await.unwrap().unwrap();
        }
        assert!(held(&permit));
        drop(body);
        assert!(!held(&permit));
    }
}

struct Panics;

impl Body for Panics {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        panic!("planned");
    }
}

#[tokio::test]
async fn a_panic_of_the_body_releases_with_the_body() {
    let permit = Arc::new(());
    let body = GuardedBody::new(Panics, Arc::clone(&permit));
    assert!(tokio::spawn(body.collect()).await.unwrap_err().is_panic());
    assert!(!held(&permit));
}

#[test]
fn hints_pass_through_and_unguarded_holds_nothing() {
    let body = GuardedBody::<_, Arc<()>>::unguarded(Full::new(Bytes::from_static(b"four")));
    assert_eq!(body.size_hint().exact(), Some(4));
    assert!(body.guard().is_none());
    let (inner, guard) = body.into_parts();
    assert_eq!(SizeHint::exact(&inner.size_hint()), Some(4));
    assert!(guard.is_none());
}

#[test]
fn bounds_follow_body_and_guard() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    fn unpin<T: Unpin>() {}
    send::<GuardedBody<Full<Bytes>, Arc<()>>>();
    sync::<GuardedBody<Full<Bytes>, Arc<()>>>();
    unpin::<GuardedBody<Full<Bytes>, Arc<()>>>();
    // A stream of any kind, not Unpin, is as good a body.
    let stream = StreamBody::new(futures_util::stream::once(async { Ok::<_, io::Error>(Frame::data(Bytes::new())) }));
    let _ = GuardedBody::new(stream, ());
}

#[test]
fn a_panic_of_the_body_releases_though_the_body_stays_alive() {
    let permit = Arc::new(());
    let mut body = GuardedBody::new(Panics, Arc::clone(&permit));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let poll = AssertUnwindSafe(|| Pin::new(&mut body).poll_frame(&mut cx).is_ready());
    assert!(catch_unwind(poll).is_err());
    assert!(!held(&permit));
    drop(body);
}
