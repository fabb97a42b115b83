//! The states live in the layer value, wherever it is applied.

use donjon_core::Fresh;

use crate::support::{call, held, keys, one_each, refusal, running};

#[tokio::test(start_paused = true)]
async fn two_routes_two_connections_and_clones_share_the_state_of_a_key() {
    let layer = one_each();
    let (route, _) = held(&layer);
    let (other_route, _) = held(&layer.clone());
    let connection = other_route.clone();
    let _running = running(&route, 1);
    for service in [&route, &other_route, &connection] {
        assert_eq!(refusal(call(service, 1).await).0, "concurrency-limit");
    }
    assert_eq!(keys(&layer), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_layer_has_keys_of_its_own_and_the_same_bounds() {
    let layer = one_each().max_keys(2);
    let (service, _) = held(&layer);
    let _running = running(&service, 1);
    layer.handle().set_max_keys(1).unwrap();
    let fresh = layer.fresh();
    let (service, _) = held(&fresh);
    let _other = running(&service, 1);
    assert_eq!(refusal(call(&service, 2).await).0, "per-key", "the bound of the moment");
    assert_eq!(fresh.handle().stats().when_full, 1);
    assert_eq!(layer.handle().stats().when_full, 0);
}

#[tokio::test(start_paused = true)]
async fn the_bypass_lets_all_through_and_keeps_no_keys() {
    let layer = one_each().max_keys(0).bypass();
    let (service, _) = held(&layer);
    let _running = [running(&service, 1), running(&service, 1), running(&service, 2)];
    assert_eq!(layer.handle().stats().created, 0);
}

#[tokio::test(start_paused = true)]
async fn settings_of_the_pattern_hold_for_the_keys_that_come_afterwards() {
    let limit = donjon_concurrency_limit::ConcurrencyLimitLayer::new(1).queue(0);
    let layer = donjon_per_key::PerKeyLayer::new(crate::support::by_number as crate::support::ByNumber, limit.clone());
    let (service, _) = held(&layer);
    let _one = running(&service, 1);
    limit.handle().set_max(2).unwrap();
    assert_eq!(refusal(call(&service, 1).await).0, "concurrency-limit");
    let _two = [running(&service, 2), running(&service, 2)];
    assert_eq!(limit.handle().stats().admitted, 0, "the pattern itself is not used");
}
