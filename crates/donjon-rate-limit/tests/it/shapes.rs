//! What a stack with a rate limit is, to the compiler: bounds follow the inner service.

use std::{cell::Cell, marker::PhantomData, rc::Rc, time::Duration};

use donjon_core::{CallError, Fresh, Observe, Rejection};
use donjon_rate_limit::{Handle, LocalLimiter, LocalTurn, Rate, RateLimit, RateLimitLayer, Stats};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::option_layer};

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn clone<T: Clone>() {}

#[derive(Clone)]
struct NotSync {
    _not_sync: Cell<u8>,
}

#[test]
fn bounds_follow_the_inner_service() {
    send::<RateLimit<Cell<u8>>>();
    sync::<RateLimit<u8>>();
    clone::<RateLimit<NotSync>>();
    send::<(RateLimitLayer, Handle, Stats, LocalLimiter, LocalTurn)>();
    sync::<(RateLimitLayer, Handle, Stats, LocalLimiter, LocalTurn)>();
}

struct NotSend(PhantomData<Rc<()>>);

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_send_can_be_limited() {
    let inner = Rc::new(Cell::new(0));
    let count = Rc::clone(&inner);
    let service = RateLimitLayer::new(Rate::per_second(1)).layer(service_fn(move |_: NotSend| {
        let count = Rc::clone(&count);
        async move {
            count.set(count.get() + 1);
            Ok::<_, Rejection>(())
        }
    }));
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
    let limit = RateLimitLayer::new(Rate::per_second(2)).max_wait(Duration::from_secs(1));
    let stack = ServiceBuilder::new()
        .layer(option_layer(Some(limit.clone())))
        .layer(limit.bypass())
        .layer(RateLimitLayer::new(Rate::per_hour(9)).cost(|n: &u64| *n))
        .map_err(CallError::from)
        .service(service_fn(|n: u64| async move { Ok::<_, std::io::Error>(n) }));
    assert_eq!(spawned(stack.clone(), 7).await.unwrap(), 7);
    let joined = tokio::spawn(async move {
        let mut stack = stack;
        stack.ready().await?.call(2).await
    });
    assert!(joined.await.unwrap().is_ok());
}

#[test]
fn it_says_what_it_is() {
    let limit = RateLimitLayer::new(Rate::per_second(20).burst(60));
    let text = format!("{limit:?} {:?} {:?}", limit.layer(()), limit.handle());
    assert!(text.contains("20 per 1s, burst 60") && text.contains("available: 60"), "{text}");
    let mut names = Vec::new();
    limit.handle().observe(&mut |figure| names.push(figure.name()));
    assert_eq!(names.len(), 7);
    assert!(names.iter().all(|name| name.starts_with("donjon_rate_limit_")));
}
