//! How far iterators and streams are read, and when.

use std::{cell::Cell, time::Duration};

use donjon_fanout::FanOutExt;
use futures_util::{StreamExt, stream};
use tokio::{sync::mpsc, time::Instant};

use crate::scripted::{Act, Scripted};

#[tokio::test(start_paused = true)]
async fn an_iterator_is_read_no_further_than_what_may_be_in_flight() {
    let service = Scripted::new();
    let read = Cell::new(0);
    // It never ends.
    let items = (0..).inspect(|_| read.set(read.get() + 1)).map(|n| (n, Act::Ok(10)));
    let mut replies = service.fan_out(items).at_once(4).as_completed();
    assert_eq!(read.get(), 0, "nothing before the first poll");
    for done in 1..20 {
        assert!(replies.next().await.is_some());
        assert!(read.get() <= done - 1 + 4, "{} read, {done} done", read.get());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_for_the_order_counts_as_in_flight() {
    let service = Scripted::new();
    let read = Cell::new(0);
    let items = (0..).inspect(|_| read.set(read.get() + 1));
    let items = items.map(|n| (n, if n == 0 { Act::Ok(1000) } else { Act::Ok(1) }));
    let mut replies = service.fan_out(items).at_once(4).in_order();
    let start = Instant::now();
    assert_eq!(replies.next().await.unwrap().0, 0);
    assert_eq!((read.get(), start.elapsed().as_millis()), (4, 1000));
    for n in 1..20 {
        assert_eq!(replies.next().await.unwrap().0, n);
        assert!(read.get() <= n + 4, "{} read, {n} given out", read.get());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_polled_only_while_there_is_room() {
    let service = Scripted::new();
    let (sender, mut receiver) = mpsc::channel(1);
    let items = stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let mut replies = service.fan_out_stream(items).at_once(2).as_completed();
    for n in 0..10 {
        // One in the channel, two in flight: the fourth one has no room until something is done.
        let mut sends = Box::pin(sender.send((n, Act::Ok(10))));
        loop {
            tokio::select! {
                biased;
                sent = &mut sends => break sent.unwrap(),
                reply = replies.next() => assert!(reply.is_some()),
            }
        }
        assert!(service.called() <= (n + 1) as usize);
    }
    drop(sender);
    while replies.next().await.is_some() {}
    assert_eq!((service.called(), service.most()), (10, 2));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_pending_holds_nothing_back() {
    let service = Scripted::new();
    let items = stream::iter([(0, Act::Ok(10)), (1, Act::Ok(10))]).chain(stream::once(async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        (2, Act::Ok(10))
    }));
    let mut replies = service.fan_out_stream(items).as_completed();
    let start = Instant::now();
    let mut seen = Vec::new();
    while let Some((n, _)) = replies.next().await {
        seen.push((n, start.elapsed().as_millis()));
    }
    // The stream was polled anew only after its item had become ready.
    assert_eq!(seen, [(0, 10), (1, 10), (2, 110)]);
}

#[tokio::test(start_paused = true)]
async fn a_source_is_not_polled_again_after_its_end() {
    let service = Scripted::new();
    let ended = Cell::new(false);
    let items = std::iter::from_fn(|| {
        assert!(!ended.replace(true), "polled again");
        None::<(u32, Act)>
    });
    let mut replies = service.fan_out(items).as_completed();
    for _ in 0..3 {
        assert!(replies.next().await.is_none());
    }
}
