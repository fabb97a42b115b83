//! One layer value, one limit: over clones, routes and connections.

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::Fresh;
use donjon_test::{Number, Probe};
use tokio_test::{assert_pending, assert_ready};
use tower::{Layer, ServiceBuilder};

use crate::support::{Limited, call, held, numbers, pending, refusal};

/// How many calls are admitted, of ten made through these services in turn. They stay alive.
fn capacity(services: &[&Limited]) -> usize {
    let mut calls: Vec<_> = (0..10).map(|n| call(services[n as usize % services.len()], n)).collect();
    let admitted = calls.iter_mut().map(|call| usize::from(call.poll().is_pending())).sum();
    drop(calls);
    admitted
}

#[tokio::test(start_paused = true)]
async fn one_application_two_and_a_clone_admit_the_same() {
    let layer = ConcurrencyLimitLayer::new(3).queue(2);
    let (one, _) = held(&layer);
    assert_eq!(capacity(&[&one]), 5);
    let (two, _) = held(&layer);
    assert_eq!(capacity(&[&one, &two]), 5);
    let (three, _) = held(&layer.clone());
    assert_eq!(capacity(&[&one, &one.clone(), &two, &three]), 5);
    let (other, _) = held(&layer.fresh());
    assert_eq!(capacity(&[&one, &other]), 10);
}

#[tokio::test(start_paused = true)]
async fn two_routes_on_two_connections_share_the_limit() {
    // As axum does: the layer is applied to each route, and again for each connection.
    let layer = ConcurrencyLimitLayer::new(2).queue(0);
    let probe = Probe::number();
    let connection = || ["/a", "/b"].map(|_| ServiceBuilder::new().layer(layer.clone()).service(probe.clone()));
    probe.handle().reply(donjon_test::Reply::answer().held());
    let (first, second) = (connection(), connection());
    let _running = [pending(&first[0], [0]), pending(&second[1], [1])];
    for route in [&first[1], &second[0]] {
        refusal(assert_ready!(call(route, 2).poll()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_of_one_service_goes_to_who_waits_at_another() {
    let layer = ConcurrencyLimitLayer::new(1);
    let ((one, _), (two, handle)) = (held(&layer), held(&layer));
    let running = pending(&one, [0]);
    let mut waits = pending(&two, [1]);
    drop(running);
    assert!(waits[0].is_woken());
    assert_pending!(waits[0].poll());
    assert_eq!(numbers(&handle), [1]);
}

#[test]
fn it_says_what_it_is() {
    let layer = ConcurrencyLimitLayer::new(2).queue(1);
    let service = layer.layer(Probe::<Number>::number());
    let text = format!("{layer:?} {service:?} {:?}", layer.handle());
    assert!(text.contains("max: 2") && text.contains("queue: 1"), "{text}");
}
