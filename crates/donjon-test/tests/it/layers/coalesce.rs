//! Calls of the same number join the one that runs, and perhaps its answer is remembered.

use std::{
    collections::HashMap,
    future::poll_fn,
    mem,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use donjon_core::{CallError, Deadline, Phase, RejectionKind};
use tower::{Layer, Service};

use super::{BoxFuture, ready, rejected, until};

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CoalesceFault {
    None,
    /// Correct: it forgets an answer at once.
    Forgets,
    HitKeepsTheReadied,
    DropOfTheFirstFailsTheOthers,
    DropOfTheFirstForgetsTheOthers,
    PanicPoisonsTheKey,
}

#[derive(Clone)]
pub(crate) struct CoalesceLayer {
    keys: Arc<Keys>,
}

#[derive(Clone)]
pub(crate) struct Coalesce<S> {
    inner: S,
    keys: Arc<Keys>,
}

struct Keys {
    fault: CoalesceFault,
    keys: Mutex<HashMap<u64, Key>>,
}

enum Key {
    Running(Vec<Waker>),
    Known(u64),
    /// Whoever ran it has gone, and whoever joined it is told so; with that fault.
    Failed,
}

/// The one whose inner call runs. The key is free again when it is dropped.
struct Leader {
    keys: Arc<Keys>,
    id: u64,
    /// The inner call was made.
    called: bool,
}

enum Role {
    Leads(Leader),
    Joins,
    Hit(u64),
}

impl CoalesceLayer {
    pub(crate) fn new(fault: CoalesceFault) -> Self {
        Self { keys: Arc::new(Keys { fault, keys: Mutex::default() }) }
    }
}

impl<S> Layer<S> for CoalesceLayer {
    type Service = Coalesce<S>;

    fn layer(&self, inner: S) -> Coalesce<S> {
        Coalesce { inner, keys: Arc::clone(&self.keys) }
    }
}

impl<S> Service<u64> for Coalesce<S>
where
    S: Service<u64, Response = u64, Error = CallError> + Clone + 'static,
    S::Future: 'static,
{
    type Response = u64;
    type Error = CallError;
    type Future = BoxFuture<Result<u64, CallError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, id: u64) -> Self::Future {
        let role = self.keys.role(id);
        if let Role::Leads(mut leader) = role {
            let future = self.inner.call(id);
            leader.called = true;
            return Box::pin(async move {
                let result = future.await;
                leader.end(&result);
                result
            });
        }
        let mut inner = self.inner.clone();
        if self.keys.fault != CoalesceFault::HitKeepsTheReadied {
            drop(mem::replace(&mut self.inner, inner.clone()));
        }
        if let Role::Hit(answer) = role {
            return Box::pin(std::future::ready(Ok(answer)));
        }
        let keys = Arc::clone(&self.keys);
        Box::pin(async move {
            let deadline = Deadline::current();
            let ended = poll_fn(|cx| keys.poll_ended(id, cx));
            if let Some(result) = until(deadline, ended, Phase::Queue).await? {
                return result;
            }
            // Nobody runs it any more.
            loop {
                match keys.role(id) {
                    Role::Hit(answer) => return Ok(answer),
                    Role::Joins => {
                        let ended = poll_fn(|cx| keys.poll_ended(id, cx));
                        if let Some(result) = until(deadline, ended, Phase::Queue).await? {
                            return result;
                        }
                    }
                    Role::Leads(leader) => {
                        ready(&mut inner, deadline).await?;
                        if deadline.has_passed() {
                            return Err(rejected(RejectionKind::DeadlineExceeded, Phase::Queue));
                        }
                        let result = inner.call(id).await;
                        leader.end(&result);
                        return result;
                    }
                }
            }
        })
    }
}

impl Keys {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Key>> {
        self.keys.lock().expect("no panic while it is held")
    }

    fn role(self: &Arc<Self>, id: u64) -> Role {
        match self.lock().entry(id).or_insert(Key::Failed) {
            Key::Running(_) => Role::Joins,
            Key::Known(answer) => Role::Hit(*answer),
            free @ Key::Failed => {
                *free = Key::Running(Vec::new());
                Role::Leads(Leader { keys: Arc::clone(self), id, called: false })
            }
        }
    }

    /// `None` says that the key is free.
    fn poll_ended(&self, id: u64, cx: &mut Context<'_>) -> Poll<Option<Result<u64, CallError>>> {
        match self.lock().get_mut(&id) {
            Some(Key::Running(wakers)) => {
                wakers.push(cx.waker().clone());
                Poll::Pending
            }
            Some(Key::Known(answer)) => Poll::Ready(Some(Ok(*answer))),
            Some(Key::Failed) => Poll::Ready(Some(Err(CallError::new("the first one has gone")))),
            None => Poll::Ready(None),
        }
    }
}

impl Leader {
    fn end(&self, result: &Result<u64, CallError>) {
        if let Ok(answer) = result
            && self.keys.fault != CoalesceFault::Forgets
        {
            self.free(Some(Key::Known(*answer)), true);
        }
    }

    fn free(&self, key: Option<Key>, wake: bool) {
        let mut keys = self.keys.lock();
        let Some(Key::Running(wakers)) = keys.remove(&self.id) else {
            // It was ended before.
            return;
        };
        keys.extend(key.map(|key| (self.id, key)));
        drop(keys);
        if wake {
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if matches!(self.keys.lock().get(&self.id), Some(Key::Known(_))) {
            return;
        }
        match self.keys.fault {
            CoalesceFault::PanicPoisonsTheKey if self.called && std::thread::panicking() => {}
            CoalesceFault::DropOfTheFirstFailsTheOthers => self.free(Some(Key::Failed), true),
            CoalesceFault::DropOfTheFirstForgetsTheOthers => self.free(None, false),
            _ => self.free(None, true),
        }
    }
}
