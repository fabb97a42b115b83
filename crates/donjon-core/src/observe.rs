//! What a layer's handle shows of itself to whoever collects figures.

use std::sync::Arc;

/// A source of figures: the handle of a layer, a budget, a store.
///
/// It is asked when figures are collected, and reads what is counted anyway: observing costs a call nothing. Names follow
/// the Prometheus rules (`donjon_<crate>_<what>`, counters end in `_total`, durations are in seconds), and labels have
/// few values that are fixed in the code: never a key, a path or a host.
///
/// # Example
///
/// ```
/// use donjon_core::{Figure, Observe};
///
/// struct Door {
///     opened: u64,
/// }
///
/// impl Observe for Door {
///     fn observe(&self, visit: &mut dyn FnMut(Figure)) {
///         visit(Figure::counter("door_opened_total", "How often it was opened.", self.opened));
///     }
/// }
///
/// let mut lines = Vec::new();
/// Door { opened: 3 }.observe(&mut |figure| lines.push(format!("{} {:?}", figure.name(), figure.value())));
/// assert_eq!(lines, ["door_opened_total Counter(3)"]);
/// ```
pub trait Observe {
    /// Shows each figure to `visit`, as it is now. The figures are read one after the other, not at one instant.
    fn observe(&self, visit: &mut dyn FnMut(Figure));
}

/// One figure of an [`Observe`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    name: &'static str,
    help: &'static str,
    value: FigureValue,
    labels: [Option<(&'static str, &'static str)>; Self::LABELS],
}

/// The value of a [`Figure`], and with it what kind of figure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum FigureValue {
    /// Only grows, from 0 at the start of the process.
    Counter(u64),
    /// Goes up and down.
    Gauge(f64),
}

// ===== impl Figure =====

impl Figure {
    /// How many labels a figure has at most.
    const LABELS: usize = 2;

    /// A number that only grows. `help` is a sentence.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, value: FigureValue::Counter(value), labels: [None; Self::LABELS] }
    }

    /// A number that goes up and down. `help` is a sentence.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, value: FigureValue::Gauge(value), labels: [None; Self::LABELS] }
    }

    /// With this label. A figure has room for two; a third one is left out.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: &'static str) -> Self {
        if let Some(place) = self.labels.iter_mut().find(|place| place.is_none()) {
            *place = Some((name, value));
        }
        self
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it says, as a sentence.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        self.help
    }

    /// Its value now.
    #[must_use]
    pub const fn value(&self) -> FigureValue {
        self.value
    }

    /// Its labels, each a name and a value.
    pub fn labels(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        self.labels.into_iter().flatten()
    }
}

// ===== impl Observe =====

impl<T: Observe + ?Sized> Observe for &T {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        (**self).observe(visit);
    }
}

impl<T: Observe + ?Sized> Observe for Arc<T> {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        (**self).observe(visit);
    }
}

impl<T: Observe> Observe for Option<T> {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        if let Some(observed) = self {
            observed.observe(visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_label_is_left_out() {
        let figure = Figure::gauge("g", "A gauge.", 1.5).label("a", "1").label("b", "2").label("c", "3");
        assert_eq!(figure.labels().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    }
}
