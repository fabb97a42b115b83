use std::{fmt, sync::Arc};

use donjon_core::{ClassifyRejection, Fresh, Outcome};
use tower_layer::Layer;

use crate::{
    Fallback, Function, Handle, Second, Value,
    handle::Counters,
    service::{Config, Predicate},
};

/// Answers otherwise where the inner service has failed: the recipe. See the [crate's documentation](crate) for an example.
///
/// `P` is where the second answer comes from, `C` the classifier. Clones, and every service that it has made, share the
/// figures. The setters change the value that they return, and no clone that was taken before.
#[derive(Clone)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct FallbackLayer<P, C = ClassifyRejection> {
    source: P,
    classify: C,
    on: Option<Predicate>,
    counters: Arc<Counters>,
    bypass: bool,
}

// ===== impl FallbackLayer =====

impl<T> FallbackLayer<Value<T>> {
    /// Answers with a clone of this value. Asks nothing of the request.
    pub fn value(value: T) -> Self {
        Self::new(Value::new(value))
    }
}

impl<F> FallbackLayer<Function<F>> {
    /// Answers with what this function makes of the request and of the failure (`Fn(Req, Result<Res, Err>) ->
    /// Result<Res, Err>`): an error, or a response that was classified as a failure. It may hand it on as it is.
    ///
    /// The request must implement [`Replay`](donjon_core::Replay), which keeps a copy; of one that cannot be copied
    /// the failure is the answer.
    ///
    /// ```
    /// use donjon_core::CallError;
    /// use donjon_fallback::FallbackLayer;
    ///
    /// let layer = FallbackLayer::function(|id: u64, failed: Result<u64, CallError>| if id < 100 { Ok(0) } else { failed });
    /// ```
    pub fn function(function: F) -> Self {
        Self::new(Function::new(function))
    }
}

impl<S> FallbackLayer<Second<S>> {
    /// Answers with what this service says to the same request. It has the response and the error type of the first, and
    /// gets a clone of its own readied and called for each failure, in the scope of the caller.
    ///
    /// The request must implement [`Replay`](donjon_core::Replay), which keeps a copy; of one that cannot be copied,
    /// and after the ambient deadline, the failure is the answer.
    pub fn service(service: S) -> Self {
        Self::new(Second::new(service))
    }
}

impl<P> FallbackLayer<P> {
    /// Answers with what a [`Source`](crate::Source) of your own says.
    pub fn new(source: P) -> Self {
        Self { source, classify: ClassifyRejection, on: None, counters: Arc::default(), bypass: false }
    }
}

impl<P, C> FallbackLayer<P, C> {
    /// Answers for these outcomes alone. Default: for all but `Success` and `Cancelled`.
    ///
    /// ```
    /// use donjon_core::Outcome;
    /// use donjon_fallback::FallbackLayer;
    ///
    /// // Only where the call was refused by a layer of ours: a breaker, a limit.
    /// let layer = FallbackLayer::value("try again later").on(|outcome| matches!(outcome, Outcome::Refused { .. }));
    /// ```
    pub fn on(mut self, asked_for: impl Fn(&Outcome) -> bool + Send + Sync + 'static) -> Self {
        self.on = Some(Predicate::new(asked_for));
        self
    }

    /// Another classifier of responses and errors. Default: [`ClassifyRejection`], by which a response is a success.
    pub fn classify<D>(self, classify: D) -> FallbackLayer<P, D> {
        let Self { source, on, counters, bypass, .. } = self;
        FallbackLayer { source, classify, on, counters, bypass }
    }

    /// For HTTP: responses are classified by their status
    /// ([`HttpClassify`](donjon_http::HttpClassify)), when the head is there.
    #[cfg(feature = "http")]
    pub fn http(self) -> FallbackLayer<P, donjon_http::HttpClassify> {
        self.classify(donjon_http::HttpClassify::new())
    }

    /// The operator's end: the figures of this layer, its clones and their services.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.counters))
    }
}

impl<P: Clone, C: Clone> Fresh for FallbackLayer<P, C> {
    /// Figures of its own, and the same source.
    fn fresh(&self) -> Self {
        Self { counters: Arc::default(), ..self.clone() }
    }

    /// Hands on whatever the inner service says, and keeps nothing.
    fn bypass(&self) -> Self {
        Self { bypass: true, ..self.fresh() }
    }
}

impl<S, P: Clone, C: Clone> Layer<S> for FallbackLayer<P, C> {
    type Service = Fallback<S, P, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let config =
            Config { classify: self.classify.clone(), on: self.on.clone(), counters: Arc::clone(&self.counters) };
        Fallback::new(inner, self.source.clone(), config, self.bypass)
    }
}

impl<P: fmt::Debug, C: fmt::Debug> fmt::Debug for FallbackLayer<P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer")
            .field("source", &self.source)
            .field("classify", &self.classify)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
