//! What a stack with a cache is, to the compiler.

use std::{cell::Cell, sync::Arc};

use donjon_cache::{Cache, CacheLayer, Handle, Stats};
use donjon_core::{CallError, Fresh, Rejection};
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
    send::<Cache<NotSync, u8, u64, u64>>();
    sync::<Cache<u8, u8, u64, u64>>();
    clone::<Cache<NotSync, u8, u64, Arc<str>>>();
    send::<CacheLayer<u8, u64, u64>>();
    sync::<CacheLayer<u8, u64, u64>>();
    clone::<CacheLayer<u8, u64, u64>>();
    send::<(Handle<u64, u64>, Stats)>();
    sync::<(Handle<u64, u64>, Stats)>();
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
    let cache = CacheLayer::new(|n: &u64| Some(*n));
    let stack = ServiceBuilder::new()
        .layer(option_layer(Some(cache.clone())))
        .layer(cache.bypass())
        .map_err(CallError::from)
        .service(service_fn(|n: u64| async move { Ok::<_, std::io::Error>(n) }));
    assert_eq!(spawned(stack.clone(), 7).await.unwrap(), 7);
    donjon_core::check_service::<u64>(&stack);
}

/// Neither the request nor the error is `Clone`, nor is the response `Copy`.
#[tokio::test(start_paused = true)]
async fn only_the_response_and_the_key_are_cloned() {
    struct Query(String);
    let stack = ServiceBuilder::new()
        .layer(CacheLayer::new(|query: &Query| Some(query.0.clone())))
        .service(service_fn(|query: Query| async move { Ok::<_, Rejection>(Arc::<str>::from(query.0)) }));
    let answer: Arc<str> = spawned(stack, Query("x".into())).await.unwrap();
    assert_eq!(&*answer, "x");
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn a_concrete_http_stack_can_be_spawned_with_a_body_that_is_only_send() {
    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

    let stack = ServiceBuilder::new().layer(CacheLayer::http()).map_err(CallError::from).service(service_fn(
        |_: Request<UnsyncBoxBody<Bytes, CallError>>| async move {
            let body = Full::<Bytes>::from("x").map_err(|never| match never {}).boxed_unsync();
            Ok::<_, std::io::Error>(Response::<UnsyncBoxBody<Bytes, CallError>>::new(body))
        },
    ));
    let request = || Request::new(Full::default().map_err(|never| match never {}).boxed_unsync());
    for _ in 0..2 {
        let response = spawned(stack.clone(), request()).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "x");
    }
}
