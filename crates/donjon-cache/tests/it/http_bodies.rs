//! Bodies: captured up to the cap, streamed beyond it, and never half of one stored.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use donjon_cache::CacheLayer;
use donjon_core::CallError;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use tokio::{sync::mpsc, time::advance};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::secs;

type Frames = mpsc::UnboundedReceiver<Result<Frame<Bytes>, CallError>>;

/// A body whose frames are sent by the test, and that counts itself.
struct Stream {
    frames: Frames,
    alive: Arc<AtomicUsize>,
}

impl Stream {
    fn new(frames: Frames, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Relaxed);
        Self { frames, alive: Arc::clone(alive) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Relaxed);
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        self.frames.poll_recv(cx)
    }
}

type Senders = Arc<Mutex<VecDeque<Sender>>>;
type Sender = mpsc::UnboundedSender<Result<Frame<Bytes>, CallError>>;

fn data(text: &'static str) -> Result<Frame<Bytes>, CallError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// An upstream whose answers stream; and the senders of their frames, in order.
fn streaming(
    fields: &'static [(&'static str, &'static str)],
) -> (
    impl Service<Request<Empty<Bytes>>, Response = Response<Stream>, Error = CallError, Future: Send> + Clone + Send,
    Senders,
    Arc<AtomicUsize>,
) {
    let senders = Arc::new(Mutex::new(VecDeque::new()));
    let alive = Arc::new(AtomicUsize::new(0));
    let (all, count) = (Arc::clone(&senders), Arc::clone(&alive));
    let service = service_fn(move |_: Request<Empty<Bytes>>| {
        let (sender, frames) = mpsc::unbounded_channel();
        all.lock().unwrap().push_back(sender);
        let mut response = Response::builder();
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let response = response.body(Stream::new(frames, &count)).unwrap();
        async move { Ok::<_, CallError>(response) }
    });
    (service, senders, alive)
}

fn get() -> Request<Empty<Bytes>> {
    Request::get("http://a.test/x").body(Empty::new()).unwrap()
}

macro_rules! next {
    ($senders:expr) => {
        $senders.lock().unwrap().pop_front().expect("a call was made")
    };
}

#[tokio::test(start_paused = true)]
async fn a_body_under_the_cap_is_stored_whole_with_its_trailers() {
    let cache = CacheLayer::http();
    let (upstream, senders, alive) = streaming(&[]);
    let service = cache.layer(upstream);
    let mut call = task::spawn(service.clone().oneshot(get()));
    assert_pending!(call.poll());
    let sender = next!(senders);
    sender.send(data("hel")).unwrap();
    assert_pending!(call.poll());
    sender.send(data("lo")).unwrap();
    let trailers = HeaderMap::from_iter([(http::header::ETAG, "1".parse().unwrap())]);
    sender.send(Ok(Frame::trailers(trailers.clone()))).unwrap();
    let first = assert_ready_ok!(call.poll());
    assert_eq!(alive.load(Relaxed), 0, "nothing of the upstream is held");
    let second = service.oneshot(get()).await.unwrap();
    for response in [first, second] {
        assert!(response.body().is_whole());
        assert_eq!(response.body().size_hint().exact(), Some(5));
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "hello");
    }
    assert_eq!(cache.handle().stats().hits, 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_cap_streams_through_whole_and_is_not_stored() {
    let cache = CacheLayer::http().body_cap(6);
    let (upstream, senders, alive) = streaming(&[]);
    let service = cache.layer(upstream);
    let mut call = task::spawn(service.clone().oneshot(get()));
    assert_pending!(call.poll());
    let sender = next!(senders);
    sender.send(data("hello ")).unwrap();
    assert_pending!(call.poll());
    sender.send(data("world")).unwrap();
    let mut body = assert_ready_ok!(call.poll()).into_body();
    assert!(!body.is_whole());
    let mut frame = || task::spawn(body.frame()).poll().map(|frame| frame.map(|it| it.unwrap().into_data().ok()));
    // What was captured comes first, then the rest as it comes.
    assert_eq!(frame(), Poll::Ready(Some(Some("hello ".into()))));
    assert_eq!(frame(), Poll::Ready(Some(Some("world".into()))));
    assert_eq!(frame(), Poll::Pending);
    for _ in 0..50 {
        sender.send(data("more")).unwrap();
        assert_eq!(frame(), Poll::Ready(Some(Some("more".into()))));
    }
    sender.send(Ok(Frame::trailers(HeaderMap::new()))).unwrap();
    assert_eq!(frame(), Poll::Ready(Some(None)), "the trailers");
    drop(sender);
    assert_eq!(frame(), Poll::Ready(None));
    drop(body);
    let stats = cache.handle().stats();
    assert_eq!((stats.stored, stats.unstored, alive.load(Relaxed)), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_announces_too_much_or_never_ends_streams_at_once() {
    let fields: [&'static [(&'static str, &'static str)]; 4] = [
        &[("content-length", "7")],
        &[("content-type", "text/event-stream; charset=utf-8")],
        &[("content-type", "application/grpc")],
        &[("set-cookie", "a=b")],
    ];
    for fields in fields {
        let cache = CacheLayer::http().body_cap(6);
        let (upstream, senders, _) = streaming(fields);
        let service = cache.layer(upstream);
        let response = assert_ready_ok!(task::spawn(service.clone().oneshot(get())).poll(), "{fields:?}");
        assert_eq!(response.headers().len(), 1);
        let sender = next!(senders);
        for _ in 0..3 {
            sender.send(data("more")).unwrap();
        }
        drop(sender);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "moremoremore");
        assert_eq!(cache.handle().store().stats().entries, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_waited_for_a_body_over_the_cap_make_a_call_each() {
    let cache = CacheLayer::http().body_cap(1);
    let (upstream, senders, _) = streaming(&[]);
    let service = cache.layer(upstream);
    let mut calls: Vec<_> = (0..3).map(|_| task::spawn(service.clone().oneshot(get()))).collect();
    calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
    next!(senders).send(data("hello")).unwrap();
    for call in &mut calls {
        let response = assert_ready_ok!(call.poll());
        drop(response);
    }
    assert_eq!(senders.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_in_mid_body_spoils_nothing() {
    let cache = CacheLayer::http();
    let (upstream, senders, alive) = streaming(&[]);
    let service = cache.layer(upstream);
    // Alone: nothing of it is left, and the next one starts anew.
    let mut call = task::spawn(service.clone().oneshot(get()));
    assert_pending!(call.poll());
    let sender = next!(senders);
    sender.send(data("hel")).unwrap();
    assert_pending!(call.poll());
    drop(call);
    assert_eq!((alive.load(Relaxed), cache.handle().store().stats().entries), (0, 0));
    // With others: they get the same body, all of it.
    let mut calls: Vec<_> = (0..3).map(|_| task::spawn(service.clone().oneshot(get()))).collect();
    calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
    let sender = next!(senders);
    sender.send(data("hel")).unwrap();
    assert_pending!(calls[0].poll());
    drop(calls.remove(0));
    sender.send(data("lo")).unwrap();
    drop(sender);
    for call in &mut calls {
        assert!(call.is_woken());
        let response = assert_ready_ok!(call.poll());
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    }
    // One that leaves with the head in its hands: the body is whole already.
    drop(assert_ready_ok!(task::spawn(service.clone().oneshot(get())).poll()));
    let again = assert_ready_ok!(task::spawn(service.clone().oneshot(get())).poll());
    assert_eq!(again.into_body().collect().await.unwrap().to_bytes(), "hello");
    assert!(senders.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_handed_on_up_to_there_and_not_stored() {
    let cache = CacheLayer::http();
    let (upstream, senders, _) = streaming(&[]);
    let service = cache.layer(upstream);
    let mut call = task::spawn(service.clone().oneshot(get()));
    assert_pending!(call.poll());
    let sender = next!(senders);
    sender.send(data("hel")).unwrap();
    sender.send(Err(CallError::new("reset"))).unwrap();
    let mut body = assert_ready_ok!(call.poll()).into_body();
    assert!(!body.is_end_stream());
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hel");
    assert_eq!(body.frame().await.unwrap().unwrap_err().to_string(), "reset");
    assert!(body.frame().await.is_none());
    assert_eq!(cache.handle().store().stats().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_a_failure_that_a_stale_answer_is_better_than() {
    let cache = CacheLayer::http().ttl(secs(10)).stale_if_error(secs(60));
    let (upstream, senders, _) = streaming(&[]);
    let service = cache.layer(upstream);
    let mut call = task::spawn(service.clone().oneshot(get()));
    assert_pending!(call.poll());
    next!(senders).send(data("hello")).unwrap();
    assert_ready_ok!(call.poll());
    advance(secs(10)).await;
    let mut call = task::spawn(service.clone().oneshot(get()));
    assert_pending!(call.poll());
    let sender = next!(senders);
    sender.send(data("hel")).unwrap();
    sender.send(Err(CallError::new("reset"))).unwrap();
    let response = assert_ready_ok!(call.poll());
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    assert_eq!(cache.handle().stats().rescued, 1);
}

/// What is stored keeps no larger buffer alive.
#[tokio::test(start_paused = true)]
async fn what_is_stored_has_memory_of_its_own() {
    let buffer = Bytes::from(vec![b'x'; 1 << 20]);
    let piece = buffer.slice(..5);
    let cache = CacheLayer::http();
    let service = cache.layer(service_fn(move |_: Request<Empty<Bytes>>| {
        let response = Response::new(http_body_util::Full::new(piece.clone()));
        async move { Ok::<_, CallError>(response) }
    }));
    let hit = {
        service.clone().oneshot(get()).await.unwrap();
        service.clone().oneshot(get()).await.unwrap()
    };
    drop(service);
    let body = hit.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "xxxxx");
    assert!(buffer.is_unique(), "nobody else holds the buffer");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_call_is_handed_on() {
    let service = CacheLayer::http().layer(service_fn(|_: Request<Empty<Bytes>>| async {
        Err::<Response<Empty<Bytes>>, _>(CallError::new("refused"))
    }));
    let error = assert_ready!(task::spawn(service.oneshot(get())).poll()).unwrap_err();
    assert_eq!(error.to_string(), "refused");
}
