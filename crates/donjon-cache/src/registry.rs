use std::{
    any::Any,
    fmt,
    hash::Hash,
    sync::{Mutex, OnceLock, PoisonError, RwLock},
};

use donjon_coalesce::Flights;

/// The calls in flight of one layer value. What they answer and how they fail is known to its services alone, so they
/// are found by that: one state for each combination, of which there is nearly always one.
pub(crate) struct Registry<K> {
    max_followers: Mutex<Option<usize>>,
    first: OnceLock<Box<dyn AnyFlights<K>>>,
    others: RwLock<Vec<Box<dyn AnyFlights<K>>>>,
}

/// Calls in flight of whatever kind.
trait AnyFlights<K>: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn retire(&self, key: &K);
    fn retire_all(&self);
    fn retire_if(&self, which: &dyn Fn(&K) -> bool);
}

// ===== impl Registry =====

impl<K> Registry<K> {
    pub(crate) fn new(max_followers: Option<usize>) -> Self {
        Self { max_followers: Mutex::new(max_followers), first: OnceLock::new(), others: RwLock::default() }
    }

    pub(crate) fn max_followers(&self) -> Option<usize> {
        *self.max_followers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Send + Sync + 'static> Registry<K> {
    #[inline]
    pub(crate) fn flights<V, E>(&self) -> Flights<K, V, E>
    where
        V: Send + Sync + 'static,
        E: Send + 'static,
    {
        let first = self.first.get_or_init(|| Box::new(self.make::<V, E>()));
        match first.as_any().downcast_ref::<Flights<K, V, E>>() {
            Some(flights) => flights.clone(),
            None => self.other(),
        }
    }

    #[cold]
    fn other<V, E>(&self) -> Flights<K, V, E>
    where
        V: Send + Sync + 'static,
        E: Send + 'static,
    {
        let find = |others: &[Box<dyn AnyFlights<K>>]| {
            others.iter().find_map(|other| other.as_any().downcast_ref::<Flights<K, V, E>>().cloned())
        };
        if let Some(flights) = find(&self.others.read().unwrap_or_else(PoisonError::into_inner)) {
            return flights;
        }
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(flights) = find(&others) {
            return flights;
        }
        let flights = self.make();
        others.push(Box::new(Flights::clone(&flights)));
        flights
    }

    fn make<V, E>(&self) -> Flights<K, V, E> {
        let flights = Flights::new();
        match self.max_followers() {
            Some(max) => flights.max_followers(max),
            None => flights,
        }
    }
}

impl<K> Registry<K> {
    /// Nobody joins the call of this key from now on.
    pub(crate) fn retire(&self, key: &K) {
        self.each(|flights| flights.retire(key));
    }

    /// Nobody joins any call that runs now.
    pub(crate) fn retire_all(&self) {
        self.each(|flights| flights.retire_all());
    }

    /// Nobody joins the calls of these keys from now on.
    pub(crate) fn retire_if(&self, which: &dyn Fn(&K) -> bool) {
        self.each(|flights| flights.retire_if(which));
    }

    fn each(&self, f: impl Fn(&dyn AnyFlights<K>)) {
        self.first.get().into_iter().for_each(|flights| f(&**flights));
        self.others.read().unwrap_or_else(PoisonError::into_inner).iter().for_each(|flights| f(&**flights));
    }
}

impl<K, V, E> AnyFlights<K> for Flights<K, V, E>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    E: Send + 'static,
{
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn retire(&self, key: &K) {
        Flights::retire(self, key);
    }

    fn retire_all(&self) {
        Flights::retire_all(self);
    }

    fn retire_if(&self, which: &dyn Fn(&K) -> bool) {
        Flights::retire_if(self, which);
    }
}

impl<K> fmt::Debug for Registry<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}
