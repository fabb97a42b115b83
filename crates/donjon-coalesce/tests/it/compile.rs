//! What a stack with coalescing is, to the compiler.

use std::cell::Cell;

use donjon_coalesce::{Coalesce, CoalesceLayer, Flights, Handle, Joined, Lead, Stats, future::ResponseFuture};
use donjon_core::{CallError, Fresh, Rejection};
use donjon_test::{Number, Probe};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn, util::option_layer};

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn clone<T: Clone>() {}

#[derive(Clone)]
struct NotSync {
    _not_sync: Cell<u8>,
}

#[test]
fn bounds_follow_the_inner_service() {
    send::<Coalesce<NotSync, u8>>();
    sync::<Coalesce<u8, u8>>();
    clone::<Coalesce<NotSync, u8>>();
    send::<ResponseFuture<Probe<Number>, u64, u64, ()>>();
    send::<CoalesceLayer<u8>>();
    sync::<CoalesceLayer<u8>>();
    clone::<CoalesceLayer<u8>>();
    send::<(Handle, Stats, Flights<u8, u8, Cell<u8>>, Joined<u8, u8, Cell<u8>>, Lead<u8, u8, Cell<u8>>)>();
    sync::<(Handle, Stats, Flights<u8, u8, Cell<u8>>)>();
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
    let coalesce = CoalesceLayer::new(|n: &u64| Some(*n));
    let stack = ServiceBuilder::new()
        .layer(option_layer(Some(coalesce.clone())))
        .layer(coalesce.bypass())
        .map_err(CallError::from)
        .service(service_fn(|n: u64| async move { Ok::<_, std::io::Error>(n) }));
    assert_eq!(spawned(stack.clone(), 7).await.unwrap(), 7);
    let joined = tokio::spawn(async move {
        let mut stack = stack;
        stack.ready().await?.call(8).await
    });
    assert!(joined.await.unwrap().is_ok());
}

/// Neither the request nor the error is `Clone`, and the response need not be small.
#[tokio::test(start_paused = true)]
async fn only_the_response_and_the_key_are_cloned() {
    struct Query(String);
    let stack = ServiceBuilder::new()
        .layer(CoalesceLayer::new(|query: &Query| Some(query.0.clone())))
        .service(service_fn(|query: Query| async move { Ok::<_, Rejection>(std::sync::Arc::from(query.0)) }));
    let answer: std::sync::Arc<str> = spawned(stack, Query("x".into())).await.unwrap();
    assert_eq!(&*answer, "x");
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn a_concrete_http_stack_can_be_spawned() {
    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;

    let stack = ServiceBuilder::new().layer(CoalesceLayer::http()).map_err(CallError::from).service(service_fn(
        |request: Request<Full<Bytes>>| async move { Ok::<_, std::io::Error>(Response::new(request.into_body())) },
    ));
    assert_eq!(spawned(stack, Request::new(Full::default())).await.unwrap().status(), 200);
}
