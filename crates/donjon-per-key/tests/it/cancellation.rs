//! Whatever is dropped, and whenever: its key is no longer in use.

use std::panic::{AssertUnwindSafe, catch_unwind};

use donjon_test::{Readiness, Reply};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::Service as _;

use crate::support::{Limits, Service, call, held, one_each, running};

fn busy(layer: &Limits) -> usize {
    layer.handle().stats().busy
}

/// A call that was made and not polled.
fn made(service: &Service, n: u64) -> task::Spawn<<Service as tower::Service<u64>>::Future> {
    let mut service = service.clone();
    task::spawn(()).enter(|cx, _| assert_ready_ok!(service.poll_ready(cx)));
    task::spawn(service.call(n))
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_ready_and_not_called_uses_no_key() {
    let layer = one_each();
    let (mut service, _) = held(&layer);
    task::spawn(()).enter(|cx, _| assert_ready_ok!(service.poll_ready(cx)));
    assert_eq!(layer.handle().stats().keys, 0);
}

#[tokio::test(start_paused = true)]
async fn before_the_first_poll() {
    let layer = one_each();
    let (service, _) = held(&layer);
    let unpolled = made(&service, 1);
    assert_eq!(busy(&layer), 1);
    drop(unpolled);
    assert_eq!(busy(&layer), 0);
}

#[tokio::test(start_paused = true)]
async fn while_it_is_pending() {
    let layer = one_each();
    let (service, _) = held(&layer);
    let pending = running(&service, 1);
    assert_eq!(busy(&layer), 1);
    drop(pending);
    assert_eq!(busy(&layer), 0);
}

#[tokio::test(start_paused = true)]
async fn after_it_has_ended_while_its_future_stays_alive() {
    for reply in [Reply::answer(), Reply::fail()] {
        let layer = one_each();
        let (service, handle) = held(&layer);
        handle.reply(reply);
        let mut ended = made(&service, 1);
        let _ = assert_ready!(ended.poll());
        assert_eq!(busy(&layer), 0);
        drop(ended);
        assert_eq!(busy(&layer), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn by_a_panic_in_the_call_or_in_its_future() {
    let layer = one_each();
    let (service, handle) = held(&layer);
    handle.reply(Reply::panic_in_call());
    assert!(catch_unwind(AssertUnwindSafe(|| made(&service, 1))).is_err());
    assert_eq!(busy(&layer), 0);

    handle.reply(Reply::panic());
    let mut panicked = made(&service, 1);
    assert!(catch_unwind(AssertUnwindSafe(|| panicked.poll())).is_err());
    assert_eq!(busy(&layer), 0, "its future stays alive");
    handle.reply(Reply::answer());
    call(&service, 1).await.unwrap();
    drop(panicked);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_readiness_uses_no_key_yet() {
    let layer = one_each();
    let (service, handle) = held(&layer);
    handle.set_readiness(Readiness::Pending);
    let mut waits = call(&service, 1);
    assert_pending!(waits.poll());
    assert_eq!(layer.handle().stats().keys, 0);
    handle.set_readiness(Readiness::Ready);
    assert!(waits.is_woken());
    assert_pending!(waits.poll());
    assert_eq!(busy(&layer), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_outlive_every_layer_and_service() {
    let layer = one_each();
    let handle = layer.handle();
    let (service, probe) = held(&layer);
    let mut call = running(&service, 1);
    drop((layer, service));
    assert_eq!(handle.stats().busy, 1);
    probe.release(1);
    assert_ready_ok!(call.poll());
    assert_eq!(handle.stats().busy, 0);
    drop(handle);

    let layer = one_each();
    let (service, probe) = held(&layer);
    let mut call = running(&service, 1);
    drop((layer, service));
    probe.release(1);
    assert_ready_ok!(call.poll());
}
