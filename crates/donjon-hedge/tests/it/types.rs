//! What compiles: bounds follow the inner service, and a concrete stack can be spawned.

use std::{
    future::{Ready, ready},
    rc::Rc,
};

use donjon_core::{CallError, Replay};
use donjon_hedge::{Hedge, HedgeLayer};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

fn is_send_sync_clone<T: Send + Sync + Clone>(_: &T) {}
fn is_clone<T: Clone>(_: &T) {}
fn is_send<T: Send>(_: &T) {}

#[tokio::test]
async fn bounds_follow_the_inner_service() {
    let layer = HedgeLayer::default();
    is_send_sync_clone(&layer);
    is_send_sync_clone(&layer.handle());
    let mut service = layer.layer(service_fn(|n: u64| ready(Ok::<_, CallError>(n))));
    is_send_sync_clone(&service);
    is_send(&service.call(1));

    let local = Rc::new(2);
    let service = layer.layer(service_fn(move |n: u64| ready(Ok::<_, CallError>(n * *local))));
    is_clone(&service);
    assert_eq!(service.oneshot(21).await.unwrap(), 42);
}

#[tokio::test]
async fn a_generic_stack_is_spawned_un_erased() {
    async fn run<S, Req>(service: Hedge<S>, req: Req) -> Result<S::Response, S::Error>
    where
        S: Service<Req> + Clone + Send + 'static,
        S::Future: Send,
        S::Response: Send,
        S::Error: donjon_core::Reject + Send,
        Req: Replay + Send + 'static,
    {
        tokio::spawn(async move { service.oneshot(req).await }).await.expect("no panic")
    }
    let double = |n: u64| -> Ready<Result<u64, CallError>> { ready(Ok(n * 2)) };
    assert_eq!(run(HedgeLayer::default().layer(service_fn(double)), 21_u64).await.unwrap(), 42);
}

#[tokio::test]
async fn stacks_onto_itself_and_into_a_builder() {
    let service = ServiceBuilder::new()
        .layer(HedgeLayer::default())
        .option_layer(Some(HedgeLayer::default()))
        .map_err(CallError::new)
        .service_fn(|n: u64| ready(Ok::<_, CallError>(n)));
    let spawned = tokio::spawn(async move { service.oneshot(1_u64).await });
    assert_eq!(spawned.await.expect("no panic").unwrap(), 1);
}

#[test]
fn everything_has_a_debug_form_that_says_what_it_is() {
    let layer = HedgeLayer::default();
    let text = format!("{layer:?} {:?} {:?}", layer.handle(), layer.layer("inner"));
    assert!(text.contains("HedgeLayer") && text.contains("max_hedges: 2") && text.contains("inner"), "{text}");
}
