//! Stale answers: at once, or instead of a failure.

use donjon_cache::{CacheLayer, Keep};
use donjon_core::{CallError, Deadline, Outcome, RejectionKind};
use donjon_test::Reply;
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{by_number, call, held, prompt, refusal, secs, settle};

#[tokio::test(start_paused = true)]
async fn a_stale_value_is_served_at_once_while_a_task_brings_the_next() {
    let layer = by_number().ttl(secs(10)).stale_while_revalidate(secs(30));
    let (service, probe) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    advance(secs(10)).await;
    probe.reply(Reply::answer().held());
    for _ in 0..100 {
        assert_ready_ok!(call(&service, 7).poll());
    }
    settle().await;
    assert_eq!(probe.stats().calls, 2, "one refresh a key at a time");
    let stats = layer.handle().stats();
    assert_eq!((stats.stale, stats.refreshes, stats.refreshing), (100, 1, 1));
    probe.release_all();
    settle().await;
    assert_ready_ok!(call(&service, 7).poll());
    let stats = layer.handle().stats();
    assert_eq!((stats.hits, stats.stale, stats.refreshing, stats.failed_refreshes), (1, 100, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn behind_its_window_a_stale_value_is_a_miss() {
    let layer = by_number().ttl(secs(10)).stale_while_revalidate(secs(30));
    let (service, probe) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    advance(secs(40)).await;
    probe.reply(Reply::answer().held());
    assert_pending!(call(&service, 7).poll());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_leaves_the_stale_value_to_its_window() {
    let layer = by_number().ttl(secs(10)).stale_while_revalidate(secs(30));
    let (service, probe) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    for reply in [Reply::fail(), Reply::panic()] {
        probe.reply(reply);
        advance(secs(10)).await;
        assert_ready_ok!(call(&service, 7).poll());
        settle().await;
    }
    let stats = layer.handle().stats();
    assert_eq!((stats.stale, stats.failed_refreshes, stats.refreshing), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_answered_by_a_stale_value_in_its_window() {
    let layer = by_number().ttl(secs(10)).stale_if_error(secs(30));
    let (service, probe) = prompt(&layer);
    let answer = assert_ready_ok!(call(&service, 7).poll());
    advance(secs(10)).await;
    probe.reply(Reply::fail());
    assert_eq!(assert_ready_ok!(call(&service, 7).poll()), answer);
    assert_eq!((probe.stats().calls, layer.handle().stats().rescued), (2, 1), "it has been tried");
    advance(secs(30)).await;
    assert!(assert_ready!(call(&service, 7).poll()).is_err());
    // A value that was never there rescues nobody.
    assert!(assert_ready!(call(&service, 8).poll()).is_err());
}

#[tokio::test(start_paused = true)]
async fn the_window_is_looked_at_when_the_call_fails() {
    let layer = by_number().ttl(secs(10)).stale_if_error(secs(30));
    let (service, probe) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    advance(secs(39)).await;
    probe.reply(Reply::fail().held());
    let mut call = call(&service, 7);
    assert_pending!(call.poll());
    advance(secs(1)).await;
    probe.release_all();
    assert!(assert_ready!(call.poll()).is_err());
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_a_call_that_fails_get_the_stale_value() {
    let layer = by_number().ttl(secs(10)).stale_if_error(secs(30));
    let (service, probe) = prompt(&layer);
    let answer = assert_ready_ok!(call(&service, 7).poll());
    advance(secs(10)).await;
    probe.reply(Reply::fail().held());
    let mut calls: Vec<_> = (0..10).map(|_| call(&service, 7)).collect();
    calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
    probe.release_all();
    for call in &mut calls {
        assert_eq!(assert_ready_ok!(call.poll()), answer);
    }
    assert_eq!((probe.stats().calls, layer.handle().stats().rescued), (2, 10));
}

#[tokio::test(start_paused = true)]
async fn who_has_no_time_left_or_no_room_gets_the_stale_value() {
    let layer = by_number().max_followers(0).ttl(secs(10)).stale_if_error(secs(30));
    let (service, probe) = held(&layer);
    probe.reply_next([Reply::answer()]);
    let answer = assert_ready_ok!(call(&service, 7).poll());
    advance(secs(10)).await;
    let mut driver = tokio_test::task::spawn(Deadline::after(secs(1)).scope(service.clone().call(7)));
    assert_pending!(driver.poll());
    assert_eq!(assert_ready_ok!(call(&service, 7).poll()), answer, "no room");
    tokio::time::sleep(secs(1)).await;
    assert_eq!(assert_ready_ok!(driver.poll()), answer, "no time");
    // Where there is none, they are refused.
    let _held = crate::support::pending(&service, 8, 1);
    assert_eq!(refusal(assert_ready!(call(&service, 8).poll())).0, RejectionKind::Overloaded);
    assert_eq!((layer.handle().stats().rescued, layer.handle().stats().refused), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_answer_is_a_failure_too() {
    let failing = |result: Result<&u64, &CallError>| match result {
        Ok(0) => Outcome::Throttled { retry_after: None },
        _ => Outcome::Success,
    };
    let layer = CacheLayer::new(|_: &u64| Some(())).classify(failing).ttl(secs(10)).stale_if_error(secs(30));
    let service = layer.layer(service_fn(|n: u64| async move { Ok::<_, CallError>(n) }));
    assert_eq!(service.clone().oneshot(0).await.unwrap(), 0, "there is nothing better");
    assert_eq!(service.clone().oneshot(1).await.unwrap(), 1);
    advance(secs(10)).await;
    assert_eq!(service.clone().oneshot(0).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_never_to_be_stale_is_not() {
    let layer =
        CacheLayer::new(|n: &u64| Some(*n)).ttl(secs(10)).stale_if_error(secs(30)).stale_while_revalidate(secs(30));
    let layer = layer.keep(|_: &u64, _: &u64| Keep::new().never_stale());
    let service = layer.layer(service_fn(|n: u64| async move { Ok::<_, CallError>(n) }));
    service.clone().oneshot(7).await.unwrap();
    advance(secs(10)).await;
    service.clone().oneshot(7).await.unwrap();
    assert_eq!((layer.handle().stats().misses, layer.handle().stats().stale), (2, 0));
}

/// An answer that is not to be kept says of the stored one that it is outdated.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_kept_removes_the_one_that_it_was_to_replace() {
    let layer = CacheLayer::new(|_: &u64| Some(())).ttl(secs(10)).stale_if_error(secs(30));
    let layer = layer.keep(|_: &(), answer: &u64| if *answer == 0 { Keep::nothing() } else { Keep::new() });
    let service =
        layer.layer(service_fn(|n: u64| async move { if n == 9 { Err(CallError::new("no")) } else { Ok(n) } }));
    assert_eq!(service.clone().oneshot(1).await.unwrap(), 1);
    advance(secs(10)).await;
    assert_eq!(service.clone().oneshot(9).await.unwrap(), 1);
    assert_eq!(service.clone().oneshot(0).await.unwrap(), 0);
    assert!(service.clone().oneshot(9).await.is_err(), "the old value is gone");
}

#[tokio::test(start_paused = true)]
async fn the_windows_can_be_turned_while_it_runs() {
    let layer = by_number().ttl(secs(10)).stale_if_error(secs(30));
    let (service, probe) = prompt(&layer);
    assert_ready_ok!(call(&service, 7).poll());
    advance(secs(10)).await;
    layer.handle().set_stale_if_error(secs(0)).unwrap();
    probe.reply(Reply::fail());
    assert!(assert_ready!(call(&service, 7).poll()).is_err());
    layer.handle().set_stale_while_revalidate(secs(30)).unwrap();
    assert_ready_ok!(call(&service, 7).poll());
    assert_eq!(layer.handle().stats().stale, 1);
}
