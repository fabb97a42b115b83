//! One call from outside, driven by hand: polled when it was woken and only then, each time with another waker.

use std::{
    future::poll_fn,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use donjon_core::{CallError, Scope};
use tokio::time::{Instant, sleep, sleep_until};

use super::erase::{Answering, Subject};
use crate::{LocalMessage, ProbeHandle, probe::ProbePanic};

/// A call through a service of its own or through one that others share.
pub(super) struct Call {
    id: u64,
    scope: Scope,
    stage: Stage,
    /// The service that was called, where it is the call's own: as a caller that goes on holding its clone.
    service: Option<Box<dyn Subject>>,
    /// The future, which is kept when it has ended.
    future: Option<Answering>,
    response: Option<LocalMessage>,
    flag: Arc<Flag>,
    probe: ProbeHandle,
    until: Until,
    oneshot: bool,
    polls: usize,
}

/// How far a call goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// The service is ready.
    Ready,
    /// It was called; the future is never polled.
    Called,
    /// The response is there, and is not read.
    Responded,
    /// All of the response was read.
    Read,
}

/// How far a call is.
#[derive(Debug)]
pub(super) enum Stage {
    /// The service is not ready yet.
    Unready,
    /// It is as far as it should go.
    Idle,
    /// The future runs.
    Running,
    /// The response is there, and its body is being read.
    Reading,
    /// All of it was read. `Some` says how it differs from what was sent.
    Answered(Option<String>),
    Failed(CallError),
    Panicked,
}

/// Whether something was woken. Each poll has another waker, and only that of the last poll counts.
struct Flag {
    woken: AtomicBool,
    generation: Mutex<u64>,
    hub: Hub,
}

/// Where the driver waits for any of its calls.
#[derive(Clone, Default)]
pub(super) struct Hub(Arc<Mutex<Bell>>);

#[derive(Default)]
struct Bell {
    rung: bool,
    waker: Option<Waker>,
}

struct OncePerPoll {
    flag: Arc<Flag>,
    generation: u64,
}

/// How a time of driving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// Nobody has been woken who was not polled since.
    Quiet,
    /// The calls wake themselves on and on.
    Spinning,
}

/// So often a call is polled at one instant before it counts as spinning. A layer needs a few, and a body one a frame.
const POLLS_AT_ONCE: usize = 64;

// ===== impl Call =====

impl Call {
    /// A call of this service once that is ready; the service stays with the call.
    pub(super) fn new(hub: &Hub, probe: &ProbeHandle, service: Box<dyn Subject>, id: u64, scope: Scope) -> Self {
        Self {
            id,
            scope,
            stage: Stage::Unready,
            service: Some(service),
            future: None,
            response: None,
            flag: Flag::new(hub),
            probe: probe.clone(),
            until: Until::Read,
            oneshot: false,
            polls: 0,
        }
    }

    /// The same, which goes this far and leaves it at that.
    pub(super) fn until(mut self, until: Until) -> Self {
        self.until = until;
        self
    }

    /// The same, which drops the service once that was called.
    pub(super) fn oneshot(mut self) -> Self {
        self.oneshot = true;
        self
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// How often it was polled.
    pub(super) fn polls(&self) -> usize {
        self.polls
    }

    /// Whether the caller still waits to make it.
    pub(super) fn is_unready(&self) -> bool {
        matches!(self.stage, Stage::Unready)
    }

    /// Whether it came to its own end, so that nobody holds anything for it any more.
    pub(super) fn has_completed(&self) -> bool {
        matches!(self.stage, Stage::Answered(_) | Stage::Failed(_) | Stage::Panicked)
    }

    /// Whether it goes no further.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Idle | Stage::Answered(_) | Stage::Failed(_) | Stage::Panicked)
    }

    /// Takes the service away, so that the call goes on without it.
    pub(super) fn take_service(&mut self) -> Option<Box<dyn Subject>> {
        self.service.take()
    }

    /// Polls it if it was woken, or never polled. Says whether it did.
    pub(super) fn poll_if_woken(&mut self) -> bool {
        if self.has_ended() || !self.flag.woken.swap(false, Ordering::SeqCst) {
            return false;
        }
        self.poll();
        true
    }

    /// Polls it, as an executor does: whether somebody has woken it or not, with another waker than the last time.
    pub(super) fn poll(&mut self) {
        if self.has_ended() {
            return;
        }
        self.polls += 1;
        let waker = self.flag.next_waker();
        let mut cx = Context::from_waker(&waker);
        self.probe.begin_poll();
        let mut scope = self.scope;
        let step = catch_unwind(AssertUnwindSafe(|| scope.enter(|| self.step(&mut cx))));
        self.scope = scope;
        if let Err(payload) = step {
            if !payload.is::<ProbePanic>() {
                resume_unwind(payload);
            }
            // What an executor does with a task that panicked.
            self.response = None;
            self.future = None;
            self.stage = Stage::Panicked;
        }
    }

    fn step(&mut self, cx: &mut Context<'_>) {
        loop {
            match &self.stage {
                Stage::Unready => {
                    let service = self.service.as_mut().expect("a call that is not ready has its service");
                    match service.poll_ready(cx) {
                        Poll::Pending => return,
                        Poll::Ready(Err(error)) => {
                            // A service whose readiness failed is to be discarded.
                            self.service = None;
                            self.stage = Stage::Failed(error);
                            return;
                        }
                        Poll::Ready(Ok(())) if self.until == Until::Ready => {
                            self.stage = Stage::Idle;
                            return;
                        }
                        Poll::Ready(Ok(())) => {
                            self.future = Some(service.call(self.id));
                            self.stage = Stage::Running;
                            if self.oneshot {
                                self.service = None;
                            }
                            if self.until == Until::Called {
                                self.stage = Stage::Idle;
                                return;
                            }
                        }
                    }
                }
                Stage::Running => {
                    let future = self.future.as_mut().expect("a call that runs has a future");
                    match future.as_mut().poll(cx) {
                        Poll::Pending => return,
                        Poll::Ready(Err(error)) => {
                            self.stage = Stage::Failed(error);
                            return;
                        }
                        Poll::Ready(Ok(response)) => {
                            self.response = Some(response);
                            if self.until == Until::Responded {
                                self.stage = Stage::Idle;
                                return;
                            }
                            self.stage = Stage::Reading;
                        }
                    }
                }
                Stage::Reading => {
                    let id = self.id;
                    let response = self.response.as_mut().expect("a call whose response is read has one");
                    if let Poll::Ready(read) = response.poll_read(cx) {
                        let changed = match (response.id(), read) {
                            (_, Err(how)) => Some(how),
                            (Some(got), _) if got == id => None,
                            (Some(got), _) => Some(format!("call {id} got the answer to call {got}")),
                            (None, _) => Some("it is none of the responses that were sent".to_owned()),
                        };
                        self.stage = Stage::Answered(changed);
                    }
                    return;
                }
                Stage::Idle | Stage::Answered(_) | Stage::Failed(_) | Stage::Panicked => return,
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // A check ends in a panic only when something is broken for good: whatever is dropped now may panic too, and
        // end the process before anybody has read the report.
        if thread::panicking() {
            mem::forget((self.future.take(), self.response.take(), self.service.take()));
        }
    }
}

// ===== impl Flag =====

impl Flag {
    fn new(hub: &Hub) -> Arc<Self> {
        // Woken, as a new task is.
        Arc::new(Self { woken: AtomicBool::new(true), generation: Mutex::new(0), hub: hub.clone() })
    }

    fn next_waker(self: &Arc<Self>) -> Waker {
        let mut generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        *generation += 1;
        Waker::from(Arc::new(OncePerPoll { flag: Arc::clone(self), generation: *generation }))
    }
}

impl Wake for OncePerPoll {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let last = *self.flag.generation.lock().unwrap_or_else(PoisonError::into_inner);
        if self.generation == last {
            self.flag.woken.store(true, Ordering::SeqCst);
            self.flag.hub.ring();
        }
    }
}

// ===== impl Hub =====

impl Hub {
    fn ring(&self) {
        let waker = {
            let mut bell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            bell.rung = true;
            bell.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Polls all calls until nobody is woken any more. No time passes on the paused clock.
    pub(super) async fn settle(&self, calls: &mut [Call]) -> Settled {
        let mut quiet = 0;
        let mut polls = vec![0; calls.len()];
        // In a crowd each may be woken at every move of another one.
        let most = POLLS_AT_ONCE + calls.len();
        while quiet < 3 {
            let mut polled = false;
            for (call, polls) in calls.iter_mut().zip(&mut polls) {
                if call.poll_if_woken() {
                    polled = true;
                    *polls += 1;
                }
            }
            if polled {
                quiet = 0;
                if polls.iter().any(|&polls| polls > most) {
                    return Settled::Spinning;
                }
            } else {
                // Other tasks, and timers that are due.
                tokio::task::yield_now().await;
                quiet += 1;
            }
        }
        Settled::Quiet
    }

    /// Settles, polling once more whoever has not ended though nobody has woken it: for a check whose business is not
    /// who is woken.
    pub(super) async fn insist(&self, calls: &mut [Call]) -> Settled {
        self.settle(calls).await;
        calls.iter_mut().for_each(Call::poll);
        self.settle(calls).await
    }

    /// Lets time pass, and polls whoever is woken meanwhile.
    pub(super) async fn elapse(&self, calls: &mut [Call], time: Duration) -> Settled {
        let end = Instant::now() + time;
        let mut settled = Settled::Quiet;
        loop {
            if self.settle(calls).await == Settled::Spinning {
                settled = Settled::Spinning;
            }
            let now = Instant::now();
            if now >= end {
                return settled;
            }
            if settled == Settled::Spinning {
                // Nobody ever waits here; steps enough that timers are seen.
                sleep((time / 16).max(Duration::from_millis(1))).await;
            } else {
                self.rung_or(end).await;
            }
        }
    }

    async fn rung_or(&self, end: Instant) {
        let mut sleep = Box::pin(sleep_until(end));
        poll_fn(|cx| {
            let mut bell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if mem::take(&mut bell.rung) {
                return Poll::Ready(());
            }
            bell.waker = Some(cx.waker().clone());
            drop(bell);
            sleep.as_mut().poll(cx)
        })
        .await;
    }
}
