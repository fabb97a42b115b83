//! Layers, services and futures without their types, so that a check is written and compiled once.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use donjon_core::{CallError, Fresh};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{LocalMessage, Probe, ProbeHandle, Read};

/// A layer.
pub(super) trait Recipe {
    /// The layer over a new instance of the probe of this handle.
    fn apply(&self, probe: &ProbeHandle) -> Box<dyn Subject>;

    /// From now on the messages are there at once.
    fn be_prompt(&mut self);

    /// `Fresh::fresh`, if the layer has it.
    fn fresh(&self) -> Option<Box<dyn Recipe>>;

    /// `Fresh::bypass`, if the layer has it.
    fn bypass(&self) -> Option<Box<dyn Recipe>>;
}

/// A service that a layer has made.
pub(super) trait Subject {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>>;
    fn call(&mut self, id: u64) -> Answering;
    fn duplicate(&self) -> Box<dyn Subject>;
}

/// The future of a call. It is kept as it is when it has ended, so that what it still holds is seen.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<LocalMessage, CallError>>>>;

/// A layer of which nothing but `Layer` is known.
pub(super) struct Plain<X, L, R> {
    pub(super) exchange: X,
    pub(super) layer: L,
    pub(super) _response: PhantomData<fn() -> R>,
}

/// A layer that is `Fresh`.
pub(super) struct Renewable<X, L, R>(pub(super) Plain<X, L, R>);

struct Erased<X, S, R> {
    exchange: X,
    service: S,
    _response: PhantomData<fn() -> R>,
}

pin_project! {
    struct Answer<X, F> {
        exchange: X,
        #[pin]
        future: F,
    }
}

// ===== impl Plain =====

impl<X, L, R> Plain<X, L, R> {
    pub(super) fn new(exchange: X, layer: L) -> Self {
        Self { exchange, layer, _response: PhantomData }
    }
}

impl<X, L, R> Recipe for Plain<X, L, R>
where
    X: Read<R>,
    L: Layer<Probe<X>> + 'static,
    L::Service: Service<X::Request, Response = R, Error = CallError> + Clone + 'static,
    R: 'static,
{
    fn apply(&self, probe: &ProbeHandle) -> Box<dyn Subject> {
        let exchange = self.exchange.clone();
        let service = self.layer.layer(Probe::of(exchange.clone(), probe.clone()));
        Box::new(Erased { exchange, service, _response: PhantomData })
    }

    fn be_prompt(&mut self) {
        self.exchange = self.exchange.prompt();
    }

    fn fresh(&self) -> Option<Box<dyn Recipe>> {
        None
    }

    fn bypass(&self) -> Option<Box<dyn Recipe>> {
        None
    }
}

// ===== impl Renewable =====

impl<X, L, R> Recipe for Renewable<X, L, R>
where
    X: Read<R>,
    L: Layer<Probe<X>> + Fresh + 'static,
    L::Service: Service<X::Request, Response = R, Error = CallError> + Clone + 'static,
    R: 'static,
{
    fn apply(&self, probe: &ProbeHandle) -> Box<dyn Subject> {
        self.0.apply(probe)
    }

    fn be_prompt(&mut self) {
        self.0.be_prompt();
    }

    fn fresh(&self) -> Option<Box<dyn Recipe>> {
        Some(Box::new(Self(Plain::new(self.0.exchange.clone(), self.0.layer.fresh()))))
    }

    fn bypass(&self) -> Option<Box<dyn Recipe>> {
        Some(Box::new(Self(Plain::new(self.0.exchange.clone(), self.0.layer.bypass()))))
    }
}

// ===== impl Erased =====

impl<X, S, R> Subject for Erased<X, S, R>
where
    X: Read<R>,
    S: Service<X::Request, Response = R, Error = CallError> + Clone + 'static,
    R: 'static,
{
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, id: u64) -> Answering {
        let future = self.service.call(self.exchange.request(id));
        Box::pin(Answer { exchange: self.exchange.clone(), future })
    }

    fn duplicate(&self) -> Box<dyn Subject> {
        let (exchange, service) = (self.exchange.clone(), self.service.clone());
        Box::new(Self { exchange, service, _response: PhantomData })
    }
}

impl<X, F, R> Future for Answer<X, F>
where
    X: Read<R>,
    F: Future<Output = Result<R, CallError>>,
{
    type Output = Result<LocalMessage, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let exchange = this.exchange;
        this.future.poll(cx).map_ok(|response| exchange.read(response))
    }
}
