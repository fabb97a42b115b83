//! Keys come, stay while they are in use, and leave.

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_per_key::PerKeyLayer;
use donjon_test::{Probe, Reply};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, ServiceExt};

#[tokio::test(start_paused = true)]
async fn a_slow_key_delays_no_other() {
    let per_key = PerKeyLayer::new(|n: &u64| Some(n % 10), ConcurrencyLimitLayer::new(1).queue(0));
    let probe = Probe::number();
    let handle = probe.handle();
    let service = per_key.layer(probe);
    handle.reply(Reply::answer().held());
    let mut slow = task::spawn(service.clone().oneshot(1));
    assert_pending!(slow.poll());
    assert_ready_err!(task::spawn(service.clone().oneshot(11)).poll());
    handle.reply(Reply::answer());
    assert_ready_ok!(task::spawn(service.clone().oneshot(2)).poll());
    assert_eq!(per_key.handle().stats().busy, 1);
}
