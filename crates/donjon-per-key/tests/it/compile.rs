//! What a stack with a layer per key is, to the compiler: bounds follow the inner service.

use std::{cell::Cell, marker::PhantomData, rc::Rc};

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{CallError, Fresh, Rejection};
use donjon_http::key;
use donjon_per_key::{Except, ExceptLayer, Handle, PerKey, PerKeyLayer, Stats, Unkeyed, future::ResponseFuture};
use http::{Request, Response};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::option_layer};

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn clone<T: Clone>() {}

#[derive(Clone)]
struct NotSync {
    _not_sync: Cell<u8>,
}

struct NotClone;

#[test]
fn bounds_follow_the_inner_service() {
    type L = ConcurrencyLimitLayer;
    send::<PerKey<Cell<u8>, (), L, u8>>();
    sync::<PerKey<u8, (), L, u8>>();
    clone::<PerKey<NotSync, (), L, NotClone>>();
    send::<Except<Cell<u8>, (), L>>();
    sync::<Except<u8, (), L>>();
    clone::<Except<NotSync, (), NotClone>>();
    send::<ResponseFuture<Cell<u8>, L>>();
    sync::<ResponseFuture<u8, L>>();
    send::<(PerKeyLayer<(), L, u8>, ExceptLayer<(), L>, Handle<u8, L>, Stats, Unkeyed)>();
    sync::<(PerKeyLayer<(), L, u8>, ExceptLayer<(), L>, Handle<u8, L>, Stats, Unkeyed)>();
    clone::<PerKeyLayer<(), NotClone, NotClone>>();
    clone::<Handle<NotClone, NotClone>>();
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_send_has_keys_too() {
    let counter = Rc::new(Cell::new(0));
    let layer = PerKeyLayer::new(|n: &u64| Some(*n), ConcurrencyLimitLayer::new(1));
    let service = layer.layer(service_fn(|n: u64| {
        let counter = Rc::clone(&counter);
        async move {
            counter.set(counter.get() + n);
            Ok::<_, Rejection>(PhantomData::<Rc<()>>)
        }
    }));
    service.clone().oneshot(2).await.unwrap();
    service.oneshot(3).await.unwrap();
    assert_eq!(counter.get(), 5);
}

/// A request and a response that are not `Clone`, an error that is not either.
#[tokio::test]
async fn a_concrete_stack_can_be_spawned() {
    struct Ask(u64);
    struct Answer(u64);
    let per_key =
        PerKeyLayer::new(|ask: &Ask| Some(ask.0), (ConcurrencyLimitLayer::new(1), ConcurrencyLimitLayer::new(2)));
    let stack = ServiceBuilder::new()
        .layer(ExceptLayer::new(|ask: &Ask| ask.0 == 0, per_key))
        .map_err(CallError::from)
        .service(service_fn(|ask: Ask| async move { Ok::<_, std::io::Error>(Answer(ask.0)) }));
    let call = |n| {
        let stack = stack.clone();
        tokio::spawn(async move { stack.oneshot(Ask(n)).await })
    };
    let (a, b) = tokio::join!(call(0), call(1));
    assert_eq!((a.unwrap().unwrap().0, b.unwrap().unwrap().0), (0, 1));
}

/// The key is found by the compiler, whatever the extractor.
#[tokio::test]
async fn the_extractors_of_http_are_keys() {
    async fn works<S>(service: S)
    where
        S: Service<Request<()>, Response = Response<()>, Error = Rejection>,
    {
        service.oneshot(Request::new(())).await.unwrap();
    }
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Rejection>(Response::new(())) });
    let limit = || ConcurrencyLimitLayer::new(1);
    works(PerKeyLayer::new(key::client_ip().behind(1), limit()).layer(inner)).await;
    works(PerKeyLayer::new(key::authority(), limit()).layer(inner)).await;
    works(PerKeyLayer::new(key::api_key().hashed(), limit()).layer(inner)).await;
    works(PerKeyLayer::new(key::either(key::api_key(), key::client_ip()), limit()).layer(inner)).await;
    works(PerKeyLayer::new(|request: &Request<_>| Some(request.uri().path().len()), limit()).layer(inner)).await;
}

#[tokio::test]
async fn it_can_be_optional() {
    for on in [false, true] {
        let layer = on.then(|| PerKeyLayer::new(|n: &u64| Some(*n), ConcurrencyLimitLayer::new(0)));
        let service = ServiceBuilder::new()
            .layer(option_layer(layer))
            .map_err(CallError::from)
            .service(service_fn(|n: u64| async move { Ok::<_, std::io::Error>(n) }));
        assert_eq!(service.oneshot(1).await.is_err(), on);
    }
    let _fresh = ExceptLayer::new(|_: &u64| true, ConcurrencyLimitLayer::new(1)).fresh().bypass();
}
