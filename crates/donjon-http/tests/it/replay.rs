use std::{
    error::Error,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
};

use bytes::{Buf, Bytes};
use donjon_core::{CallError, Fresh, Replay};
use donjon_http::{
    ReplayBody, ReplayLayer,
    replay::{NotReplayable, ReplayError},
};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use proptest::prelude::*;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, ServiceExt};

use crate::support::{Gate, Script, Step, data, trailers};

type Spawned<B> = task::Spawn<ReplayBody<B>>;

fn poll<B>(body: &mut Spawned<B>) -> Poll<Option<Result<Frame<Bytes>, ReplayError>>>
where
    B: Body,
    B::Error: Into<donjon_core::BoxError>,
{
    body.enter(|cx, body| body.poll_frame(cx))
}

fn next<B>(body: &mut Spawned<B>) -> Bytes
where
    B: Body,
    B::Error: Into<donjon_core::BoxError>,
{
    assert_ready!(poll(body)).unwrap().unwrap().into_data().unwrap()
}

fn failure<B>(body: &mut Spawned<B>) -> NotReplayable
where
    B: Body,
    B::Error: Into<donjon_core::BoxError>,
{
    assert_ready!(poll(body)).unwrap().unwrap_err().reason()
}

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
    let mut body = task::spawn(ReplayBody::with_cap(Script::new([Step::Data(chunk.clone()), Step::Data(chunk)]), 150));
    next(&mut body);
    assert_eq!(body.not_replayable(), Some(NotReplayable::Consumed));
    assert!(body.replay().is_none(), "what it has read is gone");
    assert_eq!(next(&mut body).len(), 100);
    assert!(assert_ready!(poll(&mut body)).is_none());
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

// ===== Two readers at once =====

fn two(steps: impl IntoIterator<Item = Step>, cap: usize) -> (Spawned<Script>, Spawned<Script>, Gate) {
    let script = Script::new(steps);
    let gate = script.gate();
    let first = ReplayBody::with_cap(script, cap);
    let second = first.replay().unwrap();
    (task::spawn(first), task::spawn(second), gate)
}

#[test]
fn two_readers_each_get_all_bytes_once() {
    let (mut a, mut b, gate) = two([data("1"), data("2"), data("3")], 100);
    assert_eq!(next(&mut a), "1");
    assert_eq!(next(&mut b), "1");
    assert_eq!(next(&mut b), "2");
    assert_eq!(next(&mut b), "3");
    assert_eq!(next(&mut a), "2");
    assert_eq!(next(&mut a), "3");
    assert!(assert_ready!(poll(&mut b)).is_none());
    assert!(assert_ready!(poll(&mut a)).is_none());
    assert_eq!(gate.polls(), 4);
}

#[test]
fn whoever_waits_is_woken_when_the_source_has_more() {
    let (mut a, mut b, gate) = two([Step::Wait, data("1")], 100);
    assert_pending!(poll(&mut a));
    assert_pending!(poll(&mut b));
    gate.open();
    assert!(a.is_woken() && b.is_woken(), "though the source knows one waker only");
    assert_eq!(next(&mut a), "1");
    assert_eq!(next(&mut b), "1");
}

#[test]
fn a_reader_that_leaves_while_it_was_polling_leaves_the_other_one_awake() {
    let (mut a, mut b, gate) = two([Step::Wait, data("1")], 100);
    assert_pending!(poll(&mut b));
    assert_pending!(poll(&mut a));
    drop(a);
    gate.open();
    assert!(b.is_woken());
    assert_eq!(next(&mut b), "1");
}

#[test]
fn a_reader_whose_peer_takes_no_more_does_not_hold_up_the_other_one() {
    let (mut a, mut b, gate) = two([data("1"), Step::Wait, data("2"), data("3")], 100);
    assert_eq!(next(&mut a), "1");
    assert_pending!(poll(&mut a));
    gate.open();
    // `a` is woken and does not come.
    assert_eq!(next(&mut b), "1");
    assert_eq!(next(&mut b), "2");
    assert_eq!(next(&mut b), "3");
    assert_eq!(next(&mut a), "2");
}

#[test]
fn at_the_cap_the_one_ahead_goes_on_and_the_other_one_fails() {
    let (mut a, mut b, gate) = two([data("12"), Step::Wait, data("34"), data("56")], 3);
    assert_eq!(next(&mut a), "12");
    assert_eq!(next(&mut b), "12");
    assert_pending!(poll(&mut b));
    gate.open();
    assert_eq!(next(&mut a), "34");
    assert!(b.is_woken(), "to be told");
    assert_eq!(failure(&mut b), NotReplayable::TooLarge);
    assert!(assert_ready!(poll(&mut b)).is_none(), "nothing follows an error");
    assert_eq!(next(&mut a), "56");
    assert!(assert_ready!(poll(&mut a)).is_none());
}

#[test]
fn the_slower_one_fails_at_the_cap_though_it_has_something_to_read() {
    let (mut a, mut b, _) = two([data("1"), data("2"), data("3")], 2);
    for expected in ["1", "2", "3"] {
        assert_eq!(next(&mut a), expected);
    }
    assert_eq!(failure(&mut b), NotReplayable::TooLarge);
}

#[test]
fn when_the_owner_leaves_the_source_goes_with_it() {
    let held = Arc::new(());
    let stream = StreamBody::new(futures_util::stream::iter([Ok::<_, io::Error>(Frame::data(Bytes::from("12")))]));
    let first = ReplayBody::with_cap(donjon_http::GuardedBody::new(stream, Arc::clone(&held)), 1);
    let kept = first.replay().unwrap();
    let mut first = task::spawn(first);
    assert_eq!(next(&mut first), "12");
    assert_eq!(Arc::strong_count(&held), 2);
    drop(first);
    assert_eq!(Arc::strong_count(&held), 1, "no other copy could use it");
    assert!(!kept.is_intact());
    assert_eq!(failure(&mut task::spawn(kept)), NotReplayable::TooLarge);
}

#[test]
fn a_source_that_wakes_while_it_is_polled_loses_nobody() {
    let (mut a, mut b, _) = two([Step::Yield, data("1")], 100);
    assert_pending!(poll(&mut a));
    assert!(a.is_woken());
    assert_eq!(next(&mut b), "1");
    assert_eq!(next(&mut a), "1");
}

/// Pending once, then has one chunk; does something else in each poll.
struct Hook<F> {
    polls: u32,
    then: F,
}

impl<F: FnMut(&mut std::task::Context<'_>) + Unpin> Body for Hook<F> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.polls += 1;
        (self.then)(cx);
        if self.polls == 1 { Poll::Pending } else { Poll::Ready(Some(Ok(Frame::data(Bytes::from("1"))))) }
    }
}

#[test]
fn who_waits_hears_of_what_another_one_has_read_though_the_source_never_woke() {
    // It became ready between two polls, and owes nobody a wake: the second poll has taken what there was.
    let mut a = task::spawn(ReplayBody::new(Hook { polls: 0, then: |_: &mut std::task::Context<'_>| {} }));
    let mut b = task::spawn(a.replay().unwrap());
    assert_pending!(poll(&mut a));
    assert_eq!(next(&mut b), "1");
    assert!(a.is_woken());
    assert_eq!(next(&mut a), "1");
}

#[test]
fn who_comes_while_the_source_is_polled_and_has_woken_already_is_not_forgotten() {
    type Then = Box<dyn FnMut(&mut std::task::Context<'_>) + Send>;
    let other: Arc<Mutex<Option<Spawned<Hook<Then>>>>> = Arc::default();
    let late = Arc::clone(&other);
    let then: Then = Box::new(move |cx| {
        cx.waker().wake_by_ref();
        // As if from another thread: the source is busy, so this one has to wait.
        if let Some(late) = &mut *late.lock().unwrap() {
            assert_pending!(poll(late));
        }
    });
    let mut a = task::spawn(ReplayBody::new(Hook { polls: 0, then }));
    *other.lock().unwrap() = Some(task::spawn(a.replay().unwrap()));
    assert_pending!(poll(&mut a));
    // `a` was woken too, but need not come.
    let mut b = other.lock().unwrap().take().unwrap();
    assert!(b.is_woken());
    assert_eq!(next(&mut b), "1");
}

// ===== Faults =====

#[tokio::test]
async fn a_failed_source_fails_every_copy_with_its_cause_at_the_same_place() {
    let body = ReplayBody::new(Script::new([data("a"), Step::Fail]));
    let begun = body.replay().unwrap();
    for copy in [begun, body] {
        let mut copy = task::spawn(copy);
        assert_eq!(next(&mut copy), "a");
        let error = assert_ready!(poll(&mut copy)).unwrap().unwrap_err();
        assert_eq!(error.reason(), NotReplayable::SourceFailed);
        assert_eq!(error.source().unwrap().downcast_ref::<io::Error>().unwrap().to_string(), "planned");
        assert!(copy.replay().is_none() && !copy.is_intact());
        assert!(assert_ready!(poll(&mut copy)).is_none());
    }
}

#[test]
fn a_panic_of_the_source_fails_the_other_copies() {
    let (mut a, mut b, gate) = two([data("1"), Step::Wait, Step::Panic], 100);
    assert_eq!(next(&mut a), "1");
    assert_eq!(next(&mut b), "1");
    assert_pending!(poll(&mut b));
    gate.open();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut a)));
    assert!(panicked.is_err());
    assert!(b.is_woken());
    assert_eq!(failure(&mut b), NotReplayable::SourceFailed);
    assert_eq!(failure(&mut a), NotReplayable::SourceFailed);
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

#[test]
fn trailers_that_are_not_yet_read_are_not_the_end() {
    let (mut a, mut b, _) = two([data("1"), Step::Trailers(trailers())], 100);
    next(&mut a);
    assert_ready!(poll(&mut a)).unwrap().unwrap().into_trailers().unwrap();
    assert!(a.is_end_stream());
    next(&mut b);
    assert!(!b.is_end_stream());
    assert_eq!(assert_ready!(poll(&mut b)).unwrap().unwrap().into_trailers().unwrap(), trailers());
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

// ===== Any order of events =====

#[derive(Clone, Debug)]
enum Event {
    Poll(usize),
    Copy(usize),
    Drop(usize),
    Open,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..6usize).prop_map(|len| Step::Data(Bytes::from(vec![b'x'; len]))),
        1 => Just(Step::Yield),
        2 => Just(Step::Wait),
    ];
    let end = prop_oneof![
        3 => Just(vec![]),
        2 => Just(vec![Step::Trailers(trailers())]),
        1 => Just(vec![Step::Fail]),
    ];
    (prop::collection::vec(step, 0..12), end).prop_map(|(mut steps, end)| {
        // Each byte says where it stands, so that a doubled or lost one shows.
        let mut position = 0;
        for step in &mut steps {
            if let Step::Data(data) = step {
                *data = data
                    .iter()
                    .map(|_| {
                        position += 1;
                        position
                    })
                    .collect::<Vec<u8>>()
                    .into();
            }
        }
        steps.extend(end);
        steps
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (0..5usize).prop_map(Event::Poll),
        2 => (0..5usize).prop_map(Event::Copy),
        1 => (0..5usize).prop_map(Event::Drop),
        2 => Just(Event::Open),
    ];
    prop::collection::vec(event, 0..60)
}

struct Copy {
    body: Spawned<Script>,
    got: Vec<u8>,
    trailers: Option<HeaderMap>,
    end: Option<Result<(), NotReplayable>>,
    /// It was pending, and has not been woken since.
    waits: bool,
}

impl Copy {
    fn new(body: ReplayBody<Script>) -> Self {
        Self { body: task::spawn(body), got: Vec::new(), trailers: None, end: None, waits: false }
    }

    fn poll(&mut self) {
        self.waits = false;
        match poll(&mut self.body) {
            Poll::Pending => self.waits = true,
            Poll::Ready(None) => {
                self.end.get_or_insert(Ok(()));
            }
            Poll::Ready(Some(Err(error))) => {
                assert!(self.end.is_none(), "nothing follows the end");
                self.end = Some(Err(error.reason()));
            }
            Poll::Ready(Some(Ok(frame))) => {
                assert!(self.end.is_none() && self.trailers.is_none(), "nothing follows the end");
                match frame.into_data() {
                    Ok(data) => self.got.extend_from_slice(&data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn copies_get_the_same_bytes_whatever_happens(steps in steps(), events in events(), cap in 0..40usize) {
        let mut whole = Vec::new();
        let mut tail = None;
        let mut fails = false;
        for step in &steps {
            match step {
                Step::Data(data) => whole.extend_from_slice(data),
                Step::Trailers(trailers) => tail = Some(trailers.clone()),
                Step::Fail => fails = true,
                _ => {}
            }
        }
        let size = whole.len() + tail.as_ref().map_or(0, |_| "x-sum7".len());
        let script = Script::new(steps);
        let gate = script.gate();
        let mut copies = vec![Copy::new(ReplayBody::with_cap(script, cap))];
        for event in events {
            match event {
                Event::Poll(at) => if let Some(copy) = copies.get_mut(at) { copy.poll() },
                Event::Copy(at) => if let Some(copy) = copies.get(at) && let Some(body) = copy.body.replay() {
                    copies.push(Copy::new(body));
                },
                Event::Drop(at) => if at < copies.len() { copies.remove(at); },
                Event::Open => gate.open(),
            }
            for copy in &copies {
                prop_assert!(whole.starts_with(&copy.got), "{:?} of {:?}", copy.got, whole);
            }
        }
        // Then everybody reads to the end: each is polled only when it was woken, or had not been pending.
        let intact: Vec<_> = copies.iter().map(|copy| copy.body.is_intact()).collect();
        for _ in 0..100 {
            gate.open();
            for copy in &mut copies {
                if copy.end.is_none() && (!copy.waits || copy.body.is_woken()) {
                    copy.poll();
                }
            }
        }
        for (copy, intact) in copies.iter().zip(intact) {
            match copy.end {
                None => prop_assert!(false, "a copy waits for ever"),
                Some(Ok(())) => {
                    prop_assert!(!fails);
                    prop_assert_eq!(&copy.got, &whole);
                    prop_assert_eq!(&copy.trailers, &tail);
                }
                Some(Err(NotReplayable::SourceFailed)) => {
                    prop_assert!(fails);
                    prop_assert_eq!(&copy.got, &whole);
                }
                Some(Err(NotReplayable::TooLarge)) => prop_assert!(size > cap),
                Some(Err(NotReplayable::Consumed)) => prop_assert!(!intact),
                Some(Err(other)) => prop_assert!(false, "{other}"),
            }
        }
    }
}

#[test]
fn readers_on_many_threads_get_all_bytes_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for round in 0..200u16 {
        let source = futures_util::stream::unfold(0u16, move |at| async move {
            if (at + round).is_multiple_of(3) {
                tokio::task::yield_now().await;
            }
            (at < 50).then(|| (Ok::<_, io::Error>(Frame::data(Bytes::copy_from_slice(&at.to_be_bytes()))), at + 1))
        });
        let body = ReplayBody::new(StreamBody::new(source));
        let mut readers: Vec<_> = (0..3).map(|_| runtime.spawn(body.replay().unwrap().collect())).collect();
        // One that leaves in the middle.
        let mut leaver = body.replay().unwrap();
        readers.push(runtime.spawn(body.collect()));
        runtime.block_on(async {
            for _ in 0..20 {
                leaver.frame().await.unwrap().unwrap();
            }
            let mut last = leaver;
            let _ = futures_util::future::poll_immediate(poll_fn(|cx| Pin::new(&mut last).poll_frame(cx))).await;
            drop(last);
            let expected: Vec<u8> = (0..50u16).flat_map(u16::to_be_bytes).collect();
            for reader in readers {
                assert_eq!(reader.await.unwrap().unwrap().to_bytes(), expected);
            }
        });
    }
}
