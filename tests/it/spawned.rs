//! Whole stacks, concrete and generic, inside of `tokio::spawn`: where lifetimes that are not general enough show.

use std::time::Duration;

use bytes::Bytes;
use donjon::{
    CallError, CollectLayer, ConcurrencyLimitLayer, DeadlineLayer, FanOutExt, JsonClient, Reject, ReplayLayer,
    RetryLayer, TimeoutLayer, transport,
};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Service, ServiceBuilder, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

async fn echo(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, std::io::Error> {
    Ok(Response::builder().header("content-type", "application/json").body(Full::from("7")).unwrap())
}

#[tokio::test]
async fn a_concrete_stack_is_spawned() {
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::http(SECOND))
        .layer(RetryLayer::http())
        .layer(ConcurrencyLimitLayer::http(8))
        .layer(TimeoutLayer::http(SECOND))
        .layer(CollectLayer::new())
        .map_err(CallError::from)
        .service_fn(echo);
    let api = JsonClient::new(stack).base("http://localhost").unwrap();
    let number = tokio::spawn(async move { api.get("/").send::<u64>().await }).await.unwrap().unwrap();
    assert_eq!(number, 7);
}

#[tokio::test]
async fn a_stack_over_the_transport_is_spawned() {
    let stack = ServiceBuilder::new()
        .layer(ReplayLayer::new())
        .layer(DeadlineLayer::new(SECOND))
        .layer(RetryLayer::http())
        .layer(ConcurrencyLimitLayer::http(8))
        .layer(TimeoutLayer::new(SECOND))
        .map_err(CallError::from)
        .service(transport());
    let answer = tokio::spawn(async move { stack.oneshot(Request::new(Full::<Bytes>::default())).await });
    assert!(answer.await.unwrap().is_err(), "a request without an authority goes nowhere");
}

#[tokio::test]
async fn a_generic_stack_is_spawned() {
    async fn spawn<S>(inner: S) -> u64
    where
        S: Service<u64, Response = u64> + Clone + Send + Sync + 'static,
        S::Error: Reject + std::fmt::Debug + Send,
        S::Future: Send,
    {
        let stack = ServiceBuilder::new()
            .layer(DeadlineLayer::new(SECOND))
            .layer(RetryLayer::default())
            .layer(ConcurrencyLimitLayer::new(8))
            .layer(TimeoutLayer::new(SECOND))
            .service(inner);
        tokio::spawn(async move { stack.oneshot(1).await.unwrap() }).await.unwrap()
    }
    let inner = tower::service_fn(|n: u64| async move { Ok::<_, CallError>(n + 1) });
    assert_eq!(spawn(inner).await, 2);
}

#[tokio::test]
async fn a_fan_out_over_the_ready_made_client_is_spawned() {
    let api = donjon::client::builder().transport(tower::service_fn(echo)).build("http://localhost").unwrap();
    let sum = tokio::spawn(async move {
        let calls = (0..20).map(|id| (id, donjon::Call::<u64>::get("/{id}").path("id", id)));
        let mut replies = api.fan_out(calls).at_once(5).as_completed();
        let mut sum = 0;
        while let Some((_, reply)) = replies.next().await {
            sum += reply.unwrap();
        }
        sum
    });
    assert_eq!(sum.await.unwrap(), 140);
}
