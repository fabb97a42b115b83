//! The instance that was readied is the instance that is called, through the layer of the key.

use donjon_test::Readiness;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, task};
use tower::Service as _;

use crate::support::{call, held, one_each, over, running};

#[tokio::test(start_paused = true)]
async fn readiness_is_that_of_the_inner_service() {
    let layer = one_each();
    let (mut service, handle) = over(&layer);
    handle.set_readiness(Readiness::Pending);
    let mut ready = task::spawn(());
    ready.enter(|cx, _| assert_pending!(service.poll_ready(cx)));
    handle.set_readiness(Readiness::Fail);
    assert!(ready.is_woken());
    ready.enter(|cx, _| {
        assert!(assert_ready_err!(service.poll_ready(cx)).downcast_ref::<donjon_test::ProbeError>().is_some())
    });
    handle.set_readiness(Readiness::Ready);
    ready.enter(|cx, _| assert!(assert_ready!(service.poll_ready(cx)).is_ok()));
    service.call(1).await.unwrap();
    assert_eq!(handle.violations(), []);
}

#[tokio::test(start_paused = true)]
async fn whatever_comes_of_a_call_the_inner_service_is_used_as_tower_asks() {
    let layer = one_each().max_keys(1).without_key(donjon_per_key::Unkeyed::Refuse);
    let (service, handle) = held(&layer);
    let _busy = running(&service, 1);
    for n in [1, 2, 1_000_000] {
        call(&service, n).await.unwrap_err();
    }
    assert_eq!(handle.violations(), []);
}
