//! Client throttling: a share of the calls is refused, by how many the service accepts.

use std::time::Duration;

use donjon_breaker::{BreakerLayer, State, Throttle};
use donjon_core::CallError;
use tokio_test::assert_ready;
use tower::{Layer, Service, service_fn};

use crate::support::{SECOND, refusal};

/// So many calls, of which this share (in percent) would succeed: how many were refused, and how many were sent.
fn calls(layer: &BreakerLayer, number: u64, succeed: u64) -> (u64, u64) {
    let mut service = layer.layer(service_fn(move |n: u64| {
        std::future::ready(if n % 100 < succeed { Ok(n) } else { Err(CallError::new("down")) })
    }));
    let before = layer.handle().stats().refused;
    for n in 0..number {
        if let Err(error) = assert_ready!(tokio_test::task::spawn(service.call(n * 37)).poll())
            && error.to_string() != "down"
        {
            assert_eq!(refusal(&error).retry_after(), None);
        }
    }
    let refused = layer.handle().stats().refused - before;
    (refused, number - refused)
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_well_is_not_throttled() {
    for throttle in [Throttle::sre(), Throttle::envoy()] {
        let layer = BreakerLayer::throttling(throttle).seed(1);
        assert_eq!(calls(&layer, 1000, 100), (0, 1000));
    }
    // K = 2: up to half of the calls may fail, save for chance at the start.
    let layer = BreakerLayer::throttling(Throttle::sre()).seed(1);
    let (refused, _) = calls(&layer, 10_000, 60);
    assert!(refused < 100, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_few_calls_are_sent_and_some_always_are() {
    let layer = BreakerLayer::throttling(Throttle::sre()).seed(1);
    let (refused, sent) = calls(&layer, 10_000, 0);
    assert!(sent < 200 && sent > 3, "{sent} sent, {refused} refused");
    assert_eq!(layer.handle().state(), State::Closed, "it is never open");
    // Envoy's lets a fifth through, and does not count those that it has refused.
    let layer = BreakerLayer::throttling(Throttle::envoy()).seed(1);
    let (_, sent) = calls(&layer, 10_000, 0);
    assert!((1900..2200).contains(&sent), "{sent} sent");
    assert_eq!(layer.handle().stats().window.calls, sent);
}

#[tokio::test(start_paused = true)]
async fn as_many_are_sent_as_k_times_what_is_accepted() {
    let layer = BreakerLayer::throttling(Throttle::sre()).seed(1);
    let (_, sent) = calls(&layer, 100_000, 20);
    // Of what is sent a fifth is accepted; the refused count as requests, so about 2 x .2 x sent of all requests stay.
    let accepted = sent / 5;
    assert!(sent < 20_000, "{sent} sent, {accepted} accepted");
    let window = layer.handle().stats().window;
    assert_eq!(window.calls, 100_000);
}

#[tokio::test(start_paused = true)]
async fn it_forgets_after_its_window() {
    let layer = BreakerLayer::throttling(Throttle::sre().window(10 * SECOND)).seed(1);
    calls(&layer, 1000, 0);
    assert!(layer.handle().stats().window.calls == 1000);
    tokio::time::advance(10 * SECOND).await;
    assert_eq!(layer.handle().stats().window.calls, 0);
    assert_eq!(calls(&layer, 100, 100), (0, 100));
}

#[tokio::test(start_paused = true)]
async fn a_window_of_no_time_refuses_none_and_the_operator_has_the_last_word() {
    let layer = BreakerLayer::throttling(Throttle::sre().window(Duration::ZERO));
    assert_eq!(calls(&layer, 1000, 0), (0, 1000));
    let layer = BreakerLayer::throttling(Throttle::sre()).seed(1);
    layer.handle().force_open();
    assert_eq!(calls(&layer, 10, 100), (10, 0));
    layer.handle().force_closed();
    assert_eq!(calls(&layer, 1000, 0), (0, 1000));
    layer.handle().reset();
    assert_eq!(calls(&layer, 100, 100), (0, 100));
}
