//! Calls without a key.

use donjon_core::RejectionKind;
use donjon_per_key::Unkeyed;

use crate::support::{call, held, one_each, refusal, running};

/// A request that has no key.
const NOBODY: u64 = 1_000_000;

#[tokio::test(start_paused = true)]
async fn they_go_past_the_layer() {
    let layer = one_each();
    let (service, _) = held(&layer);
    let _running = [running(&service, NOBODY), running(&service, NOBODY), running(&service, 0)];
    let stats = layer.handle().stats();
    assert_eq!((stats.keys, stats.without_key), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn they_are_refused_if_said_so() {
    let layer = one_each().without_key(Unkeyed::Refuse);
    let (service, handle) = held(&layer);
    assert_eq!(refusal(call(&service, NOBODY).await), ("per-key", RejectionKind::NoKey));
    assert_eq!(handle.stats().calls, 0);
    assert_eq!(layer.handle().stats().without_key, 1);
}

#[tokio::test(start_paused = true)]
async fn they_share_a_state_if_said_so() {
    let layer = one_each().without_key(Unkeyed::Share).when_full(Unkeyed::Share).max_keys(1);
    let (service, _) = held(&layer);
    let _one = running(&service, NOBODY);
    assert_eq!(refusal(call(&service, NOBODY).await).0, "concurrency-limit");
    assert_eq!(layer.handle().with_keyless(|limit| limit.handle().stats().refused), 1);
    // Neither the state of a key, nor that of those without room.
    let _others = [running(&service, 1), running(&service, 2)];
}
