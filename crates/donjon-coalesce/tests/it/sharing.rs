//! Who shares what.

use donjon_coalesce::{Coalesce, CoalesceLayer};
use donjon_core::{CallError, Criticality, Fresh, Outcome, Phase, Reject, Rejection, RejectionKind, Scope, Sent};
use donjon_test::{Number, Probe, Reply};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};
use tower::{Layer, Service, service_fn};

use crate::support::{ByNumber, by_number, call, held, pending, refusal};

#[tokio::test(start_paused = true)]
async fn clones_and_applications_of_a_layer_share_and_a_fresh_one_does_not() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    let mut leader = call(&service, 7);
    assert_pending!(leader.poll());
    // Another probe under the same layer value: two upstreams want `fresh`, or their name in the key.
    let (other, other_probe) = held(&layer.clone());
    let mut follower = call(&other, 7);
    assert_pending!(follower.poll());
    assert_eq!(other_probe.stats().calls, 0);
    let (fresh, fresh_probe) = held(&layer.fresh());
    let mut alone = call(&fresh, 7);
    assert_pending!(alone.poll());
    assert_eq!((fresh_probe.stats().calls, probe.stats().calls), (1, 1));
    probe.release_all();
    assert_ready_ok!(leader.poll());
    assert_ready_ok!(follower.poll());
    assert_pending!(alone.poll());
}

#[tokio::test(start_paused = true)]
async fn other_keys_are_other_calls() {
    let (service, probe) = held(&by_number());
    let _calls = [pending(&service, 1, 2), pending(&service, 2, 2), pending(&service, 3, 2)];
    assert_eq!(probe.stats().calls, 3);
}

#[tokio::test(start_paused = true)]
async fn a_layer_over_services_of_other_types_has_other_calls_for_each() {
    let layer: CoalesceLayer<ByNumber> = by_number();
    let number: Coalesce<_, ByNumber> = layer.layer(service_fn(|n: u64| async move {
        tokio::task::yield_now().await;
        Ok::<_, CallError>(n)
    }));
    let text = layer.layer(service_fn(|n: u64| async move {
        tokio::task::yield_now().await;
        Ok::<_, CallError>(n.to_string())
    }));
    let (a, b, c, d) =
        tokio::join!(number.clone().call(7), text.clone().call(7), number.clone().call(7), text.clone().call(7));
    assert_eq!((a.unwrap(), b.unwrap()), (7, "7".to_owned()));
    assert_eq!((c.unwrap(), d.unwrap()), (7, "7".to_owned()));
    let stats = layer.handle().stats();
    assert_eq!((stats.started, stats.joined, stats.in_flight), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_has_no_key_goes_through_alone() {
    let probe = Probe::<Number>::number();
    let handle = probe.handle();
    handle.reply(Reply::answer().held());
    let layer = CoalesceLayer::new(|n: &u64| (*n != 7).then_some(*n));
    let mut service = layer.layer(probe);
    let mut calls = [7, 7].map(|n| tokio_test::task::spawn(service.call(n)));
    calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
    assert_eq!((handle.stats().calls, layer.handle().stats().passed), (2, 2));
    // And one that lets everything through.
    let (bypass, probe) = held(&by_number().bypass());
    let _calls = pending(&bypass, 1, 3);
    assert_eq!(probe.stats().calls, 3);
}

#[tokio::test(start_paused = true)]
async fn those_beyond_the_bound_are_refused() {
    let layer = by_number().max_followers(2);
    let (service, probe) = held(&layer);
    let mut calls = pending(&service, 7, 3);
    assert_eq!(refusal(assert_ready!(call(&service, 7).poll())), (RejectionKind::Overloaded, Phase::Admission));
    // Another key has room of its own, and a place that is left is free.
    let _other = pending(&service, 8, 3);
    drop(calls.remove(1));
    calls.extend(pending(&service, 7, 1));
    assert_eq!(layer.handle().stats().refused, 1);

    layer.handle().set_max_followers(0).unwrap();
    assert_eq!(refusal(assert_ready!(call(&service, 7).poll())), (RejectionKind::Overloaded, Phase::Admission));
    // Whoever has a place keeps it, though it has to start again.
    probe.reply(Reply::answer());
    drop(calls);
    probe.reply_next([Reply::panic().held()]);
    layer.handle().set_max_followers(5).unwrap();
    let mut calls = pending(&service, 7, 6);
    layer.handle().set_max_followers(0).unwrap();
    probe.reply(Reply::answer().held());
    probe.release_all();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| calls[0].poll())).is_err());
    calls[1..].iter_mut().for_each(|call| assert_pending!(call.poll()));
    probe.release_all();
    for call in &mut calls[1..] {
        assert_ready_ok!(call.poll());
    }
}

#[tokio::test(start_paused = true)]
async fn the_outcome_of_a_failure_is_shared() {
    let unsent = Outcome::Transient { sent: Sent::NotSent, retry_after: None };
    let layer = by_number().classify(move |_: Result<&u64, &CallError>| unsent);
    let probe = Probe::<Number>::number();
    let handle = probe.handle();
    handle.reply(Reply::fail().held());
    let mut service = layer.layer(probe);
    let mut calls = [7, 7].map(|n| tokio_test::task::spawn(service.call(n)));
    calls.iter_mut().for_each(|call| assert_pending!(call.poll()));
    handle.release_all();
    assert!(assert_ready!(calls[0].poll()).unwrap_err().as_rejection().is_none(), "the original");
    let shared = assert_ready!(calls[1].poll()).unwrap_err();
    assert_eq!(shared.as_rejection().unwrap().outcome(), unsent);
}

/// Refuses what is less than critical.
fn sheds() -> impl Service<u64, Response = u64, Error = CallError, Future: Send> + Clone + Send + 'static {
    service_fn(|n: u64| {
        let admitted = Scope::current().criticality() >= Criticality::Critical;
        async move {
            tokio::task::yield_now().await;
            let refused = || CallError::from_rejection(Rejection::new(RejectionKind::Overloaded, "limit"));
            if admitted { Ok(n) } else { Err(refused()) }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn whoever_is_more_important_does_not_share_a_refusal_of_one_that_is_less() {
    let layer = by_number();
    let service = layer.layer(sheds());
    let call = |criticality| Scope::root().with_criticality(criticality).wrap(service.clone().call(7));
    let (driver, same, more, most) = tokio::join!(
        call(Criticality::Sheddable),
        call(Criticality::Sheddable),
        call(Criticality::Critical),
        call(Criticality::CriticalPlus)
    );
    assert_eq!(driver.unwrap_err().as_rejection().unwrap().layer(), "limit");
    assert_eq!(refusal(same).0, RejectionKind::Shared);
    assert_eq!((more.unwrap(), most.unwrap()), (7, 7));
    let stats = layer.handle().stats();
    assert_eq!((stats.started, stats.again), (2, 2), "those who are more important make one call together");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_less_important_does_not_poll_for_the_driver() {
    let (service, probe) = held(&by_number());
    let mut driver = call(&service, 7);
    assert_pending!(driver.poll());
    let scope = Scope::root().with_criticality(Criticality::Sheddable);
    let mut less = tokio_test::task::spawn(scope.wrap(service.clone().call(7)));
    assert_pending!(less.poll());
    probe.release_all();
    assert!(driver.is_woken() && !less.is_woken());
    assert_pending!(less.poll());
    assert_ready_ok!(driver.poll());
    assert_ready_ok!(less.poll());
}
