use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{Fresh, Key, Phase, Reject, RejectionKind};
use donjon_per_key::{PerKey, PerKeyLayer};
use donjon_test::{Number, Probe, ProbeHandle, Reply};
use tokio_test::{assert_pending, task::Spawn};
use tower::{Layer, ServiceExt, util::Oneshot};

/// A number is a key: that of its last two digits.
pub(crate) type ByNumber = fn(&u64) -> Option<u64>;
pub(crate) type Limit = ConcurrencyLimitLayer;
pub(crate) type Limits = PerKeyLayer<ByNumber, Limit, u64>;
pub(crate) type Service<X = ByNumber, L = Limit, K = u64> = PerKey<Probe<Number>, X, L, K>;
pub(crate) type Call<S = Service> = Spawn<Oneshot<S, u64>>;

pub(crate) fn by_number(n: &u64) -> Option<u64> {
    (*n < 1_000_000).then_some(n % 100)
}

/// One call in flight for each key, and no queue.
pub(crate) fn one_each() -> Limits {
    PerKeyLayer::new(by_number as ByNumber, ConcurrencyLimitLayer::new(1).queue(0))
}

/// The same, and each number is a key.
pub(crate) fn one_each_of_all() -> Limits {
    PerKeyLayer::new((|n: &u64| Some(*n)) as ByNumber, ConcurrencyLimitLayer::new(1).queue(0))
}

/// The layer over a probe that answers at once.
pub(crate) fn over<X, L, K>(layer: &PerKeyLayer<X, L, K>) -> (Service<X, L, K>, ProbeHandle)
where
    X: Key<u64, Key = K> + Clone,
    L: Layer<Probe<Number>> + Fresh,
    K: Hash + Eq,
{
    let probe = Probe::number();
    let handle = probe.handle();
    (layer.layer(probe), handle)
}

/// The layer over a probe whose calls last until they are released.
pub(crate) fn held(layer: &Limits) -> (Service, ProbeHandle) {
    let (service, handle) = over(layer);
    handle.reply(Reply::answer().held());
    (service, handle)
}

pub(crate) fn call(service: &Service, n: u64) -> Call {
    tokio_test::task::spawn(service.clone().oneshot(n))
}

/// A call that has begun and goes on.
pub(crate) fn running(service: &Service, n: u64) -> Call {
    let mut call = call(service, n);
    assert_pending!(call.poll());
    call
}

/// Which layer refused, and why.
pub(crate) fn refusal<T: std::fmt::Debug, E: Reject + std::fmt::Debug>(
    result: Result<T, E>,
) -> (&'static str, RejectionKind) {
    let error = result.expect_err("it was refused");
    let rejection = error.as_rejection().expect("by a layer");
    assert_eq!(rejection.phase(), Phase::Admission);
    (rejection.layer(), rejection.kind())
}

/// The keys, in order.
pub(crate) fn keys(layer: &Limits) -> Vec<u64> {
    let mut keys = layer.handle().keys();
    keys.sort_unstable();
    keys
}

/// A layer that does nothing, and knows how many states of it there are.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) alive: Arc<AtomicUsize>,
}

impl Counted {
    pub(crate) fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self { alive: Arc::clone(alive) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<S> Layer<S> for Counted {
    type Service = S;
    fn layer(&self, inner: S) -> S {
        inner
    }
}

impl Fresh for Counted {
    fn fresh(&self) -> Self {
        Self::new(&self.alive)
    }
    fn bypass(&self) -> Self {
        self.fresh()
    }
}
