use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::{circuit::Circuit, gate::Look};

/// What a service that is not ready waits by: a place among those that are told, and a timer. Dropped, it leaves.
pub(crate) struct Wait {
    circuit: Arc<Circuit>,
    key: Option<u64>,
    timer: Option<Pin<Box<Sleep>>>,
}

// ===== impl Wait =====

impl Wait {
    pub(crate) const fn new(circuit: Arc<Circuit>) -> Self {
        Self { circuit, key: None, timer: None }
    }

    /// Waits until a call would be let in.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let at = match self.circuit.look(&mut self.key, cx.waker(), Instant::now) {
                Look::Admits => return Poll::Ready(()),
                Look::At(at) => at,
                Look::WhenTold => return Poll::Pending,
            };
            let timer = match &mut self.timer {
                Some(timer) => {
                    if timer.deadline() != at {
                        timer.as_mut().reset(at);
                    }
                    timer
                }
                None => self.timer.insert(Box::pin(sleep_until(at))),
            };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.circuit.forget(key);
        }
    }
}
