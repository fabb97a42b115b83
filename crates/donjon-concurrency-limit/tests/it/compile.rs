//! What a stack with a limit is, to the compiler: bounds follow the inner service.

use std::{cell::Cell, marker::PhantomData, rc::Rc, time::Duration};

use donjon_concurrency_limit::{
    ConcurrencyLimit, ConcurrencyLimitLayer, Handle, Permit, Stats, future::ResponseFuture,
};
use donjon_core::{CallError, Fresh, Rejection};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::option_layer};

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn clone<T: Clone>() {}

struct NotSend(PhantomData<Rc<()>>);

#[test]
fn bounds_follow_the_inner_service() {
    send::<ConcurrencyLimit<Cell<u8>>>();
    sync::<ConcurrencyLimit<u8>>();
    clone::<ConcurrencyLimit<NotSync>>();
    send::<ResponseFuture<u8, u8, Cell<u8>, ()>>();
    sync::<ResponseFuture<u8, u8, u8, ()>>();
    send::<ConcurrencyLimitLayer>();
    sync::<ConcurrencyLimitLayer>();
    send::<(Handle, Permit, Stats)>();
    sync::<(Handle, Permit, Stats)>();
}

#[derive(Clone)]
struct NotSync {
    _not_sync: Cell<u8>,
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_send_can_be_limited() {
    let inner = Rc::new(Cell::new(0));
    let count = Rc::clone(&inner);
    let service = ConcurrencyLimitLayer::new(1).layer(service_fn(move |_: NotSend| {
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
    let limit = ConcurrencyLimitLayer::new(2);
    let stack = ServiceBuilder::new()
        .layer(option_layer(Some(limit.clone())))
        .layer(limit.bypass())
        .layer(ConcurrencyLimitLayer::new(4).max_wait(Duration::from_millis(5)).backpressure())
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
    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};

    let stack = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::http(2))
        .layer(ConcurrencyLimitLayer::new(2))
        .map_err(CallError::from)
        .service(service_fn(|request: Request<Full<Bytes>>| async move {
            Ok::<_, std::io::Error>(Response::new(request.into_body()))
        }));
    let response = spawned(stack, Request::new(Full::new(Bytes::from("x")))).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "x");
}
