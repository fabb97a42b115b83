use std::time::Duration;

use donjon_breaker::{Breaker, BreakerLayer, Handle, State};
use donjon_core::{CallError, Outcome, Reject, Rejection, RejectionKind, Sent};
use donjon_test::{Number, Probe, ProbeHandle, Reply};
use tokio_test::{assert_pending, assert_ready, task::Spawn};
use tower::{Layer, ServiceExt, util::Oneshot};

pub(crate) type Broken<C = donjon_core::ClassifyRejection> = Breaker<Probe<Number>, C>;
pub(crate) type Call<C = donjon_core::ClassifyRejection> = Spawn<Oneshot<Broken<C>, u64>>;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A breaker over a probe.
pub(crate) struct Rig {
    pub(crate) service: Broken,
    pub(crate) probe: ProbeHandle,
    pub(crate) handle: Handle,
    next: u64,
}

impl Rig {
    /// Without jitter, so that times are exact.
    pub(crate) fn new(layer: BreakerLayer) -> Self {
        let layer = layer.jitter(donjon_core::Ratio::ZERO);
        let probe = Probe::number();
        let (handle, probe_handle) = (layer.handle(), probe.handle());
        Self { service: layer.layer(probe), probe: probe_handle, handle, next: 0 }
    }

    /// A call through a clone of its own, not polled yet.
    pub(crate) fn call(&mut self) -> Call {
        self.next += 1;
        tokio_test::task::spawn(self.service.clone().oneshot(self.next))
    }

    /// A call that is let in and does not end.
    pub(crate) fn pending(&mut self) -> Call {
        self.probe.reply_next([Reply::answer().held()]);
        let mut call = self.call();
        assert_pending!(call.poll());
        call
    }

    /// A call that ends at once.
    pub(crate) fn ends(&mut self, reply: Reply) -> Result<u64, CallError> {
        self.probe.reply_next([reply]);
        let result = assert_ready!(self.call().poll());
        self.probe.forget_next();
        result
    }

    pub(crate) fn succeed(&mut self) {
        self.ends(Reply::answer()).expect("it is let in, and answered");
    }

    pub(crate) fn fail(&mut self) {
        let error = self.ends(Reply::fail()).expect_err("it fails");
        assert!(error.as_rejection().is_none(), "it was to be let in, and to fail: {error}");
    }

    pub(crate) fn fail_times(&mut self, times: usize) {
        (0..times).for_each(|_| self.fail());
    }

    /// A call that is refused, and after how long another one has a chance.
    pub(crate) fn refused(&mut self) -> Option<Duration> {
        let before = self.probe.stats().calls;
        let result = self.ends(Reply::answer());
        assert_eq!(self.probe.stats().calls, before, "a refused call reaches nothing");
        refusal(&result.expect_err("it is refused")).retry_after()
    }

    pub(crate) fn state(&self) -> State {
        self.handle.state()
    }

    /// Open by an outage.
    pub(crate) fn open(layer: BreakerLayer) -> Self {
        let mut rig = Self::new(layer);
        rig.fail_times(7);
        assert_eq!(rig.state(), State::Open);
        rig
    }

    /// Open, and its time is over.
    pub(crate) async fn about_to_probe(layer: BreakerLayer) -> Self {
        let rig = Self::open(layer);
        tokio::time::advance(5 * SECOND).await;
        rig
    }
}

pub(crate) fn refusal(error: &CallError) -> Rejection {
    let rejection = error.as_rejection().expect("it was refused by a layer");
    assert_eq!((rejection.kind(), rejection.layer()), (RejectionKind::CircuitOpen, "breaker"));
    rejection.clone()
}

pub(crate) const FAILED: Outcome = Outcome::Transient { sent: Sent::Unknown, retry_after: None };
