//! The ready-made client stack against a scripted upstream, on a paused clock.

use std::time::Duration;

use donjon::{
    Backoff, Budget, JsonError, RejectionKind,
    client::{Client, ClientBuilder, Handles},
    json::JsonErrorKind,
};
use donjon_tests::upstream::{
    Step::{self, After, Json, Never, Refused, Reset, RetryAfter, Status, Truncated},
    Upstream,
};
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;

type Transport = BoxCloneSyncService<
    http::Request<http_body_util::Full<bytes::Bytes>>,
    http::Response<donjon_tests::upstream::Body>,
    std::io::Error,
>;

const OK: Step = Json(r#""fine""#);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn client(script: impl IntoIterator<Item = Step>) -> (Client<Transport>, Upstream, Handles) {
    client_with(script, |builder| builder)
}

fn client_with(
    script: impl IntoIterator<Item = Step>,
    settings: impl FnOnce(ClientBuilder<Transport>) -> ClientBuilder<Transport>,
) -> (Client<Transport>, Upstream, Handles) {
    let upstream = Upstream::new(script);
    let answering = upstream.clone();
    let transport = BoxCloneSyncService::new(tower::service_fn(move |request| answering.clone().answer(request)));
    let builder = settings(donjon::client::builder().transport(transport));
    let handles = builder.handles();
    (builder.build("http://upstream").unwrap(), upstream, handles)
}

async fn get(api: &Client<Transport>) -> Result<String, JsonError> {
    api.get("/thing").send().await
}

#[tokio::test(start_paused = true)]
async fn what_may_be_mended_is_tried_again() {
    let (api, upstream, _) = client([Status(500), Truncated, Reset, OK]);
    assert_eq!(get(&api).await.unwrap(), "fine");
    assert_eq!(upstream.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn after_the_last_attempt_the_answer_itself_is_the_error() {
    let (api, upstream, _) = client([Status(500)]);
    let error = get(&api).await.unwrap_err();
    assert_eq!(error.status().map(|it| it.as_u16()), Some(500));
    assert!(error.to_string().contains("http://upstream/thing"), "{error}");
    assert_eq!(upstream.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_the_call_is_not_tried_again() {
    for status in [400, 401, 404, 409, 422, 501] {
        let (api, upstream, _) = client([Status(status)]);
        assert_eq!(get(&api).await.unwrap_err().status().map(|it| it.as_u16()), Some(status));
        assert_eq!(upstream.calls(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_is_sent_again_only_if_it_was_not_sent_or_is_marked() {
    let post = async |api: &Client<Transport>, key: Option<&str>| {
        let call = api.post("/things").json(&1);
        let call = if let Some(key) = key { call.idempotency_key(key) } else { call };
        call.send::<String>().await
    };
    for step in [Status(500), Status(503), Reset, Truncated] {
        let (api, upstream, _) = client([step.clone(), OK]);
        post(&api, None).await.unwrap_err();
        assert_eq!(upstream.calls(), 1, "{step:?}");

        let (api, upstream, _) = client([step.clone(), OK]);
        assert_eq!(post(&api, Some("k1")).await.unwrap(), "fine", "{step:?}");
        assert_eq!(upstream.seen().iter().map(|it| it.body.as_ref()).collect::<Vec<_>>(), [b"1", b"1"]);
    }
    let (api, upstream, _) = client([Refused, OK]);
    assert_eq!(post(&api, None).await.unwrap(), "fine", "nothing was sent");
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_whole() {
    let (api, upstream, _) = client([RetryAfter(2), OK]);
    assert_eq!(get(&api).await.unwrap(), "fine");
    let seen = upstream.seen();
    assert!(seen[1].at >= secs(2), "{:?}", seen[1].at);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_deadline_is_answered_now() {
    let (api, upstream, _) = client([RetryAfter(60), OK]);
    let started = Instant::now();
    let error = get(&api).await.unwrap_err();
    assert_eq!(error.status().map(|it| it.as_u16()), Some(503));
    assert!(started.elapsed() < secs(1), "{:?}", started.elapsed());
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_attempt_is_given_up_and_the_next_one_answers() {
    let (api, upstream, handles) = client([Never, OK]);
    let started = Instant::now();
    assert_eq!(get(&api).await.unwrap(), "fine");
    assert!(started.elapsed() >= secs(1) && started.elapsed() < secs(2), "{:?}", started.elapsed());
    assert_eq!(upstream.calls(), 2);
    assert_eq!(handles.attempt_timeout().stats().attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_later_than_its_deadline() {
    for script in [vec![Never], vec![After(Duration::from_millis(900), Box::new(Status(500)))], vec![RetryAfter(1)]] {
        let (api, ..) = client_with(script.clone(), |it| it.max_attempts(100).budget(Budget::unlimited()));
        let started = Instant::now();
        get(&api).await.unwrap_err();
        assert!(started.elapsed() <= secs(5) + Duration::from_millis(2), "{script:?}: {:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_sleeps_holds_no_permit() {
    let (api, _, handles) = client_with([RetryAfter(2), OK], |it| it.max_in_flight(1).queue(0));
    let mut sleeping = std::pin::pin!(get(&api));
    tokio::select! {
        _ = &mut sleeping => panic!("it sleeps for two seconds"),
        () = tokio::time::sleep(secs(1)) => {}
    }
    assert_eq!(handles.limit().stats().in_flight, 0);
    assert_eq!(get(&api).await.unwrap(), "fine", "another call has the place");
    assert_eq!(sleeping.await.unwrap(), "fine");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_gives_all_back() {
    let (api, _, handles) = client_with([Never], |it| it.max_in_flight(1).queue(1));
    for _ in 0..3 {
        let (running, queued) = (get(&api), get(&api));
        tokio::select! {
            biased;
            _ = running => panic!("no answer"),
            _ = queued => panic!("no answer"),
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
        let stats = handles.limit().stats();
        assert_eq!((stats.in_flight, stats.queued), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_layer_and_opens_nothing() {
    let (api, upstream, handles) = client_with([OK], |it| it.max_attempts(1));
    handles.limit().set_max(0).unwrap();
    let error = get(&api).await.unwrap_err();
    let rejection = donjon::Reject::as_rejection(&error).unwrap();
    assert_eq!((rejection.kind(), rejection.layer()), (RejectionKind::Overloaded, "concurrency-limit"));
    assert_eq!(upstream.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_the_bucket_and_no_more() {
    let (api, upstream, handles) = client_with([Reset], |it| it.backoff(Backoff::constant(Duration::ZERO)));
    for _ in 0..1000 {
        get(&api).await.unwrap_err();
    }
    assert_eq!(upstream.calls(), 1000 + 24);
    assert_eq!(handles.retry().stats().retries, 24);
}

#[tokio::test(start_paused = true)]
async fn a_body_of_the_wrong_shape_is_not_tried_again() {
    let (api, upstream, _) = client([Json(r#"{"name": 1}"#)]);
    let error = get(&api).await.unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::Decode);
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn settings_hold_in_whichever_order_they_are_made() {
    let orders: [fn(ClientBuilder<Transport>) -> ClientBuilder<Transport>; 2] =
        [|it| it.max_wait(secs(3)).queue(1).max_in_flight(1), |it| it.max_in_flight(1).queue(1).max_wait(secs(3))];
    for order in orders {
        let (api, _, handles) =
            client_with([After(secs(2), Box::new(OK)), OK], |it| order(it).attempt_timeout(secs(9)));
        let stats = handles.limit().stats();
        assert_eq!((stats.max, stats.queue), (1, 1));
        let (first, second) = tokio::join!(get(&api), get(&api));
        assert_eq!((first.unwrap(), second.unwrap()), ("fine".to_owned(), "fine".to_owned()), "it waits for 2 s");
        assert_eq!(handles.limit().stats().timed_out, 0);
    }
}
