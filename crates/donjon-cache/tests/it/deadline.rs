//! Each caller has its own time.

use donjon_core::{Deadline, Phase, RejectionKind, Scope};
use donjon_test::Readiness;
use tokio::time::sleep;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::Service;

use crate::support::{by_number, call, held, prompt, refusal, secs};

macro_rules! within {
    ($service:expr, $time:expr, $n:expr) => {
        task::spawn(Scope::root().with_deadline(Deadline::after($time)).wrap($service.clone().call($n)))
    };
}

#[tokio::test(start_paused = true)]
async fn a_driver_whose_deadline_passes_leaves_the_call_to_the_others() {
    let layer = by_number();
    let (service, probe) = held(&layer);
    let mut driver = within!(service, secs(1), 7);
    let mut follower = within!(service, secs(2), 7);
    let mut patient = call(&service, 7);
    assert_pending!(driver.poll());
    assert_pending!(follower.poll());
    assert_pending!(patient.poll());
    sleep(secs(1)).await;
    assert_eq!(refusal(assert_ready!(driver.poll())), (RejectionKind::DeadlineExceeded, Phase::Attempt));
    assert_pending!(follower.poll());
    sleep(secs(1)).await;
    assert_eq!(refusal(assert_ready!(follower.poll())), (RejectionKind::DeadlineExceeded, Phase::Attempt));
    probe.release_all();
    assert!(patient.is_woken());
    assert_ready_ok!(patient.poll());
    assert_eq!((probe.stats().calls, layer.handle().stats().refused), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn no_call_is_started_after_the_deadline_but_a_hit_is_answered() {
    let (service, probe) = prompt(&by_number());
    assert_ready_ok!(call(&service, 8).poll());
    let deadline = Deadline::after(secs(1));
    sleep(secs(1)).await;
    let late = |n| deadline.scope(service.clone().call(n));
    assert_eq!(refusal(late(7).await), (RejectionKind::DeadlineExceeded, Phase::Admission));
    assert!(late(8).await.is_ok());
    assert_eq!(probe.stats().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_not_waited_for_beyond_the_deadline() {
    let (service, probe) = prompt(&by_number());
    probe.set_readiness(Readiness::Pending);
    let mut call = within!(service, secs(1), 7);
    assert_pending!(call.poll());
    sleep(secs(1)).await;
    assert_eq!(refusal(assert_ready!(call.poll())), (RejectionKind::DeadlineExceeded, Phase::Ready));
    assert_eq!(probe.stats().calls, 0);
}
