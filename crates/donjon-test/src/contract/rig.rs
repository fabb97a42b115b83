//! What a check works with: one layer over a probe, and the calls through it.

use std::{fmt, time::Duration};

use donjon_core::Scope;

use super::{
    call::{Call, Hub, Settled, Stage, Until},
    erase::{Recipe, Subject},
};
use crate::{ProbeHandle, Reply};

/// A new layer value, applied once over a new probe.
pub(super) struct Rig {
    pub(super) probe: ProbeHandle,
    pub(super) recipe: Box<dyn Recipe>,
    pub(super) service: Box<dyn Subject>,
    pub(super) hub: Hub,
    pub(super) scope: Scope,
    next: u64,
}

/// What a layer does with a crowd of calls at one instant, while the probe holds all that it gets.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Admission {
    /// So many reached the probe.
    pub(super) admitted: usize,
    /// So many wait, in the layer or for its readiness.
    pub(super) waiting: usize,
    /// So many ended without having reached the probe.
    pub(super) refused: usize,
}

/// Which service each call of a crowd goes through.
#[derive(Clone, Copy, Debug)]
pub(super) enum Through {
    /// A clone each.
    Clones,
    /// A clone each, in turn of two services that one layer value has made.
    Applications,
    /// One after the other through the same one.
    One,
}

// ===== impl Rig =====

impl Rig {
    pub(super) fn new(recipe: Box<dyn Recipe>) -> Self {
        let probe = ProbeHandle::default();
        let service = recipe.apply(&probe);
        Self { probe, recipe, service, hub: Hub::default(), scope: Scope::root(), next: 0 }
    }

    /// A call through a clone; not polled yet.
    pub(super) fn call(&mut self) -> Call {
        let service = self.service.duplicate();
        self.call_through(service)
    }

    /// A call through this service; not polled yet.
    pub(super) fn call_through(&mut self, service: Box<dyn Subject>) -> Call {
        self.next += 1;
        Call::new(&self.hub, &self.probe, service, self.next, self.scope)
    }

    /// A call through a clone that sends the same request as another one; not polled yet.
    pub(super) fn same(&mut self, as_call: u64) -> Call {
        Call::new(&self.hub, &self.probe, self.service.duplicate(), as_call, self.scope)
    }

    /// So many calls through a clone each; not polled yet.
    pub(super) fn crowd(&mut self, calls: usize) -> Vec<Call> {
        (0..calls).map(|_| self.call()).collect()
    }

    /// So many calls, of which the probe holds all that it gets; polled until nobody is woken.
    pub(super) async fn held(&mut self, calls: usize, through: Through) -> Vec<Call> {
        self.probe.forget_next();
        self.probe.reply(Reply::answer().held());
        let other = self.recipe.apply(&self.probe);
        let mut crowd = Vec::with_capacity(calls);
        match through {
            Through::Clones => crowd = self.crowd(calls),
            Through::Applications => {
                for n in 0..calls {
                    let service = if n % 2 == 0 { self.service.duplicate() } else { other.duplicate() };
                    crowd.push(self.call_through(service));
                }
            }
            Through::One => {
                let mut service = Some(self.service.duplicate());
                for _ in 0..calls {
                    let Some(own) = service.take() else { break };
                    let mut call = [self.call_through(own)];
                    self.settle(&mut call).await;
                    let [mut call] = call;
                    if !matches!(call.stage(), Stage::Unready) {
                        service = call.take_service();
                    }
                    crowd.push(call);
                }
            }
        }
        self.settle(&mut crowd).await;
        crowd
    }

    /// A service that becomes ready and is never called, polled until nobody is woken.
    pub(super) async fn idle(&mut self, service: Box<dyn Subject>) -> Call {
        let mut idle = [self.call_through(service).until(Until::Ready)];
        self.settle(&mut idle).await;
        let [idle] = idle;
        idle
    }

    pub(super) async fn settle(&self, calls: &mut [Call]) -> Settled {
        self.hub.settle(calls).await
    }

    pub(super) async fn insist(&self, calls: &mut [Call]) -> Settled {
        self.hub.insist(calls).await
    }

    pub(super) async fn elapse(&self, calls: &mut [Call], time: Duration) -> Settled {
        self.hub.elapse(calls, time).await
    }

    /// How these calls stand.
    pub(super) fn admission(&self, calls: &[Call]) -> Admission {
        let in_flight = self.probe.in_flight();
        let mut admission = Admission::default();
        for call in calls {
            if in_flight.contains(&call.id()) {
                admission.admitted += 1;
            } else if call.has_ended() {
                admission.refused += 1;
            } else {
                admission.waiting += 1;
            }
        }
        admission
    }

    /// What the layer does with so many calls at once, now. Nothing is left of them.
    pub(super) async fn admits(&mut self, calls: usize, through: Through) -> Admission {
        let crowd = self.held(calls, through).await;
        let mut admission = self.admission(&crowd);
        // Those that never came to be called wait, too.
        admission.waiting += calls - crowd.len();
        drop(crowd);
        self.settle(&mut []).await;
        admission
    }
}

// ===== impl Admission =====

impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { admitted, waiting, refused } = self;
        write!(f, "{admitted} admitted, {waiting} waiting, {refused} refused")
    }
}
