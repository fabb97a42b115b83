//! Calls that are left out of a layer.

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::Fresh;
use donjon_per_key::ExceptLayer;
use donjon_test::{Probe, Reply};
use tokio_test::{assert_pending, task};
use tower::{Layer, ServiceExt};

use crate::support::refusal;

#[tokio::test(start_paused = true)]
async fn those_that_are_left_out_pass_and_the_others_do_not() {
    let limit = ConcurrencyLimitLayer::new(1).queue(0);
    let layer = ExceptLayer::new(|n: &u64| *n >= 100, limit.clone());
    let probe = Probe::number();
    let handle = probe.handle();
    handle.reply(Reply::answer().held());
    let service = layer.layer(probe);
    let call = |n| task::spawn(service.clone().oneshot(n));

    let mut exempt: Vec<_> = (100..105).map(call).collect();
    exempt.iter_mut().for_each(|call| assert_pending!(call.poll()));
    assert_eq!(limit.handle().stats().admitted, 0);
    let mut first = call(1);
    assert_pending!(first.poll());
    assert_eq!(refusal(call(2).await).0, "concurrency-limit");
    assert_pending!(call(105).poll());
    assert_eq!(limit.handle().stats().in_flight, 1, "a clone of the layer has its state");
    assert_eq!(layer.get_ref().handle().stats().refused, 1);
    assert_eq!(handle.violations(), []);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_one_has_a_state_of_its_own_and_the_bypass_none() {
    let layer = ExceptLayer::new(|n: &u64| *n >= 100, ConcurrencyLimitLayer::new(1).queue(0));
    let probe = || {
        let probe = Probe::number();
        probe.handle().reply(Reply::answer().held());
        probe
    };
    let (one, fresh, bypass) = (layer.layer(probe()), layer.fresh().layer(probe()), layer.bypass().layer(probe()));
    let running = [&one, &fresh, &bypass, &bypass].map(|service| {
        let mut call = task::spawn(service.clone().oneshot(1));
        assert_pending!(call.poll());
        call
    });
    assert!(one.clone().oneshot(1).await.is_err() && fresh.clone().oneshot(1).await.is_err());
    drop(running);
    assert!(layer.is_held(), "services of it are there");
    drop(one);
    assert!(!layer.is_held());
    let _handle = layer.get_ref().handle();
    assert!(layer.is_held());
}
