//! What a stack with a breaker is, to the compiler: bounds follow the inner service.

use std::{cell::Cell, marker::PhantomData, rc::Rc};

use donjon_breaker::{
    Breaker, BreakerLayer, Handle, OnCancel, ResponseFuture, State, Stats, Throttle, Trip, Window, WindowStats,
};
use donjon_core::{CallError, Fresh, Rejection};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::option_layer};

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn clone<T: Clone>() {}

struct NotSend(PhantomData<Rc<()>>);

#[derive(Clone)]
struct NotSync {
    _not_sync: Cell<u8>,
}

#[test]
fn bounds_follow_the_inner_service() {
    send::<Breaker<Cell<u8>>>();
    sync::<Breaker<u8>>();
    clone::<Breaker<NotSync>>();
    send::<ResponseFuture<Cell<u8>, u8>>();
    sync::<ResponseFuture<u8, u8>>();
    send::<BreakerLayer>();
    sync::<BreakerLayer>();
    send::<(Handle, State, Stats, WindowStats, Trip, Window, Throttle, OnCancel)>();
    sync::<(Handle, State, Stats, WindowStats, Trip, Window, Throttle, OnCancel)>();
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_send_can_have_a_breaker() {
    let inner = Rc::new(Cell::new(0));
    let count = Rc::clone(&inner);
    let service = BreakerLayer::new().layer(service_fn(move |_: NotSend| {
        let count = Rc::clone(&count);
        async move {
            count.set(count.get() + 1);
            Ok::<_, Rejection>(())
        }
    }));
    // Neither the request nor the response is Clone, and the request is not Send.
    service.oneshot(NotSend(PhantomData)).await.unwrap();
    assert_eq!(inner.get(), 1);
}

/// Generic, un-erased and spawned: where lifetimes that are not general enough show.
async fn spawned<S, R>(service: S, request: R) -> Result<S::Response, S::Error>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    R: Send + 'static,
{
    tokio::spawn(async move { service.oneshot(request).await }).await.expect("the task has not panicked")
}

#[tokio::test(start_paused = true)]
async fn a_concrete_stack_can_be_spawned() {
    let breaker = BreakerLayer::new();
    let stack = ServiceBuilder::new()
        .layer(option_layer(Some(breaker.clone())))
        .layer(breaker.bypass())
        .layer(BreakerLayer::throttling(Throttle::sre()).backpressure())
        .map_err(CallError::from)
        .service(service_fn(|n: u64| async move { Ok::<_, std::io::Error>(n) }));
    assert_eq!(spawned(stack.clone(), 7).await.unwrap(), 7);
    let joined = tokio::spawn(async move {
        let mut stack = stack;
        stack.ready().await?.call(8).await
    });
    assert!(joined.await.unwrap().is_ok());
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn a_concrete_http_stack_can_be_spawned() {
    use http::{Request, Response};

    let stack =
        ServiceBuilder::new().layer(BreakerLayer::http()).layer(BreakerLayer::new()).map_err(CallError::from).service(
            service_fn(|request: Request<String>| async move {
                Ok::<_, std::io::Error>(Response::new(request.into_body()))
            }),
        );
    let response = spawned(stack, Request::new("x".to_owned())).await.unwrap();
    assert_eq!(response.into_body(), "x");
}
