use std::{
    fmt,
    panic::resume_unwind,
    pin::Pin,
    task::{Context, Poll, ready},
};

use donjon_core::CallError;
use tokio::time::{Sleep, sleep};

use super::{
    ProbeHandle, ProbePanic, Reply, Violation,
    handle::wake,
    reply::{End, Wait},
};
use crate::{Exchange, Message};

/// A call of a [`Probe`](crate::Probe).
#[must_use = "futures do nothing unless polled"]
pub struct ProbeFuture<X> {
    exchange: X,
    request: Option<Message>,
    run: Run,
}

/// A call that runs: it ends when it is dropped.
struct Run {
    handle: ProbeHandle,
    id: Option<u64>,
    serial: u64,
    reply: Reply,
    sleep: Option<Pin<Box<Sleep>>>,
    /// The poll from outside in which it was last pending.
    pending_in: Option<u64>,
    ended: bool,
}

// ===== impl ProbeFuture =====

impl<X> ProbeFuture<X> {
    pub(crate) fn new(exchange: X, handle: ProbeHandle, request: Message, serial: u64, reply: Reply) -> Self {
        let run = Run { handle, id: request.id(), serial, reply, sleep: None, pending_in: None, ended: false };
        Self { exchange, request: Some(request), run }
    }
}

// Nothing in it is pinned but what has a box of its own.
impl<X> Unpin for ProbeFuture<X> {}

impl<X> Future for ProbeFuture<X>
where
    X: Exchange,
{
    type Output = Result<X::Response, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let run = &mut this.run;
        {
            let mut state = run.handle.lock();
            state.stats.polls += 1;
            if run.ended {
                state.violations.push(Violation::PolledAfterEnd { id: run.id });
                return Poll::Pending;
            }
        }
        if let Some(request) = &mut this.request {
            if let Err(how) = ready!(request.poll_read(cx)) {
                run.handle.lock().violations.push(Violation::RequestChanged { id: run.id, how });
            }
            this.request = None;
        }
        ready!(run.poll_wait(cx));

        let id = run.id.unwrap_or_default();
        let end = run.reply.end;
        run.end(Some(end));
        Poll::Ready(match end {
            End::Answer => Ok(this.exchange.answer(id)),
            End::Unavailable => Ok(this.exchange.unavailable(id)),
            End::Truncated => Ok(this.exchange.truncated(id)),
            End::Fail => Err(run.handle.lock().error(false).into()),
            End::Panic | End::PanicInCall => resume_unwind(Box::new(ProbePanic)),
        })
    }
}

impl<X> fmt::Debug for ProbeFuture<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeFuture").field("id", &self.run.id).field("reply", &self.run.reply).finish_non_exhaustive()
    }
}

// ===== impl Run =====

impl Run {
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.reply.wait {
            Wait::No | Wait::Polls(0) => return Poll::Ready(()),
            Wait::Polls(left) => {
                *left -= 1;
                self.handle.lock().stats.wakes += 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            &mut Wait::For(wait) => {
                if self.sleep.get_or_insert_with(|| Box::pin(sleep(wait))).as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                return Poll::Pending;
            }
            Wait::Held | Wait::Forever => {}
        }
        let mut state = self.handle.lock();
        let epoch = state.epoch;
        let running = state.running.get_mut(&self.serial).expect("a call that has not ended runs");
        if self.reply.wait == Wait::Held && !running.held {
            return Poll::Ready(());
        }
        let woken = running.waker.replace(cx.waker().clone()).is_none();
        if !woken && epoch > 0 && self.pending_in == Some(epoch) {
            state.violations.push(Violation::Spun);
        }
        self.pending_in = Some(epoch);
        Poll::Pending
    }

    /// Notes the end: `None` says that it was dropped.
    fn end(&mut self, end: Option<End>) {
        self.ended = true;
        self.sleep = None;
        let wakers = {
            let mut state = self.handle.lock();
            state.running.remove(&self.serial);
            state.stats.in_flight -= 1;
            match end {
                Some(End::Answer) => state.stats.answered += 1,
                Some(End::Fail | End::Unavailable | End::Truncated) => state.stats.failed += 1,
                Some(End::Panic | End::PanicInCall) => state.stats.panicked += 1,
                None => state.stats.dropped += 1,
            }
            state.take_unready()
        };
        wake(wakers);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.ended {
            self.end(None);
        }
    }
}
