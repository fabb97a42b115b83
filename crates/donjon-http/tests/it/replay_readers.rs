//! Copies of one body that are read at the same time.

use std::{
    error::Error,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use donjon_core::Replay;
use donjon_http::{
    ReplayBody,
    replay::{NotReplayable, ReplayError},
};
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use tokio_test::{assert_pending, assert_ready, task};

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
fn a_reader_that_has_left_is_not_woken_any_more() {
    struct Count(AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (a, mut b, gate) = two([Step::Wait, data("1")], 100);
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = std::task::Waker::from(Arc::clone(&count));
    let mut a = a.into_inner();
    assert_pending!(Pin::new(&mut a).poll_frame(&mut std::task::Context::from_waker(&waker)));
    assert_pending!(poll(&mut b));
    drop((a, waker));
    assert_eq!(Arc::strong_count(&count), 1, "its task is not kept");
    gate.open();
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
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
fn a_waker_that_panics_does_not_keep_the_others_asleep() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("planned");
        }
    }
    for panics_first in [true, false] {
        let (mut a, mut b, gate) = two([Step::Wait, data("1")], 100);
        let waker = std::task::Waker::from(Arc::new(Panics));
        let mut panicking = std::task::Context::from_waker(&waker);
        let mut wait = || assert_pending!(Pin::new(&mut *a).poll_frame(&mut panicking));
        if panics_first {
            wait();
            assert_pending!(poll(&mut b));
        } else {
            assert_pending!(poll(&mut b));
            wait();
        }
        assert!(std::panic::catch_unwind(|| gate.open()).is_err());
        assert!(b.is_woken());
        assert_eq!(next(&mut b), "1");
    }
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
