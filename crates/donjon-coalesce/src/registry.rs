use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::{Flights, control::Control};

/// The calls in flight of one layer value. The layer does not know the types of the services that it will wrap, so they
/// are found by them: one state for each combination of key, response and error, of which there is nearly always one.
pub(crate) struct Registry {
    control: Arc<Control>,
    first: OnceLock<Box<dyn Any + Send + Sync>>,
    others: Mutex<Vec<Box<dyn Any + Send + Sync>>>,
}

// ===== impl Registry =====

impl Registry {
    pub(crate) fn new(control: Control) -> Self {
        Self { control: Arc::new(control), first: OnceLock::new(), others: Mutex::default() }
    }

    pub(crate) fn control(&self) -> &Arc<Control> {
        &self.control
    }

    #[inline]
    pub(crate) fn flights<K, V, E>(&self) -> Flights<K, V, E>
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        E: Send + 'static,
    {
        let first = self.first.get_or_init(|| Box::new(self.make::<K, V, E>()));
        match first.downcast_ref::<Flights<K, V, E>>() {
            Some(flights) => flights.clone(),
            None => self.other(),
        }
    }

    #[cold]
    fn other<K, V, E>(&self) -> Flights<K, V, E>
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        E: Send + 'static,
    {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flights) = others.iter().find_map(|other| other.downcast_ref::<Flights<K, V, E>>()) {
            return flights.clone();
        }
        let flights = self.make();
        others.push(Box::new(Flights::clone(&flights)));
        flights
    }

    fn make<K, V, E>(&self) -> Flights<K, V, E> {
        Flights::with_control(Arc::clone(&self.control))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("control", &self.control).finish_non_exhaustive()
    }
}
