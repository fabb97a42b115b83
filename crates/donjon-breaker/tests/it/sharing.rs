//! One layer value, one circuit: over clones, routes and connections.

use donjon_breaker::{BreakerLayer, State, Trip};
use donjon_core::{CallError, Fresh};
use donjon_test::{Probe, Reply};
use tokio_test::{assert_ready_err, assert_ready_ok};
use tower::{Layer, ServiceExt};

use crate::support::refusal;

#[tokio::test(start_paused = true)]
async fn two_routes_on_two_connections_share_the_circuit() {
    // As axum does: the layer is applied to each route, and again for each connection.
    let layer = BreakerLayer::new().trip(Trip::consecutive(4));
    let probe = Probe::number();
    probe.handle().reply(Reply::fail());
    let connection = || ["/a", "/b"].map(|_| layer.clone().layer(probe.clone()));
    let routes: Vec<_> = [connection(), connection()].into_iter().flatten().collect();
    let call = |route: &crate::support::Broken| -> Result<u64, CallError> {
        tokio_test::assert_ready!(tokio_test::task::spawn(route.clone().oneshot(1)).poll())
    };
    for route in &routes {
        assert!(call(route).unwrap_err().downcast_ref::<donjon_test::ProbeError>().is_some());
    }
    for route in &routes {
        refusal(&call(route).unwrap_err());
    }
    let other = layer.fresh();
    assert!(call(&other.layer(probe.clone())).unwrap_err().downcast_ref::<donjon_test::ProbeError>().is_some());
    assert_eq!((other.handle().stats().failures, layer.handle().stats().failures), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_bypass_lets_all_through_and_looks_at_nothing() {
    let layer = BreakerLayer::new().trip(Trip::consecutive(1));
    layer.handle().force_open();
    let bypass = layer.bypass();
    let probe = Probe::number();
    probe.handle().reply(Reply::fail());
    for _ in 0..3 {
        assert_ready_err!(tokio_test::task::spawn(bypass.layer(probe.clone()).oneshot(1)).poll());
    }
    let stats = bypass.handle().stats();
    assert_eq!((stats.state, stats.failures, stats.refused), (State::Closed, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_setter_changes_no_clone_that_was_taken_before() {
    let layer = BreakerLayer::new().trip(Trip::consecutive(1));
    let changed = layer.clone().trip(Trip::consecutive(2)).backpressure();
    layer.handle().force_open();
    assert_eq!((layer.handle().state(), changed.handle().state()), (State::ForcedOpen, State::Closed));
    let service = changed.layer(Probe::number());
    assert_ready_ok!(tokio_test::task::spawn(service.oneshot(1)).poll());
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_has_been_applied_can_still_be_set() {
    let layer = BreakerLayer::new();
    let before = layer.layer(Probe::number());
    let layer = layer.trip(Trip::consecutive(1));
    let probe = Probe::number();
    probe.handle().reply(Reply::fail());
    assert_ready_err!(tokio_test::task::spawn(layer.layer(probe).oneshot(1)).poll());
    assert_eq!(layer.handle().state(), State::Open);
    assert_ready_ok!(tokio_test::task::spawn(before.oneshot(1)).poll());
}

#[test]
fn it_says_what_it_is() {
    let layer = BreakerLayer::new();
    let service = layer.layer(Probe::number());
    let text = format!("{layer:?} {service:?} {:?}", layer.handle());
    assert!(text.contains("state: Closed") && text.contains("opens_at: 27"), "{text}");
}
