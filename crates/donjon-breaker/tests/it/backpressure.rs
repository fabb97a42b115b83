//! With backpressure a service is not ready while its call would be refused.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

use donjon_breaker::{BreakerLayer, State, Throttle};
use donjon_core::CallError;
use donjon_test::{Readiness, Reply};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task::Spawn};
use tower::Service;

use crate::support::{Broken, Rig, SECOND, refusal};

/// A service with a task of its own that polls its readiness.
struct Caller(Spawn<Broken>);

impl Caller {
    fn new(rig: &Rig) -> Self {
        Self(tokio_test::task::spawn(rig.service.clone()))
    }

    fn ready(&mut self) -> Poll<Result<(), CallError>> {
        self.0.enter(|cx, mut service| Service::<u64>::poll_ready(&mut *service, cx))
    }

    fn call(&mut self) -> Spawn<<Broken as Service<u64>>::Future> {
        tokio_test::task::spawn(self.0.call(1000))
    }
}

fn layer() -> BreakerLayer {
    BreakerLayer::new().probes(1).backpressure()
}

/// The circuit is opened by calls that do not ask for readiness.
fn open() -> Rig {
    let mut rig = Rig::new(layer());
    rig.fail_times(7);
    rig
}

#[tokio::test(start_paused = true)]
async fn readiness_is_pending_until_the_opening_is_over() {
    let rig = open();
    let mut caller = Caller::new(&rig);
    assert_pending!(caller.ready());
    tokio::time::sleep(5 * SECOND - SECOND / 1000).await;
    assert!(!caller.0.is_woken());
    tokio::time::sleep(SECOND / 500).await;
    assert!(caller.0.is_woken());
    assert_ready_ok!(caller.ready());
    assert_eq!(rig.state(), State::Open, "readiness takes nothing");
    assert_ready_ok!(caller.call().poll());
    assert_eq!(rig.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_woken_when_a_probe_is_over_whatever_came_of_it() {
    for reply in [Reply::answer(), Reply::fail(), Reply::never()] {
        let rig = open();
        tokio::time::sleep(5 * SECOND).await;
        let (mut probes, mut waits) = (Caller::new(&rig), Caller::new(&rig));
        assert_ready_ok!(probes.ready());
        rig.probe.reply_next([reply.held()]);
        let mut probe = probes.call();
        assert_pending!(probe.poll());
        assert_pending!(waits.ready());
        assert!(!waits.0.is_woken());
        rig.probe.release(1);
        let _ = probe.poll();
        drop(probe);
        assert!(waits.0.is_woken());
        assert_eq!(waits.ready().is_ready(), rig.state() != State::Open, "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_lost_keeps_nobody_waiting() {
    let rig = open();
    tokio::time::sleep(5 * SECOND).await;
    let (mut probes, mut waits) = (Caller::new(&rig), Caller::new(&rig));
    assert_ready_ok!(probes.ready());
    rig.probe.reply_next([Reply::never()]);
    let mut probe = probes.call();
    assert_pending!(probe.poll());
    std::mem::forget(probe);
    let mut polls = 0;
    while waits.ready().is_pending() {
        polls += 1;
        let before = tokio::time::Instant::now();
        while !waits.0.is_woken() {
            tokio::time::sleep(SECOND / 10).await;
            assert!(before.elapsed() < 60 * SECOND, "nobody has woken it");
        }
    }
    assert_eq!(polls, 2, "once for the lease, once for the opening that follows it");
    assert_ready_ok!(waits.call().poll());
    assert_eq!(rig.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_operator_wakes_those_who_wait() {
    let rig = open();
    let mut caller = Caller::new(&rig);
    assert_pending!(caller.ready());
    rig.handle.force_open();
    assert!(caller.0.is_woken());
    assert_pending!(caller.ready());
    tokio::time::sleep(1000 * SECOND).await;
    // The timer of the opening may have fired once.
    assert_pending!(caller.ready());
    tokio::time::sleep(1000 * SECOND).await;
    assert!(!caller.0.is_woken());
    for speak in [donjon_breaker::Handle::force_closed, donjon_breaker::Handle::disable, donjon_breaker::Handle::reset]
    {
        rig.handle.force_open();
        let mut caller = Caller::new(&rig);
        assert_pending!(caller.ready());
        speak(&rig.handle);
        assert!(caller.0.is_woken());
        assert_ready_ok!(caller.ready());
    }
}

#[tokio::test(start_paused = true)]
async fn of_those_who_are_ready_at_once_only_the_probes_are_let_in() {
    let rig = open();
    tokio::time::sleep(5 * SECOND).await;
    let mut callers: Vec<_> = (0..3).map(|_| Caller::new(&rig)).collect();
    for caller in &mut callers {
        assert_ready_ok!(caller.ready());
    }
    rig.probe.reply(Reply::answer().held());
    let mut calls: Vec<_> = callers.iter_mut().map(Caller::call).collect();
    assert_pending!(calls[0].poll());
    for call in &mut calls[1..] {
        refusal(&assert_ready_err!(call.poll()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_waits_and_is_dropped_leaves_nothing_behind() {
    let rig = open();
    let mut callers: Vec<_> = (0..4).map(|_| Caller::new(&rig)).collect();
    for caller in &mut callers {
        assert_pending!(caller.ready());
    }
    let wakers = |callers: &[Caller]| callers.iter().filter(|caller| caller.0.is_woken()).count();
    callers.truncate(2);
    rig.handle.reset();
    assert_eq!(wakers(&callers), 2);
    // Nor does its waker stay; a clone of it does not wait.
    struct Idle;
    impl std::task::Wake for Idle {
        fn wake(self: std::sync::Arc<Self>) {}
    }
    let rig = open();
    let idle = std::sync::Arc::new(Idle);
    let waker = std::task::Waker::from(std::sync::Arc::clone(&idle));
    let mut waits = rig.service.clone();
    assert_pending!(Service::<u64>::poll_ready(&mut waits, &mut std::task::Context::from_waker(&waker)));
    drop(waker);
    let clone = waits.clone();
    assert!(std::sync::Arc::strong_count(&idle) > 1);
    drop(waits);
    assert_eq!(std::sync::Arc::strong_count(&idle), 1);
    drop(clone);
}

#[tokio::test(start_paused = true)]
async fn the_inner_service_is_asked_too() {
    let rig = Rig::new(layer());
    let mut caller = Caller::new(&rig);
    rig.probe.set_readiness(Readiness::Pending);
    assert_pending!(caller.ready());
    rig.probe.set_readiness(Readiness::Fail);
    assert!(assert_ready!(caller.ready()).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_throttle_and_a_bypass_are_always_ready() {
    use donjon_core::Fresh;

    let mut rig = Rig::new(BreakerLayer::throttling(Throttle::sre()).backpressure());
    rig.fail();
    assert_ready_ok!(Caller::new(&rig).ready());
    let bypass = Rig::new(layer().bypass());
    bypass.handle.force_open();
    assert_ready_ok!(Caller::new(&bypass).ready());
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_keeps_nobody_else_asleep() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("planned");
        }
    }
    let rig = open();
    let mut first = rig.service.clone();
    let waker = std::task::Waker::from(std::sync::Arc::new(Panics));
    assert_pending!(Service::<u64>::poll_ready(&mut first, &mut std::task::Context::from_waker(&waker)));
    let mut other = Caller::new(&rig);
    assert_pending!(other.ready());
    assert!(catch_unwind(AssertUnwindSafe(|| rig.handle.reset())).is_err());
    assert!(other.0.is_woken());
    assert_ready_ok!(other.ready());
}
