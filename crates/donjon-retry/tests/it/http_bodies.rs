//! The ready-made HTTP form and bodies: what becomes of a failed response, and of a request's body that streams.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use donjon_core::{CallError, Deadline};
use donjon_http::{CollectLayer, Idempotent, ReplayBody, ReplayLayer};
use donjon_retry::{Backoff, Http, Jitter, NoRetry, RetryInfo, RetryLayer};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A body that gives `chunks` chunks of 1 KiB and then ends as told; it notes what was read of it and when it was dropped.
#[derive(Debug)]
struct Scripted {
    chunks: usize,
    end: End,
    announced: u64,
    log: Arc<Log>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Eof,
    Never,
    Broken,
}

#[derive(Debug, Default)]
struct Log {
    read: AtomicUsize,
    dropped: Mutex<Option<Instant>>,
}

impl Scripted {
    fn new(chunks: usize, end: End, log: &Arc<Log>) -> Self {
        Self { chunks, end, announced: 0, log: Arc::clone(log) }
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.chunks > 0 {
            self.chunks -= 1;
            self.log.read.fetch_add(1024, Ordering::Relaxed);
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 1024])))));
        }
        match self.end {
            End::Eof => Poll::Ready(None),
            End::Never => Poll::Pending,
            End::Broken => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.announced);
        hint
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        *self.log.dropped.lock().unwrap() = Some(Instant::now());
    }
}

/// Sends once with a first answer of 503 and this body, then a 200: bytes read of the first, when it was dropped, and
/// when the second attempt came.
async fn failed_with(layer: RetryLayer<Http>, body: impl FnOnce(&Arc<Log>) -> Scripted) -> (usize, Duration, Duration) {
    let began = Instant::now();
    let log = Arc::new(Log::default());
    let first = Arc::new(Mutex::new(Some(body(&log))));
    let second = Arc::new(Mutex::new(None));
    let arrived = Arc::clone(&second);
    let upstream = service_fn(move |_: Request<Empty<Bytes>>| {
        let response = match first.lock().unwrap().take() {
            Some(body) => Response::builder().status(503).body(body).unwrap(),
            None => {
                *arrived.lock().unwrap() = Some(began.elapsed());
                Response::new(Scripted::new(0, End::Eof, &Arc::default()))
            }
        };
        async { Ok::<_, CallError>(response) }
    });
    layer.layer(upstream).oneshot(Request::new(Empty::new())).await.unwrap();
    let dropped = log.dropped.lock().unwrap().expect("it was dropped") - began;
    let second = second.lock().unwrap().expect("the second attempt was made");
    (log.read.load(Ordering::Relaxed), dropped, second)
}

fn waiting(wait: Duration) -> RetryLayer<Http> {
    RetryLayer::http().backoff(Backoff::constant(wait).jitter(Jitter::None))
}

#[tokio::test(start_paused = true)]
async fn a_failed_response_is_read_to_its_end_and_dropped_before_the_wait() {
    let seen = failed_with(waiting(MS(1000)), |log| Scripted::new(3, End::Eof, log)).await;
    assert_eq!(seen, (3072, MS(0), MS(1000)));
}

#[tokio::test(start_paused = true)]
async fn no_more_of_a_failed_response_is_read_than_64_kib() {
    let (read, dropped, second) = failed_with(waiting(MS(1000)), |log| Scripted::new(1 << 40, End::Eof, log)).await;
    assert_eq!((read, dropped, second), (64 * 1024, MS(0), MS(1000)));
}

#[tokio::test(start_paused = true)]
async fn a_failed_response_is_not_read_for_longer_than_50_ms_and_the_wait_counts_from_the_failure() {
    let seen = failed_with(waiting(MS(1000)), |log| Scripted::new(2, End::Never, log)).await;
    // Tokio's timers are good to a millisecond.
    assert_eq!(seen, (2048, MS(50), MS(1000)));
    let seen = failed_with(waiting(MS(0)), |log| Scripted::new(2, End::Never, log)).await;
    assert_eq!(seen, (2048, MS(50), MS(50)));
}

#[tokio::test(start_paused = true)]
async fn reading_a_failed_response_leaves_time_for_the_retry() {
    let call = failed_with(waiting(MS(5)), |log| Scripted::new(2, End::Never, log));
    let seen = Deadline::after(MS(20)).scope(call).await;
    assert_eq!(seen, (2048, MS(10), MS(10)), "half of what is left");
}

#[tokio::test(start_paused = true)]
async fn dropped_while_the_failed_response_is_read_it_has_cost_nothing() {
    let layer = waiting(MS(5));
    let log = Arc::new(Log::default());
    let body = Arc::new(Mutex::new(Some(Scripted::new(1, End::Never, &log))));
    let upstream = service_fn(move |_: Request<Empty<Bytes>>| {
        let body = body.lock().unwrap().take().expect("there is no second attempt");
        async { Ok::<_, CallError>(Response::builder().status(503).body(body).unwrap()) }
    });
    let mut call = Box::pin(layer.layer(upstream).oneshot(Request::new(Empty::new())));
    tokio::time::timeout(MS(20), &mut call).await.expect_err("it reads");
    assert_eq!((layer.handle().budget().stats().tokens, layer.handle().stats().retrying), (23.0, 1));
    drop(call);
    assert!(log.dropped.lock().unwrap().is_some());
    let stats = layer.handle().stats();
    assert_eq!((stats.retrying, stats.cancelled, stats.retries), (0, 1, 0));
    assert_eq!(layer.handle().budget().stats().tokens, 24.0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_response_that_breaks_is_retried_all_the_same() {
    assert_eq!(failed_with(waiting(MS(10)), |log| Scripted::new(1, End::Broken, log)).await, (1024, MS(0), MS(10)));
}

#[tokio::test(start_paused = true)]
async fn a_failed_response_that_announces_more_than_it_would_read_is_dropped_unread() {
    let body = |log: &Arc<Log>| {
        let mut body = Scripted::new(100, End::Eof, log);
        body.announced = 64 * 1024 + 1;
        body
    };
    assert_eq!(failed_with(waiting(MS(10)), body).await, (0, MS(0), MS(10)));
}

#[tokio::test(start_paused = true)]
async fn how_much_is_read_and_for_how_long_can_be_said() {
    let none = failed_with(waiting(MS(10)).drain(0, MS(50)), |log| Scripted::new(100, End::Eof, log)).await;
    assert_eq!(none, (0, MS(0), MS(10)));
    let brief = failed_with(waiting(MS(10)).drain(9000, MS(0)), |log| Scripted::new(2, End::Never, log)).await;
    assert_eq!((brief.0, brief.2), (2048, MS(10)));
}

/// A request of a body that streams.
fn streaming(chunks: usize, log: &Arc<Log>) -> Request<Scripted> {
    let mut req = Request::post("/").body(Scripted::new(chunks, End::Eof, log)).unwrap();
    req.extensions_mut().insert(Idempotent(true));
    req
}

type Lengths = Arc<Mutex<Vec<Result<usize, String>>>>;

/// Reads each request's body to its end, and answers 503 thrice.
async fn upload(cap: Option<usize>, chunks: usize) -> (Response<Full<Bytes>>, Vec<Result<usize, String>>, usize) {
    let lengths = Lengths::default();
    let seen = Arc::clone(&lengths);
    let stack = ServiceBuilder::new()
        .layer(cap.map_or_else(ReplayLayer::new, |cap| ReplayLayer::new().cap(cap)))
        .layer(waiting(MS(5)))
        .service_fn(move |req: Request<ReplayBody<Scripted>>| {
            let seen = Arc::clone(&seen);
            async move {
                let read = req.into_body().collect().await.map(|body| body.to_bytes().len());
                let mut seen = seen.lock().unwrap();
                seen.push(read.map_err(|error| error.to_string()));
                let status = if seen.len() <= 3 { 503 } else { 200 };
                Ok::<_, CallError>(Response::builder().status(status).body(Full::default()).unwrap())
            }
        });
    let log = Arc::new(Log::default());
    let response = stack.oneshot(streaming(chunks, &log)).await.unwrap();
    let lengths = lengths.lock().unwrap().clone();
    (response, lengths, log.read.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn a_body_that_streams_is_sent_again_in_full_and_read_once() {
    let (response, lengths, read) = upload(None, 60).await;
    assert_eq!(response.status(), 200);
    assert_eq!(lengths, [Ok(61440), Ok(61440), Ok(61440), Ok(61440)]);
    assert_eq!(read, 61440, "no byte twice");
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_cap_is_sent_once_and_the_reason_is_reported() {
    for cap in [None, Some(0)] {
        let (response, lengths, _) = upload(cap, 65).await;
        assert_eq!(response.status(), 503);
        assert_eq!(lengths, [Ok(66560)]);
        let info = response.extensions().get::<RetryInfo>().expect("it says how it went");
        assert_eq!((info.attempts, info.reason), (1, Some(NoRetry::NotReplayable("too-large"))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_truncated_body_is_retried_if_it_is_collected_inside() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let stack = ServiceBuilder::new().layer(waiting(MS(5))).layer(CollectLayer::new()).service_fn(
        move |_: Request<Empty<Bytes>>| {
            let end = if counted.fetch_add(1, Ordering::Relaxed) == 0 { End::Broken } else { End::Eof };
            async move { Ok::<_, CallError>(Response::new(Scripted::new(2, end, &Arc::default()))) }
        },
    );
    let response = stack.oneshot(Request::new(Empty::new())).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 2048);
}
