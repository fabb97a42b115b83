//! Drops at any point, and panics.

use std::panic::AssertUnwindSafe;

use donjon_fanout::FanOutExt;
use futures_util::{FutureExt, StreamExt, stream::FusedStream};

use crate::scripted::{Act, Readiness, Scripted};

fn forever() -> impl Iterator<Item = (u32, Act)> + Clone {
    (0..20).map(|n| (n, Act::Never))
}

#[tokio::test(start_paused = true)]
async fn dropping_a_stream_or_future_cancels_all() {
    let service = Scripted::new();
    let polled = |pending: bool, expected| {
        assert!(pending);
        assert_eq!(service.in_flight(), expected);
    };

    let mut as_completed = service.fan_out(forever()).as_completed();
    polled(tokio_test::task::spawn(as_completed.next()).poll().is_pending(), 10);
    assert_eq!(as_completed.in_flight(), 10);
    drop(as_completed);
    polled(true, 0);

    let mut in_order = service.fan_out(forever()).in_order();
    polled(tokio_test::task::spawn(in_order.next()).poll().is_pending(), 10);
    drop(in_order);
    polled(true, 0);

    let mut collect = tokio_test::task::spawn(service.fan_out(forever()).collect::<Vec<_>>());
    polled(collect.poll().is_pending(), 10);
    drop(collect);
    polled(true, 0);

    let mut first_ok = tokio_test::task::spawn(service.fan_out(forever()).first_ok());
    polled(first_ok.poll().is_pending(), 10);
    drop(first_ok);
    polled(true, 0);

    let mut quorum = tokio_test::task::spawn(service.fan_out(forever()).quorum(3));
    polled(quorum.poll().is_pending(), 10);
    drop(quorum);
    polled(true, 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_before_the_first_poll_nothing_was_called() {
    let service = Scripted::new();
    drop(service.fan_out(forever()));
    drop(service.fan_out(forever()).as_completed());
    let mut replies = service.fan_out(forever()).in_order();
    drop(replies.next());
    drop(replies);
    drop(service.fan_out(forever()).first_ok());
    assert_eq!(service.called(), 0);
}

#[tokio::test(start_paused = true)]
async fn next_loses_nothing_when_it_is_dropped() {
    let service = Scripted::new();
    let mut replies = service.fan_out((0..20).map(|n| (n, Act::Ok(n + 1)))).at_once(3).as_completed();
    let mut seen = Vec::new();
    let mut dropped = 0;
    loop {
        tokio::select! {
            biased;
            reply = replies.next() => match reply {
                Some((n, _)) => seen.push(n),
                None => break,
            },
            () = tokio::time::sleep(std::time::Duration::from_micros(1300)) => dropped += 1,
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    assert!(dropped > 10, "{dropped}");
    assert_eq!(service.called(), 20);
}

async fn panics<F: Future>(future: F) {
    assert!(AssertUnwindSafe(future).catch_unwind().await.is_err(), "it has not panicked");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_call_leaves_nothing_running() {
    for act in [Act::PanicInCall, Act::PanicAfter(0), Act::PanicAfter(10)] {
        let service = Scripted::new();
        let items = || forever().chain([(99, act)]).collect::<Vec<_>>().into_iter().rev();

        let mut as_completed = service.fan_out(items()).as_completed();
        panics(as_completed.next()).await;
        assert_eq!(service.in_flight(), 0, "though the stream is still alive");
        assert!(as_completed.next().await.is_none());

        let mut in_order = service.fan_out(items()).in_order();
        panics(in_order.next()).await;
        assert_eq!(service.in_flight(), 0);
        assert!(in_order.next().await.is_none());

        panics(service.fan_out(items()).collect::<Vec<_>>()).await;
        panics(service.fan_out(items()).quorum(2)).await;
        assert_eq!(service.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_held_back_for_the_order_goes_with_a_panic() {
    let service = Scripted::new();
    let items = [(0, Act::Never), (1, Act::Ok(1)), (2, Act::PanicAfter(5))];
    let mut replies = service.fan_out(items).in_order();
    panics(replies.next()).await;
    assert_eq!(service.in_flight(), 0);
    assert!(replies.next().await.is_none());
    assert!(replies.is_terminated());
    assert!(format!("{replies:?}").contains("early: 0"), "{replies:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_source_leaves_nothing_running() {
    let service = Scripted::new();
    let items = forever().inspect(|(n, _)| assert!(*n != 5, "a panic in the source"));
    let mut replies = service.fan_out(items).as_completed();
    panics(replies.next()).await;
    assert_eq!((service.in_flight(), replies.in_flight()), (0, 0));
    assert!(replies.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_clone_leaves_nothing_running() {
    let service = Scripted::with(Readiness::ClonePanics);
    let items = [(0, Act::Ok(1)), (1, Act::Never), (2, Act::Never)];
    let mut replies = service.fan_out(items).at_once(1).as_completed();
    assert!(replies.next().await.is_some());
    panics(replies.next()).await;
    assert_eq!(service.in_flight(), 0);
    assert!(StreamExt::next(&mut replies).await.is_none());
}
