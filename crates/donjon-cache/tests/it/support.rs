use std::time::Duration;

use donjon_cache::{Cache, CacheLayer};
use donjon_core::{CallError, Phase, Reject, RejectionKind};
use donjon_test::{Number, Probe, ProbeHandle, Reply};
use tokio_test::{assert_pending, task::Spawn};
use tower::{Layer, Service};

pub(crate) type ByNumber = fn(&u64) -> Option<u64>;
pub(crate) type NumberLayer = CacheLayer<ByNumber, u64, u64>;
pub(crate) type Cached = Cache<Probe<Number>, ByNumber, u64, u64>;
pub(crate) type Result = std::result::Result<u64, CallError>;
pub(crate) type Call = Spawn<<Cached as Service<u64>>::Future>;

/// The key is the number itself.
pub(crate) fn by_number() -> NumberLayer {
    CacheLayer::new(|n| Some(*n))
}

/// The layer over a probe that answers at once.
pub(crate) fn prompt(layer: &NumberLayer) -> (Cached, ProbeHandle) {
    let probe = Probe::number();
    let handle = probe.handle();
    (layer.layer(probe), handle)
}

/// The layer over a probe whose calls last until they are released.
pub(crate) fn held(layer: &NumberLayer) -> (Cached, ProbeHandle) {
    let (service, probe) = prompt(layer);
    probe.reply(Reply::answer().held());
    (service, probe)
}

/// A call that was made and not polled.
pub(crate) fn call(service: &Cached, n: u64) -> Call {
    tokio_test::task::spawn(service.clone().call(n))
}

/// So many calls of one number, each polled once and pending.
pub(crate) fn pending(service: &Cached, n: u64, calls: usize) -> Vec<Call> {
    let calls = (0..calls).map(|_| {
        let mut call = call(service, n);
        assert_pending!(call.poll());
        call
    });
    calls.collect()
}

/// Why and where a call was refused.
pub(crate) fn refusal(result: Result) -> (RejectionKind, Phase) {
    let error = result.expect_err("it was refused");
    let rejection = error.as_rejection().expect("by a layer");
    (rejection.kind(), rejection.phase())
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Lets tasks run that were spawned, without any time passing.
pub(crate) async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}
