//! Figures for the facade `metrics`.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Figure, FigureValue, Observe};

/// Hands the figures of handles to the recorder of the `metrics` facade, when it is told to.
///
/// Nothing is recorded while calls go through the layers: [`publish`](Self::publish) reads the counters that the handles
/// have anyway and sets the recorder's to them. Call it whenever figures are collected, such as in the handler of
/// `/metrics`, or once in some seconds where a recorder pushes. Each figure has the label `stack` with the name that its
/// handle was given, beside its own.
///
/// # Example
///
/// ```
/// use donjon_core::{Figure, Observe, metrics::Publisher};
///
/// struct Door;
///
/// impl Observe for Door {
///     fn observe(&self, visit: &mut dyn FnMut(Figure)) {
///         visit(Figure::gauge("door_open", "Whether it is open.", 1.0));
///     }
/// }
///
/// let publisher = Publisher::new();
/// publisher.watch("front", Door);
/// publisher.publish(); // `door_open{stack="front"} 1`, in whatever recorder is installed
/// ```
#[derive(Default)]
pub struct Publisher {
    watched: Mutex<Vec<Arc<Watched>>>,
}

struct Watched {
    stack: String,
    source: Box<dyn Observe + Send + Sync>,
}

// ===== impl Publisher =====

impl Publisher {
    /// One that watches nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes the figures of this handle from now on. `stack` tells it from others with the same figures; two handles
    /// of one kind need two names.
    pub fn watch(&self, stack: impl Into<String>, source: impl Observe + Send + Sync + 'static) {
        let watched = Arc::new(Watched { stack: stack.into(), source: Box::new(source) });
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).push(watched);
    }

    /// Publishes no more of the handles that were given this name. What a recorder has of them stays as it is, and a
    /// publication that is under way may still see them.
    pub fn unwatch(&self, stack: &str) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let (gone, kept) = std::mem::take(&mut *watched).into_iter().partition::<Vec<_>, _>(|it| it.stack == stack);
        *watched = kept;
        drop(watched);
        // Without the lock: a source is foreign code.
        drop(gone);
    }

    /// Sets the recorder's figures to what they are now.
    pub fn publish(&self) {
        for watched in self.watched() {
            watched.source.observe(&mut |figure| record(&watched.stack, &figure));
        }
    }

    /// A copy: sources and recorders are foreign code, which is not to run under the lock.
    fn watched(&self) -> Vec<Arc<Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.watched().iter().map(|watched| &watched.stack)).finish()
    }
}

fn record(stack: &str, figure: &Figure) {
    let mut labels = vec![metrics::Label::new("stack", stack.to_owned())];
    labels.extend(figure.labels().map(|(name, value)| metrics::Label::from_static_parts(name, value)));
    match figure.value() {
        FigureValue::Counter(value) => {
            metrics::describe_counter!(figure.name(), figure.help());
            metrics::counter!(figure.name(), labels).absolute(value);
        }
        FigureValue::Gauge(value) => {
            metrics::describe_gauge!(figure.name(), figure.help());
            metrics::gauge!(figure.name(), labels).set(value);
        }
    }
}
