use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    hash::Hash,
    mem,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use donjon_coalesce::{Landing, Role};
use donjon_core::{Criticality, Reject, Scope};
use donjon_store::{FillToken, Freshness, Lookup};
use tokio::{
    runtime::Handle,
    task::AbortHandle,
    time::{Instant, timeout},
};
use tower_service::Service;

use crate::{
    CacheStore, Form, Retention,
    claim::Claim,
    core::Core,
    fetch::Fetch,
    flown::{ByForm, Flown},
    stats::count,
};

/// The refreshes that run: at most one a key.
pub(crate) struct Refreshes<K> {
    tasks: Mutex<Tasks<K>>,
}

struct Tasks<K> {
    running: HashMap<K, Running>,
    /// Up to when no refresh of these keys begins, since the last one has failed: of at most `MAX_PAUSES`.
    pauses: HashMap<K, Instant>,
    /// How many have begun.
    begun: u64,
    ended: bool,
}

struct Running {
    /// Which it is: a task may have ended, and the next one of its key have begun, before its handle is here.
    number: u64,
    /// `None` up to when the task is there.
    task: Option<AbortHandle>,
}

/// Of how many keys a failure is remembered.
const MAX_PAUSES: usize = 1_024;

/// The one refresh of a key. Dropped, another one may begin.
pub(crate) struct Refreshing<K, V, St>
where
    K: Hash + Eq,
{
    core: Arc<Core<K, V, St>>,
    key: K,
    number: u64,
    succeeded: bool,
}

// ===== impl Refreshes =====

impl<K> Refreshes<K> {
    pub(crate) fn new() -> Self {
        Self { tasks: Mutex::new(Tasks { running: HashMap::new(), pauses: HashMap::new(), begun: 0, ended: false }) }
    }

    /// Ends all of them.
    pub(crate) fn end(&self) {
        let running = {
            let mut tasks = self.lock();
            tasks.ended = true;
            mem::take(&mut tasks.running)
        };
        running.into_values().filter_map(|it| it.task).for_each(|task| task.abort());
    }

    // What runs under the lock leaves the map whole, whatever panics.
    fn lock(&self) -> MutexGuard<'_, Tasks<K>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> fmt::Debug for Refreshes<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refreshes").field("running", &self.lock().running.len()).finish_non_exhaustive()
    }
}

// ===== impl Tasks =====

impl<K: Hash + Eq> Tasks<K> {
    /// Whether this key is left alone now.
    fn pauses(&mut self, key: &K) -> bool {
        let Some(until) = self.pauses.get(key) else { return false };
        let pauses = Instant::now() < *until;
        if !pauses {
            self.pauses.remove(key);
        }
        pauses
    }

    /// Leaves this key alone for so long, if there is room to remember it.
    fn pause(&mut self, key: K, pause: Duration) {
        let now = Instant::now();
        let Some(until) = now.checked_add(pause).filter(|until| *until > now) else { return };
        if self.pauses.len() >= MAX_PAUSES {
            self.pauses.retain(|_, until| now < *until);
        }
        if self.pauses.len() < MAX_PAUSES {
            self.pauses.insert(key, until);
        }
    }
}

// ===== impl Refreshing =====

impl<K, V, St> Refreshing<K, V, St>
where
    K: Hash + Eq + Clone,
{
    /// The right to refresh this key: unless somebody does already, or as many refreshes run as may.
    pub(crate) fn begin(core: &Arc<Core<K, V, St>>, key: &K) -> Option<Self> {
        let counters = &core.counters;
        let number = {
            let mut tasks = core.refreshes.lock();
            if tasks.running.contains_key(key) || tasks.ended {
                return None;
            }
            let room = tasks.running.len() < core.control.max_refreshes() && Handle::try_current().is_ok();
            if !room || tasks.pauses(key) || !core.control.pays() {
                drop(tasks);
                count(&counters.skipped_refreshes);
                return None;
            }
            tasks.begun += 1;
            let number = tasks.begun;
            tasks.running.insert(key.clone(), Running { number, task: None });
            number
        };
        count(&counters.refreshes);
        counters.refreshing.fetch_add(1, Relaxed);
        Some(Self { core: Arc::clone(core), key: key.clone(), number, succeeded: false })
    }
}

impl<K, V, St> Refreshing<K, V, St>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    St: CacheStore<K, V>,
{
    /// Makes the call in a task of its own: without the deadline of whoever found that it is time.
    ///
    /// `token` is the one of the lookup, if that has given one.
    pub(crate) fn spawn<S, R, F, P>(self, inner: S, request: R, form: F, policy: P, token: Option<FillToken>)
    where
        S: Service<R> + Send + 'static,
        S::Error: Reject + Send + 'static,
        S::Future: Send + 'static,
        R: Send + 'static,
        F: Form<R, S::Response, S::Error, Value = V> + Clone + Send + Sync + 'static,
        F::Capture: Send,
        P: Retention<K, V> + Send + 'static,
    {
        let core = Arc::clone(&self.core);
        let (key, number) = (self.key.clone(), self.number);
        let task = async move {
            let mut this = self;
            let core = Arc::clone(&this.core);
            let now = Instant::now();
            let token = match token {
                Some(token) => token,
                None => match core.store.renew(&this.key, now).await {
                    // Somebody has brought the next value meanwhile.
                    Ok(Lookup::Stale(found, token)) if is_renewed(&core, &found, now) => {
                        core.store.abandon(&this.key, token);
                        this.succeeded = true;
                        return;
                    }
                    Ok(lookup) => match lookup.token().filter(|token| token.is_leader()) {
                        Some(token) => token,
                        None => return,
                    },
                    Err(_) => return count(&core.counters.store_errors),
                },
            };
            let mut claim = Claim::new(Arc::clone(&core), this.key.clone());
            claim.grant(token, true);
            let flights = core.flights.flights::<Flown<F::Value, F::Own>, S::Error>();
            let Role::Lead(lead) = flights.enter(this.key.clone()) else {
                // The call is already made.
                this.succeeded = true;
                return;
            };
            let fetch = Fetch::new(form.clone(), policy, claim, now, inner, request);
            let mut joined = pin!(lead.run(fetch));
            let share = ByForm::new(&form);
            let landing = poll_fn(|cx| joined.as_mut().poll_shared(cx, &share)).await;
            this.succeeded = matches!(landing, Landing::Own(Ok(flown)) if !flown.failed);
        };
        let limit = self::limit(core.control.refresh_timeout(), task);
        // Work that can be done another time, if the service has too much to do.
        let scope = Scope::root().with_criticality(Criticality::SheddablePlus);
        let task = tokio::spawn(scope.wrap(limit)).abort_handle();
        let mut tasks = core.refreshes.lock();
        if tasks.ended {
            drop(tasks);
            task.abort();
        } else if let Some(running) = tasks.running.get_mut(&key).filter(|it| it.number == number) {
            running.task = Some(task);
        }
    }
}

/// The task, for so long at most.
async fn limit(limit: Duration, task: impl Future<Output = ()>) {
    // A refresh that has not ended by itself is dropped with its task, and has failed.
    let _ = timeout(limit, task).await;
}

fn is_renewed<K, V, St>(core: &Core<K, V, St>, found: &donjon_store::Found<V>, now: Instant) -> bool {
    found.at(now) == Freshness::Fresh && !core.control.is_due(found, now)
}

impl<K, V, St> Drop for Refreshing<K, V, St>
where
    K: Hash + Eq,
{
    fn drop(&mut self) {
        {
            let mut tasks = self.core.refreshes.lock();
            let gone = tasks.running.remove_entry(&self.key);
            if let Some((key, _)) = gone
                && !self.succeeded
                && !tasks.ended
            {
                tasks.pause(key, self.core.control.refresh_pause());
            }
        }
        let counters = &self.core.counters;
        counters.refreshing.fetch_sub(1, Relaxed);
        if !self.succeeded {
            count(&counters.failed_refreshes);
        }
    }
}
