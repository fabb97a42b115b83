//! A layer per key for each key of another: a limit per tenant and host.

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{Fresh, RejectionKind};
use donjon_per_key::PerKeyLayer;
use donjon_test::Reply;
use tokio_test::{assert_pending, task};
use tower::ServiceExt;

use crate::support::{over, refusal};

#[tokio::test(start_paused = true)]
async fn a_key_of_keys_is_in_use_while_one_of_them_is() {
    let inner = PerKeyLayer::new(|n: &u64| Some(n % 10), ConcurrencyLimitLayer::new(1).queue(0));
    let layer = PerKeyLayer::new(|n: &u64| Some(n / 10), inner).max_keys(1);
    let (service, handle) = over(&layer);
    handle.reply(Reply::answer().held());
    let call = |n| task::spawn(service.clone().oneshot(n));
    let mut running = [call(11), call(12)];
    running.iter_mut().for_each(|call| assert_pending!(call.poll()));
    assert_eq!(refusal(call(11).await), ("concurrency-limit", RejectionKind::Overloaded));
    assert_eq!(refusal(call(21).await), ("per-key", RejectionKind::Overloaded));
    assert_eq!(layer.handle().with(&1, |hosts| hosts.handle().stats().busy), Some(2));
    assert!(layer.handle().with(&1, |hosts| hosts.is_held()).unwrap());
    drop(running);
    assert!(!layer.handle().with(&1, |hosts| hosts.is_held()).unwrap());
    assert_pending!(call(21).poll());
    assert_eq!(layer.handle().keys(), [2]);
}
