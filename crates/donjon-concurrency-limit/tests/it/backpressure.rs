//! With backpressure readiness waits for the permit; and what that costs.

use std::{task::Poll, time::Duration};

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{
    Phase,
    RejectionKind::{DeadlineExceeded, Overloaded},
    Scope,
};
use donjon_test::{ProbeHandle, Readiness};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task::Spawn};
use tower::Service;

use crate::support::{Limited, held, numbers, refusal};

fn rig(max: usize) -> (ConcurrencyLimitLayer, Limited, ProbeHandle) {
    let layer = ConcurrencyLimitLayer::new(max).queue(0).backpressure();
    let (service, handle) = held(&layer);
    (layer, service, handle)
}

/// A service with a task of its own that polls its readiness.
struct Caller(Spawn<Limited>);

impl Caller {
    fn new(service: &Limited) -> Self {
        Self(tokio_test::task::spawn(service.clone()))
    }

    fn ready(&mut self) -> Poll<Result<(), donjon_core::CallError>> {
        self.0.enter(|cx, mut service| Service::<u64>::poll_ready(&mut *service, cx))
    }

    fn call(&mut self, n: u64) -> Spawn<<Limited as Service<u64>>::Future> {
        tokio_test::task::spawn(self.0.call(n))
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_waits_for_a_permit_and_the_call_has_it() {
    let (layer, service, handle) = rig(1);
    let (mut a, mut b) = (Caller::new(&service), Caller::new(&service));
    assert_ready_ok!(a.ready());
    let mut running = a.call(0);
    assert_pending!(running.poll());
    assert_pending!(b.ready());
    assert_pending!(a.ready());
    handle.release(1);
    assert_ready_ok!(running.poll());
    assert!(b.0.is_woken() && !a.0.is_woken(), "first in, first out");
    assert_ready_ok!(b.ready());
    assert_pending!(b.call(1).poll());
    assert_eq!(numbers(&handle), [0, 1]);
    assert_eq!(layer.handle().stats().refused, 0, "the bound of the queue does not hold here");
}

#[tokio::test(start_paused = true)]
async fn a_readied_service_holds_a_permit_until_it_is_dropped() {
    let (layer, service, _) = rig(1);
    let (mut idle, mut other) = (Caller::new(&service), Caller::new(&service));
    assert_ready_ok!(idle.ready());
    assert_ready_ok!(idle.ready());
    assert_eq!(layer.handle().stats().in_flight, 1);
    let clone = service.clone();
    assert_pending!(other.ready());
    drop(idle);
    assert!(other.0.is_woken());
    assert_ready_ok!(other.ready());
    drop((other, clone));
    assert_eq!(layer.handle().stats().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_a_readied_service_holds_nothing() {
    let (layer, mut service, _) = rig(2);
    let mut task = tokio_test::task::spawn(());
    task.enter(|cx, _| assert_ready_ok!(Service::<u64>::poll_ready(&mut service, cx)));
    let clone = service.clone();
    assert_eq!(layer.handle().stats().in_flight, 1);
    drop(service);
    assert_eq!(layer.handle().stats().in_flight, 0);
    drop(clone);
    assert_eq!(layer.handle().stats().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_dropped_while_it_waits_gives_its_place_back() {
    let (layer, service, _) = rig(1);
    let mut callers: Vec<_> = (0..4).map(|_| Caller::new(&service)).collect();
    assert_ready_ok!(callers[0].ready());
    for caller in &mut callers[1..] {
        assert_pending!(caller.ready());
    }
    // One that waits, then one that was granted a permit and has not seen it.
    drop(callers.remove(1));
    assert_eq!(layer.handle().stats().queued, 2);
    drop(callers.remove(0));
    assert!(callers[0].0.is_woken());
    drop(callers.remove(0));
    assert!(callers[0].0.is_woken());
    assert_ready_ok!(callers[0].ready());
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_gives_the_permit_back() {
    let (layer, service, handle) = rig(1);
    handle.set_readiness(Readiness::Fail);
    let mut caller = Caller::new(&service);
    assert_ready_err!(caller.ready());
    assert_eq!(layer.handle().stats().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_nought_is_told_by_the_call_and_not_by_readiness() {
    let (layer, service, handle) = rig(1);
    let (mut holds, mut waits) = (Caller::new(&service), Caller::new(&service));
    assert_ready_ok!(holds.ready());
    assert_pending!(waits.ready());
    layer.handle().set_max(0).unwrap();
    assert!(waits.0.is_woken());
    assert_ready_ok!(waits.ready());
    assert_eq!(refusal(assert_ready!(waits.call(0).poll())), (Overloaded, Phase::Admission));
    let mut new = Caller::new(&service);
    assert_ready_ok!(new.ready());
    refusal(assert_ready!(new.call(1).poll()));
    // And the service lives on.
    layer.handle().set_max(2).unwrap();
    assert_ready_ok!(new.ready());
    assert_pending!(new.call(2).poll());
    assert_eq!(numbers(&handle), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_readiness_takes_its_turn_like_any_other() {
    let layer = ConcurrencyLimitLayer::new(1).queue(1).backpressure();
    let (service, handle) = held(&layer);
    let mut running = Caller::new(&service).call(0);
    assert_pending!(running.poll());
    let mut waits = Caller::new(&service).call(1);
    assert_pending!(waits.poll());
    handle.release(1);
    assert_ready_ok!(running.poll());
    assert_pending!(waits.poll());
    assert_eq!(numbers(&handle), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_call_after_its_deadline_gives_the_permit_of_its_readiness_back() {
    let (layer, service, handle) = rig(1);
    let (mut late, mut next) = (Caller::new(&service), Caller::new(&service));
    assert_ready_ok!(late.ready());
    assert_pending!(next.ready());
    let mut expired = Scope::root().with_timeout(Duration::ZERO);
    let mut call = expired.enter(|| late.call(0));
    assert!(next.0.is_woken(), "while the refused call and its service are still alive");
    assert_eq!(refusal(assert_ready!(call.poll())), (DeadlineExceeded, Phase::Admission));
    assert_ready_ok!(next.ready());
    assert_pending!(next.call(1).poll());
    assert_eq!((numbers(&handle), layer.handle().stats().refused), (vec![1], 1));
}
