//! Responses are classified by their status.

use std::time::Duration;

use donjon_breaker::{BreakerLayer, State, Trip};
use donjon_core::{CallError, Ratio, Reject};
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};

/// A service that answers with the status that the path says, and the field `Retry-After` that the query says; after as
/// many seconds as the field `x-takes` says.
async fn answer(request: Request<()>) -> Result<Response<()>, CallError> {
    if let Some(takes) = request.headers().get("x-takes") {
        tokio::time::sleep(Duration::from_secs(takes.to_str()?.parse()?)).await;
    }
    if request.uri().path() == "/reset" {
        return Err(CallError::new("connection reset"));
    }
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

/// A breaker without jitter, and a stack with it.
struct Rig<S> {
    layer: BreakerLayer<donjon_http::HttpClassify>,
    service: S,
}

fn rig() -> Rig<impl Service<Request<()>, Response = Response<()>, Error = CallError, Future: Send> + Clone> {
    let layer = BreakerLayer::http().jitter(Ratio::ZERO);
    let service = layer.layer(service_fn(answer));
    Rig { layer, service }
}

impl<S> Rig<S>
where
    S: Service<Request<()>, Response = Response<()>, Error = CallError, Future: Send + 'static> + Clone,
{
    async fn get(&self, path: &str) {
        let _ = self.service.clone().oneshot(Request::get(path).body(()).unwrap()).await;
    }

    /// A call that is let in now, and answered in so many seconds.
    fn begin(&self, path: &str, takes: u32) -> tokio::task::JoinHandle<Result<Response<()>, CallError>> {
        tokio::spawn(self.service.clone().call(Request::get(path).header("x-takes", takes).body(()).unwrap()))
    }

    /// For how long it is open yet, in seconds.
    async fn left(&self) -> Option<u64> {
        let refused = self.service.clone().oneshot(Request::get("/200").body(()).unwrap()).await.err()?;
        Some(refused.as_rejection()?.retry_after()?.as_secs())
    }
}

#[tokio::test(start_paused = true)]
async fn the_furthest_retry_after_of_the_failures_that_open_it_counts() {
    for (paths, left) in [
        (["/503?60", "/503?60", "/503?60", "/503?60", "/503?60", "/503?60", "/reset"], 59),
        (["/503?60", "/reset", "/reset", "/reset", "/500", "/500", "/503"], 54),
        (["/503?7", "/503?90", "/503?30", "/429?1", "/reset", "/reset", "/503?2"], 85),
        (["/503?1", "/503?2", "/503?3", "/503?2", "/503?1", "/503?0", "/reset"], 5),
        (["/503?9999", "/reset", "/reset", "/reset", "/reset", "/reset", "/reset"], 594),
    ] {
        let rig = rig();
        for (at, path) in paths.into_iter().enumerate() {
            let apart = Duration::from_secs(u64::from(at > 0));
            tokio::time::advance(apart).await;
            rig.get(path).await;
        }
        assert_eq!(rig.left().await, Some(left), "{paths:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_successes_have_outdone_counts_no_more() {
    let rig = rig();
    rig.get("/503?60").await;
    for _ in 0..4 {
        rig.get("/200").await;
    }
    for _ in 0..7 {
        rig.get("/reset").await;
    }
    assert_eq!(rig.left().await, Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_of_one_epoch_counts_in_no_other() {
    let rig = rig();
    rig.get("/503?60").await;
    rig.layer.handle().reset();
    for _ in 0..7 {
        rig.get("/reset").await;
    }
    assert_eq!(rig.left().await, Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_comes_when_it_has_opened_extends_the_opening() {
    let rig = rig();
    let late: Vec<_> = (0..20).map(|_| rig.begin("/503?60", 1)).collect();
    for _ in 0..7 {
        rig.get("/reset").await;
    }
    assert_eq!(rig.left().await, Some(5));
    for call in late {
        call.await.unwrap().unwrap();
    }
    assert_eq!(rig.left().await, Some(60), "from when it was said");
    let stats = rig.layer.handle().stats();
    assert_eq!((stats.state, stats.late, stats.failures, stats.opened), (State::Open, 20, 7, 1));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(rig.left().await, None, "it is probed");
}

#[tokio::test(start_paused = true)]
async fn what_comes_late_extends_an_opening_only_by_a_retry_after_and_up_to_its_bound() {
    for (path, takes, left) in [
        ("/503", 1, 4),
        ("/503?2", 1, 4),
        ("/reset", 1, 4),
        ("/200?60", 1, 4),
        ("/404?60", 1, 4),
        ("/503?9999", 2, 598),
    ] {
        let rig = rig();
        let late = rig.begin(path, takes);
        for _ in 0..7 {
            rig.get("/reset").await;
        }
        let _ = late.await.unwrap();
        assert_eq!(rig.left().await, Some(left), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_comes_an_opening_later_changes_nothing() {
    let rig = rig();
    let late = rig.begin("/503?60", 6);
    for _ in 0..7 {
        rig.get("/reset").await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    rig.get("/reset").await;
    late.await.unwrap().unwrap();
    assert_eq!(rig.left().await, Some(9), "the probe has opened it for ten");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_of_a_probe_that_is_late_extends_the_opening() {
    let rig = rig();
    for _ in 0..7 {
        rig.get("/reset").await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let late = rig.begin("/503?60", 1);
    rig.get("/reset").await;
    assert_eq!(rig.left().await, Some(10));
    late.await.unwrap().unwrap();
    assert_eq!(rig.left().await, Some(60));
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

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_has_left_the_window_counts_no_more_when_slow_calls_open_it() {
    use donjon_breaker::Window;

    let half = Ratio::new(0.5).unwrap();
    let trip = Trip::slow_rate(Window::calls(4), Duration::from_secs(1), half).min_calls(4);
    for (fails_at, opening) in [(Some(0), 5), (Some(2), 300), (None, 5)] {
        let layer = BreakerLayer::http().trip(trip).jitter(Ratio::ZERO);
        let mut service = layer.layer(service_fn(answer));
        for call in 0..6 {
            let path = if fails_at == Some(call) { "/503?304" } else { "/200" };
            let takes = if call < 4 { "0" } else { "2" };
            let request = Request::get(path).header("x-takes", takes).body(()).unwrap();
            service.ready().await.unwrap().call(request).await.unwrap();
        }
        assert_eq!(layer.handle().state(), State::Open);
        let refused = service.ready().await.unwrap().call(Request::get("/200").body(()).unwrap()).await.unwrap_err();
        let left = refused.as_rejection().unwrap().retry_after().unwrap();
        assert_eq!(left, Duration::from_secs(opening), "a failure at {fails_at:?}");
    }
}
