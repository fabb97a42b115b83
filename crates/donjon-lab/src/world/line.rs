use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use donjon_core::{CallError, Reject, Rejection, RejectionKind};
use tokio::{sync::oneshot, time::Instant};
use tower::{ServiceExt, service_fn};

use crate::{
    baselines::codel::Codel,
    world::{Ask, Client, client},
};

/// Who of those that wait is next.
#[derive(Clone, Debug)]
pub enum Discipline {
    /// The oldest, unless CoDel drops it.
    Codel(Codel),
    /// The oldest, until the queue has not been empty for so long: then the newest, and the oldest that have waited
    /// longer than the second time are dropped.
    ///
    /// Source: "Fail at Scale", Ben Maurer, ACM Queue 13(8), 2015: adaptive LIFO.
    AdaptiveLifo {
        /// How long a queue may stand.
        standing: Duration,
        /// How long anybody may wait.
        longest: Duration,
    },
}

/// A bound on what is in flight whose queue follows a [`Discipline`] of somebody else's: a baseline.
#[derive(Clone, Debug)]
pub struct Line(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    discipline: Discipline,
    waiting: VecDeque<(Instant, oneshot::Sender<()>)>,
    last_empty: Instant,
}

/// A place among those that are served.
struct Place(Line);

// ===== impl Line =====

impl Line {
    /// At most so many in flight.
    #[must_use]
    pub fn new(most: usize, discipline: Discipline) -> Self {
        let last_empty = Instant::now();
        Self(Arc::new(Mutex::new(State { free: most, discipline, waiting: VecDeque::new(), last_empty })))
    }

    /// Puts the line before a service.
    #[must_use]
    pub fn before(self, inner: Client) -> Client {
        client(service_fn(move |ask: Ask| {
            let (line, inner) = (self.clone(), inner.clone());
            async move {
                let Some(_place) = line.enter().await else {
                    return Err(CallError::from_rejection(Rejection::new(RejectionKind::Overloaded, "line")));
                };
                inner.oneshot(ask).await
            }
        }))
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.0.lock().expect("nobody panics under this lock"))
    }

    async fn enter(&self) -> Option<Place> {
        let turn = self.with(|state| {
            if state.free > 0 {
                state.free -= 1;
                return None;
            }
            let (sender, turn) = oneshot::channel();
            state.waiting.push_back((Instant::now(), sender));
            Some(turn)
        });
        match turn {
            None => Some(Place(self.clone())),
            Some(turn) => turn.await.ok().map(|()| Place(self.clone())),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.with(|state| {
            let now = Instant::now();
            while let Some(next) = state.next(now) {
                // Whoever has left in the meantime is passed over.
                if next.send(()).is_ok() {
                    return;
                }
            }
            state.free += 1;
        });
    }
}

// ===== impl State =====

impl State {
    fn next(&mut self, now: Instant) -> Option<oneshot::Sender<()>> {
        match &mut self.discipline {
            Discipline::Codel(codel) => loop {
                let (since, sender) = self.waiting.pop_front()?;
                if !codel.drops(now, now - since) {
                    return Some(sender);
                }
            },
            Discipline::AdaptiveLifo { standing, longest } => {
                while self.waiting.front().is_some_and(|(since, _)| now - *since > *longest) {
                    self.waiting.pop_front();
                }
                let newest_first = now - self.last_empty > *standing;
                let next = if newest_first { self.waiting.pop_back() } else { self.waiting.pop_front() };
                if self.waiting.is_empty() {
                    self.last_empty = now;
                }
                next.map(|(_, sender)| sender)
            }
        }
    }
}
