use donjon_coalesce::{Coalesce, CoalesceLayer};
use donjon_core::{CallError, Phase, Reject, RejectionKind};
use donjon_test::{Number, Probe, ProbeHandle, Reply};
use tokio_test::{assert_pending, task::Spawn};
use tower::{Layer, Service};

pub(crate) type ByNumber = fn(&u64) -> Option<u64>;
pub(crate) type Coalesced = Coalesce<Probe<Number>, ByNumber>;
pub(crate) type Call = Spawn<<Coalesced as Service<u64>>::Future>;
pub(crate) type Result = std::result::Result<u64, CallError>;

/// The key is the number itself.
pub(crate) fn by_number() -> CoalesceLayer<ByNumber> {
    CoalesceLayer::new(|n| Some(*n))
}

/// The layer over a probe whose calls last until they are released.
pub(crate) fn held(layer: &CoalesceLayer<ByNumber>) -> (Coalesced, ProbeHandle) {
    let probe = Probe::number();
    let handle = probe.handle();
    handle.reply(Reply::answer().held());
    (layer.layer(probe), handle)
}

/// A call that was made and not polled.
pub(crate) fn call(service: &Coalesced, n: u64) -> Call {
    tokio_test::task::spawn(service.clone().call(n))
}

/// So many calls of one number, each polled once and pending.
pub(crate) fn pending(service: &Coalesced, n: u64, calls: usize) -> Vec<Call> {
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
    assert_eq!(rejection.layer(), "coalesce");
    (rejection.kind(), rejection.phase())
}
