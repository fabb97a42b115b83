//! Responses are classified by their status.

use std::time::Duration;

use donjon_breaker::{BreakerLayer, State, Trip};
use donjon_core::{CallError, Ratio, Reject};
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};

/// A service that answers with the status that the path says, and the field `Retry-After` that the query says.
async fn answer(request: Request<()>) -> Result<Response<()>, CallError> {
    let mut response = Response::builder().status(&request.uri().path()[1..]);
    if let Some(after) = request.uri().query() {
        response = response.header("retry-after", after);
    }
    Ok(response.body(())?)
}

async fn state_after(path: &str) -> (State, Option<Duration>) {
    let layer = BreakerLayer::http().trip(Trip::consecutive(1)).jitter(Ratio::ZERO);
    let mut service = layer.layer(service_fn(answer));
    let get = || Request::get(path).body(()).unwrap();
    service.ready().await.unwrap().call(get()).await.unwrap();
    let state = layer.handle().state();
    let refused = service.ready().await.unwrap().call(get()).await.err();
    (state, refused.and_then(|error| error.as_rejection()?.retry_after()))
}

#[tokio::test(start_paused = true)]
async fn an_ok_503_counts_as_a_failure() {
    assert_eq!(state_after("/503").await, (State::Open, Some(Duration::from_secs(5))));
    for fails in ["/500", "/502", "/504", "/408", "/425", "/429", "/501"] {
        assert_eq!(state_after(fails).await.0, State::Open, "{fails}");
    }
    for succeeds in ["/200", "/204", "/301", "/304", "/400", "/401", "/404", "/409", "/422"] {
        assert_eq!(state_after(succeeds).await, (State::Closed, None), "{succeeds}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_keeps_it_open_at_least_that_long() {
    let seconds = Duration::from_secs;
    for (path, opening) in
        [("/503?60", 60), ("/429?7", 7), ("/503?1", 5), ("/503?0", 5), ("/503?soon", 5), ("/503?99999999", 600)]
    {
        assert_eq!(state_after(path).await.1, Some(seconds(opening)), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_of_a_probe_counts_as_well() {
    let layer = BreakerLayer::http().trip(Trip::consecutive(1)).jitter(Ratio::ZERO).max_retry_after(Duration::MAX);
    let mut service = layer.layer(service_fn(answer));
    let mut get = async |path: &str| service.ready().await.unwrap().call(Request::get(path).body(()).unwrap()).await;
    get("/500").await.unwrap();
    tokio::time::advance(Duration::from_secs(5)).await;
    get("/503?86400").await.unwrap();
    let refused = get("/200").await.unwrap_err();
    assert_eq!(refused.as_rejection().unwrap().retry_after(), Some(Duration::from_secs(86400)));
}

#[tokio::test(start_paused = true)]
async fn a_classifier_of_ones_own_takes_its_place() {
    use donjon_core::Outcome;

    let layer =
        BreakerLayer::http().trip(Trip::consecutive(1)).classify(|result: Result<&Response<()>, &CallError>| {
            match result {
                Ok(response) if response.status() == 404 => Outcome::Permanent,
                _ => Outcome::Success,
            }
        });
    let mut service = layer.layer(service_fn(answer));
    for (path, state) in [("/503", State::Closed), ("/404", State::Open)] {
        service.ready().await.unwrap().call(Request::get(path).body(()).unwrap()).await.unwrap();
        assert_eq!(layer.handle().state(), state);
    }
}
