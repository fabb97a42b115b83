//! The ready-made client with everything that it has places for, on a paused clock: each layer in its place, and one budget
//! for all of them.

use std::time::Duration;

use donjon::{
    Backoff, Budget, CacheLayer, CallError, FallbackLayer, HedgeLayer, JsonError, Observe, Reject, RejectionKind,
    breaker::State,
    client::{Breakers, Client, ClientBuilder, FullClient, Hedged, Identity},
    core::FigureValue,
    hedge::Delay,
};
use donjon_tests::upstream::{
    Body,
    Step::{self, After, Json, Never, Reset, RetryAfter, Status},
    Upstream,
};
use http::{Request, Response, Uri};
use http_body_util::Full;
use tokio::time::{Instant, advance};
use tower::{ServiceExt, util::BoxCloneSyncService};

type Bytes = Full<bytes::Bytes>;
type Transport = BoxCloneSyncService<Request<Bytes>, Response<Body>, std::io::Error>;

const OK: Step = Json(r#""fine""#);

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn transport(script: impl IntoIterator<Item = Step>) -> (Transport, Upstream) {
    let upstream = Upstream::new(script);
    let answering = upstream.clone();
    (BoxCloneSyncService::new(tower::service_fn(move |request| answering.clone().answer(request))), upstream)
}

fn builder(script: impl IntoIterator<Item = Step>) -> (ClientBuilder<Transport>, Upstream) {
    let (transport, upstream) = transport(script);
    (donjon::client::builder().transport(transport), upstream)
}

type Breaking = Client<Transport, Identity, Identity, Identity, Breakers>;

async fn get(api: &Breaking) -> Result<String, JsonError> {
    api.get("/thing").send().await
}

fn kind(error: &JsonError) -> Option<RejectionKind> {
    error.as_rejection().map(donjon::Rejection::kind)
}

#[tokio::test(start_paused = true)]
async fn a_host_that_fails_is_not_called_for_a_while() {
    let (builder, upstream) = builder([Reset]);
    let builder = builder.max_attempts(1).breaker();
    let handles = builder.handles();
    let api: Breaking = builder.build("http://upstream").unwrap();
    for _ in 0..7 {
        assert_eq!(kind(&get(&api).await.unwrap_err()), None);
    }
    let started = Instant::now();
    let refused = get(&api).await.unwrap_err();
    assert_eq!(kind(&refused), Some(RejectionKind::CircuitOpen));
    assert_eq!((upstream.calls(), started.elapsed()), (7, Duration::ZERO));

    // The operator's end of that host.
    let breakers = handles.breakers().unwrap();
    let host: http::uri::Authority = "upstream".parse().unwrap();
    assert_eq!(breakers.with(&host, |it| it.handle().state()), Some(State::Open));
    breakers.with(&host, |it| it.handle().reset());
    assert_eq!(kind(&get(&api).await.unwrap_err()), None, "it is called again");
}

#[tokio::test(start_paused = true)]
async fn each_host_has_a_breaker_of_its_own() {
    let down = tower::service_fn(|request: Request<Bytes>| async move {
        match request.uri().host() {
            Some("down") => Err(CallError::new("connection reset")),
            _ => Ok(Response::new(Bytes::default())),
        }
    });
    let stack = donjon::client::builder().transport(down).max_attempts(1).breaker().build_stack();
    let call = |uri: &'static str| stack.clone().oneshot(Request::get(uri).body(Bytes::default()).unwrap());
    for _ in 0..10 {
        call("http://down/").await.unwrap_err();
    }
    let refused = call("http://down/").await.unwrap_err();
    assert_eq!(refused.as_rejection().unwrap().kind(), RejectionKind::CircuitOpen);
    assert!(call("http://up/").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_slow_attempt_is_a_failure_to_the_breaker_and_a_refusal_of_the_limit_is_none() {
    let (it, _) = builder([Never]);
    let it = it.max_attempts(1).attempt_timeout(millis(10)).breaker();
    let handles = it.handles();
    let api: Breaking = it.build("http://upstream").unwrap();
    for _ in 0..7 {
        get(&api).await.unwrap_err();
    }
    assert_eq!(kind(&get(&api).await.unwrap_err()), Some(RejectionKind::CircuitOpen));

    handles.limit().set_max(0).unwrap();
    handles.breakers().unwrap().each(|_, it| it.handle().reset());
    for _ in 0..100 {
        assert_eq!(kind(&get(&api).await.unwrap_err()), Some(RejectionKind::Overloaded));
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_keeps_the_breaker_open_for_that_long() {
    let (it, upstream) = builder(std::iter::repeat_n(RetryAfter(30), 7).chain([OK]));
    let api: Breaking = it.max_attempts(1).breaker().build("http://upstream").unwrap();
    for _ in 0..8 {
        get(&api).await.unwrap_err();
    }
    advance(millis(29_999)).await;
    assert_eq!(kind(&get(&api).await.unwrap_err()), Some(RejectionKind::CircuitOpen));
    assert_eq!(upstream.calls(), 7);
    advance(millis(6_001)).await;
    assert_eq!(get(&api).await.unwrap(), "fine");
}

#[tokio::test(start_paused = true)]
async fn a_late_call_is_sent_once_more_and_the_first_answer_taken() {
    let slow = After(millis(900), Box::new(OK));
    let hedge = || HedgeLayer::http().delay(Delay::several([millis(20)]));
    let paid = || Budget::builder().share(donjon::Ratio::ONE).build();

    let (it, upstream) = builder([slow.clone(), OK]);
    let it = it.budget(paid()).hedge_layer(hedge());
    let handles = it.handles();
    let api: Client<Transport, Identity, Identity, Hedged> = it.build("http://upstream").unwrap();
    let started = Instant::now();
    assert_eq!(api.get("/thing").send::<String>().await.unwrap(), "fine");
    assert_eq!((upstream.calls(), started.elapsed()), (2, millis(20)));
    let stats = handles.hedge().unwrap().stats();
    assert_eq!((stats.hedges, stats.won, handles.retry().stats().retries), (1, 1, 0));
    assert_eq!(handles.limit().stats().in_flight, 0, "the loser has given its place back");

    // In whichever order it was said, the client's budget pays, and the one of the hedge itself is not asked.
    for none_first in [true, false] {
        let (it, upstream) = builder([slow.clone(), OK]);
        let own = hedge().budget(&Budget::unlimited());
        let it = if none_first {
            it.budget(Budget::none()).hedge_layer(own)
        } else {
            it.hedge_layer(own).budget(Budget::none())
        };
        let api = it.build("http://upstream").unwrap();
        assert_eq!(api.get("/thing").send::<String>().await.unwrap(), "fine");
        assert_eq!(upstream.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn refreshes_are_paid_by_the_clients_budget_unless_the_cache_has_its_own() {
    let cache = || CacheLayer::http().ttl(millis(100)).stale_while_revalidate(Duration::from_secs(60));
    let own = Budget::unlimited();
    for (case, paid) in [(0, false), (1, false), (2, true)] {
        let (it, upstream) = builder([OK]);
        let it = match case {
            0 => it.budget(Budget::none()).cache_layer(cache()),
            1 => it.cache_layer(cache()).budget(Budget::none()),
            _ => it.budget(Budget::none()).cache_layer(cache().budget(&own)),
        };
        let handles = it.handles();
        let api = it.build("http://upstream").unwrap();
        for _ in 0..3 {
            assert_eq!(api.get("/thing").send::<String>().await.unwrap(), "fine");
            tokio::time::sleep(millis(150)).await;
        }
        let stats = handles.cache().unwrap().stats();
        assert_eq!(stats.stale, 2, "the handle is that of the client's cache");
        assert_eq!(upstream.calls(), if paid { 3 } else { 1 }, "case {case}");
        assert_eq!(stats.skipped_refreshes, if paid { 0 } else { 2 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_answer_comes_when_the_retries_have_failed_and_may_be_cached() {
    let (replica, second) = transport([OK]);
    let replica = donjon::client::builder().transport(replica).max_attempts(1).build_sending();
    let replica = replica.map_request(|mut request: Request<Bytes>| {
        *request.uri_mut() = Uri::from_static("http://replica/thing");
        request
    });
    let (it, first) = builder([Status(500)]);
    let it = it
        .cache(millis(500))
        .fallback(FallbackLayer::service(replica).http())
        .backoff(Backoff::constant(Duration::ZERO));
    let handles = it.handles();
    let api = it.build("http://upstream").unwrap();
    for _ in 0..2 {
        assert_eq!(api.get("/thing").send::<String>().await.unwrap(), "fine");
    }
    assert_eq!((first.calls(), second.calls()), (4, 1));
    assert_eq!(handles.fallback().unwrap().stats().answered, 1);
    assert_eq!(handles.cache().unwrap().stats().hits, 1);
}

#[tokio::test(start_paused = true)]
async fn all_figures_are_there_under_one_handle() {
    let (it, _) = builder([OK]);
    let it = it.breaker().hedge().cache(millis(500));
    let handles = it.handles();
    let api: FullClient<Transport> = it.build("http://upstream").unwrap();
    let task = tokio::spawn(async move { api.get("/thing").send::<String>().await });
    task.await.unwrap().unwrap();

    let mut figures = std::collections::BTreeMap::new();
    handles.observe(&mut |figure| {
        figures.insert(format!("{}{:?}", figure.name(), figure.labels().collect::<Vec<_>>()), figure.value());
    });
    let states = figures.iter().filter(|(key, _)| key.starts_with("donjon_client_breakers"));
    let now: Vec<_> = states.filter(|(_, value)| **value == FigureValue::Gauge(1.0)).map(|(key, _)| key).collect();
    assert!(matches!(now[..], [one] if one.contains("closed")), "one host, in one state: {figures:#?}");
    for name in ["donjon_cache_", "donjon_hedge_", "donjon_per_key_", "donjon_budget_", "donjon_timeout_"] {
        assert!(figures.keys().any(|key| key.starts_with(name)), "{name}: {figures:#?}");
    }
}
