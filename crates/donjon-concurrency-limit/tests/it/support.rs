use donjon_concurrency_limit::{ConcurrencyLimit, ConcurrencyLimitLayer};
use donjon_core::{CallError, Phase, Reject, RejectionKind};
use donjon_test::{Number, Probe, ProbeHandle, Reply};
use tokio_test::{assert_pending, assert_ready_ok, task::Spawn};
use tower::{Layer, Service, ServiceExt, util::Oneshot};

pub(crate) type Limited = ConcurrencyLimit<Probe<Number>>;
pub(crate) type Call = Spawn<Oneshot<Limited, u64>>;
pub(crate) type Result = std::result::Result<u64, CallError>;

/// The layer over a probe whose calls last until they are released.
pub(crate) fn held(layer: &ConcurrencyLimitLayer) -> (Limited, ProbeHandle) {
    let probe = Probe::number();
    let handle = probe.handle();
    handle.reply(Reply::answer().held());
    (layer.layer(probe), handle)
}

/// A call through a clone of its own, as `oneshot` makes it: admitted at its first poll.
pub(crate) fn call(service: &Limited, n: u64) -> Call {
    tokio_test::task::spawn(service.clone().oneshot(n))
}

/// A call that was made and not polled.
pub(crate) fn made(service: &Limited, n: u64) -> Spawn<<Limited as Service<u64>>::Future> {
    let mut service = service.clone();
    let mut ready = tokio_test::task::spawn(());
    ready.enter(|cx, _| assert_ready_ok!(service.poll_ready(cx)));
    tokio_test::task::spawn(service.call(n))
}

/// Calls of these numbers, each polled once and pending.
pub(crate) fn pending(service: &Limited, numbers: impl IntoIterator<Item = u64>) -> Vec<Call> {
    let calls = numbers.into_iter().map(|n| {
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
    assert_eq!(rejection.layer(), "concurrency-limit");
    (rejection.kind(), rejection.phase())
}

pub(crate) fn numbers(handle: &ProbeHandle) -> Vec<u64> {
    handle.started().iter().filter_map(|started| started.id).collect()
}
