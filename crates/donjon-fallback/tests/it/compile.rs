//! What a stack with a fallback is, to the compiler: bounds follow the inner service.

use std::{cell::Cell, marker::PhantomData, rc::Rc};

use donjon_core::{CallError, Fresh, Rejection, RejectionKind};
use donjon_fallback::{Fallback, FallbackLayer, Handle, ResponseFuture, Second, Stats, Value};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::option_layer};

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn clone<T: Clone>() {}

#[test]
fn bounds_follow_the_inner_service() {
    send::<Fallback<Cell<u8>, Second<Cell<u8>>>>();
    sync::<Fallback<u8, Value<u8>>>();
    clone::<Fallback<Cell<u8>, Second<Cell<u8>>>>();
    send::<ResponseFuture<Cell<u8>, Cell<u8>, Cell<u8>, u8>>();
    sync::<ResponseFuture<u8, u8, u8, u8>>();
    send::<(FallbackLayer<Value<u8>>, Handle, Stats)>();
    sync::<(FallbackLayer<Value<u8>>, Handle, Stats)>();
}

struct NotSend(PhantomData<Rc<()>>);

#[tokio::test(start_paused = true)]
async fn what_is_not_send_and_cannot_be_copied_can_have_a_value() {
    let inner = |_: NotSend| async { Err(Rejection::new(RejectionKind::Overloaded, "test")) };
    let service = FallbackLayer::value(Rc::new(5)).layer(service_fn(inner));
    assert_eq!(*service.oneshot(NotSend(PhantomData)).await.unwrap(), 5);
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
    let second = service_fn(|n: u64| async move { Ok::<_, CallError>(n + 1) });
    let stack = ServiceBuilder::new()
        .layer(option_layer(Some(FallbackLayer::value(0_u64).bypass())))
        .layer(FallbackLayer::service(second))
        .layer(FallbackLayer::function(|_: u64, failed: Result<u64, CallError>| failed))
        .map_err(CallError::from)
        .service(service_fn(|_: u64| async move { Err::<u64, _>(std::io::Error::other("down")) }));
    assert_eq!(spawned(stack.clone(), 7).await.unwrap(), 8);
    let joined = tokio::spawn(async move {
        let mut stack = stack;
        stack.ready().await?.call(8).await
    });
    assert_eq!(joined.await.unwrap().unwrap(), 9);
}
