//! A key in use never leaves, whatever comes.

use std::time::Duration;

use bytes::Bytes;
use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{Rejection, RejectionKind};
use donjon_per_key::{PerKeyLayer, Unkeyed};
use donjon_test::Reply;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{call, held, keys, one_each, refusal, running};

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_key_with_a_call_in_flight_stays() {
    let layer = one_each().max_keys(2);
    let (service, handle) = held(&layer);
    let mut slow = running(&service, 1);
    handle.reply(Reply::answer());
    for n in 2..50 {
        call(&service, n).await.unwrap();
        advance(LONG).await;
        assert_eq!(refusal(call(&service, 1).await).0, "concurrency-limit", "its one permit is taken");
    }
    handle.release(1);
    assert_ready_ok!(slow.poll());
    call(&service, 1).await.unwrap();
    // Its future stays alive, and the key is free all the same.
    call(&service, 2).await.unwrap();
    call(&service, 3).await.unwrap();
    assert_eq!(keys(&layer), [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_key_with_a_call_that_waits_stays() {
    let layer = PerKeyLayer::new(crate::support::by_number as crate::support::ByNumber, ConcurrencyLimitLayer::new(1));
    let layer = layer.max_keys(1);
    let (service, handle) = held(&layer);
    let first = running(&service, 1);
    let mut waits = running(&service, 1);
    drop(first);
    assert_eq!(refusal(call(&service, 2).await), ("per-key", RejectionKind::Overloaded));
    assert!(waits.is_woken());
    assert_pending!(waits.poll());
    handle.release(1);
    assert_ready_ok!(waits.poll());
    handle.reply(Reply::answer());
    call(&service, 2).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_still_read_keeps_its_key() {
    let host = |request: &Request<()>| request.uri().host().map(str::to_owned);
    let layer = PerKeyLayer::new(host, ConcurrencyLimitLayer::http(1).queue(0)).max_keys(1);
    let service = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Rejection>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    }));
    let get = |uri| service.clone().oneshot(Request::get(uri).body(()).unwrap());

    let response = get("http://a/").await.unwrap();
    assert_eq!(layer.handle().stats().busy, 1);
    // Neither for room nor for its age.
    assert_eq!(refusal(get("http://b/").await), ("per-key", RejectionKind::Overloaded));
    advance(LONG).await;
    assert_eq!(layer.handle().stats().keys, 1);
    assert_eq!(refusal(get("http://a/").await), ("concurrency-limit", RejectionKind::Overloaded));

    response.into_body().collect().await.unwrap();
    assert_eq!(layer.handle().stats().busy, 0);
    // It was in use until now, so that its time begins here.
    advance(Duration::from_secs(599)).await;
    assert_eq!(layer.handle().stats().keys, 1);
    drop(get("http://b/").await.unwrap());
    assert_eq!(layer.handle().keys(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_keeps_a_handle_of_a_key_keeps_the_key() {
    let layer = one_each().max_keys(1);
    let (service, handle) = held(&layer);
    handle.reply(Reply::answer());
    call(&service, 1).await.unwrap();
    let limit = layer.handle().with(&1, ConcurrencyLimitLayer::handle).unwrap();
    assert_eq!(refusal(call(&service, 2).await), ("per-key", RejectionKind::Overloaded));
    call(&service, 1).await.unwrap();
    assert_eq!(limit.stats().admitted, 2, "the same state");
    drop(limit);
    call(&service, 2).await.unwrap();
    assert_eq!(keys(&layer), [2]);
}

#[tokio::test(start_paused = true)]
async fn when_all_keys_are_in_use_another_one_is_refused() {
    // One shard, and many. With many, room is made in any of them.
    for max in [4, 64, 90] {
        let layer = one_each().max_keys(max);
        let (service, handle) = held(&layer);
        let mut calls: Vec<_> = (0..max as u64).map(|n| running(&service, n)).collect();
        assert_eq!(refusal(call(&service, 99).await), ("per-key", RejectionKind::Overloaded));
        assert_eq!(layer.handle().stats().when_full, 1);
        handle.reply(Reply::answer());
        drop(calls.remove(max / 2));
        call(&service, 99).await.unwrap();
        let stats = layer.handle().stats();
        assert_eq!((stats.keys, stats.busy, stats.evicted), (max, max - 1, 1));
        assert_eq!(layer.handle().with(&(max as u64 / 2), |_| ()), None, "the one that was free");
    }
}

#[tokio::test(start_paused = true)]
async fn those_without_room_share_a_state_or_pass_if_said_so() {
    let layer = one_each().max_keys(1).when_full(Unkeyed::Share);
    let (service, _) = held(&layer);
    let _busy = running(&service, 1);
    let two = running(&service, 2);
    assert_eq!(refusal(call(&service, 3).await), ("concurrency-limit", RejectionKind::Overloaded), "they share one");
    assert_eq!(layer.handle().with_overflow(|limit| limit.handle().stats().in_flight), 1);
    drop(two);
    let _three = running(&service, 3);
    assert_eq!(layer.handle().stats().when_full, 3);

    let layer = one_each().max_keys(1).when_full(Unkeyed::Bypass);
    let (service, _) = held(&layer);
    let _busy: Vec<_> = [1, 2, 2, 2, 3].map(|n| running(&service, n)).into();
    assert_eq!((layer.handle().stats().busy, layer.handle().stats().when_full), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn no_key_is_kept_where_none_may_be() {
    let layer = one_each().max_keys(0);
    let (service, _) = held(&layer);
    assert_eq!(refusal(call(&service, 1).await), ("per-key", RejectionKind::Overloaded));
    assert_eq!(layer.handle().stats().created, 0);
}

/// A layer that knows nothing of who holds it is kept by its calls.
#[tokio::test(start_paused = true)]
async fn a_call_in_flight_is_enough_whatever_the_layer() {
    let alive = std::sync::Arc::default();
    let layer = PerKeyLayer::new(|n: &u64| Some(*n), crate::support::Counted::new(&alive)).max_keys(1);
    let (service, handle) = crate::support::over(&layer);
    handle.reply(Reply::answer().held());
    let mut slow = tokio_test::task::spawn(service.clone().oneshot(1));
    assert_pending!(slow.poll());
    advance(LONG).await;
    assert_eq!(refusal(service.clone().oneshot(2).await), ("per-key", RejectionKind::Overloaded));
    assert_eq!((layer.handle().stats().busy, layer.handle().keys()), (1, vec![1]));
    drop(slow);
    assert_pending!(tokio_test::task::spawn(service.clone().oneshot(2)).poll());
    assert_eq!(layer.handle().keys(), [2]);
}
