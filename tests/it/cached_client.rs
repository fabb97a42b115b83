//! The ready-made client with a cache, against a scripted upstream, on a paused clock.

use std::time::Duration;

use donjon::{
    CacheLayer, JsonError,
    client::{Cached, CachedClient, Handles},
};
use donjon_tests::upstream::{
    Step::{self, After, Json, Reset, Status},
    Upstream,
};
use futures_util::future::join_all;
use tokio::time::advance;
use tower::util::BoxCloneSyncService;

type Transport = BoxCloneSyncService<
    http::Request<http_body_util::Full<bytes::Bytes>>,
    http::Response<donjon_tests::upstream::Body>,
    std::io::Error,
>;

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn transport(script: impl IntoIterator<Item = Step>) -> (Transport, Upstream) {
    let upstream = Upstream::new(script);
    let answering = upstream.clone();
    (BoxCloneSyncService::new(tower::service_fn(move |request| answering.clone().answer(request))), upstream)
}

fn client(script: impl IntoIterator<Item = Step>, cache: Cached) -> (CachedClient<Transport>, Upstream, Handles) {
    let (transport, upstream) = transport(script);
    let builder = donjon::client::builder().transport(transport).cache_layer(cache);
    let handles = builder.handles();
    (builder.build("http://upstream").unwrap(), upstream, handles)
}

async fn get(api: &CachedClient<Transport>, path: &'static str) -> Result<String, JsonError> {
    api.get(path).send().await
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_given_again_for_its_ttl_and_not_for_longer() {
    let (transport, upstream) = transport([Json(r#""one""#), Json(r#""two""#)]);
    let builder = donjon::client::builder().transport(transport).cache(millis(500));
    let handles = builder.handles();
    let api = builder.build("http://upstream").unwrap();
    for _ in 0..3 {
        assert_eq!(get(&api, "/thing").await.unwrap(), "one");
    }
    assert_eq!(upstream.calls(), 1);
    let stats = handles.cache().unwrap().stats();
    assert_eq!((stats.hits, stats.misses), (2, 1));
    advance(millis(500)).await;
    assert_eq!(get(&api, "/thing").await.unwrap(), "two");
    handles.cache().unwrap().invalidate_uri(&"http://upstream/thing".parse().unwrap());
    assert_eq!(get(&api, "/thing").await.unwrap(), "two");
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_cached_unless_asked_for() {
    let (transport, upstream) = transport([Json(r#""one""#)]);
    let builder = donjon::client::builder().transport(transport);
    assert!(builder.handles().cache().is_none());
    let api = builder.build("http://upstream").unwrap();
    for _ in 0..3 {
        let _: String = api.get("/thing").send().await.unwrap();
    }
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_that_miss_at_once_are_one_call() {
    let slow = After(millis(50), Box::new(Json(r#""one""#)));
    // Whether or not an answer is kept.
    for ttl in [millis(500), Duration::ZERO] {
        let (api, upstream, handles) = client([slow.clone()], CacheLayer::http().ttl(ttl));
        let replies = join_all((0..100).map(|_| get(&api, "/thing"))).await;
        assert!(replies.into_iter().all(|reply| reply.unwrap() == "one"));
        assert_eq!(upstream.calls(), 1);
        assert_eq!(handles.cache().unwrap().stats().coalesced, 99);
        assert_eq!(handles.limit().stats().max_in_flight, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn users_are_kept_apart() {
    let (api, upstream, handles) = client([Json(r#""one""#), Json(r#""two""#)], CacheLayer::http());
    let as_user = |user: &str| api.get("/thing").header("authorization", user.to_owned()).send::<String>();
    assert_eq!(as_user("Ada").await.unwrap(), "one");
    assert_eq!(as_user("Bob").await.unwrap(), "two");
    assert_eq!(get(&api, "/thing").await.unwrap(), "two");
    assert_eq!((upstream.calls(), handles.cache().unwrap().stats().bypassed), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_behind_the_cache_and_stale_is_better_than_none() {
    let cache = || CacheLayer::http().ttl(millis(500)).stale_if_error(Duration::from_secs(30));
    let (api, upstream, handles) = client([Status(500), Json(r#""one""#), Reset], cache());
    assert_eq!(get(&api, "/thing").await.unwrap(), "one");
    assert_eq!((upstream.calls(), handles.retry().stats().retries), (2, 1));
    advance(millis(500)).await;
    assert_eq!(get(&api, "/thing").await.unwrap(), "one");
    assert!(get(&api, "/other").await.is_err(), "there is nothing to serve");
    assert_eq!(handles.cache().unwrap().stats().rescued, 1);
    assert!(upstream.calls() > 3, "it was tried again first");

    // At once, while a task tries again: nobody waits.
    let (api, _, _) = client(
        [Json(r#""one""#), Reset],
        CacheLayer::http().ttl(millis(500)).stale_while_revalidate(Duration::from_secs(30)),
    );
    assert_eq!(get(&api, "/thing").await.unwrap(), "one");
    advance(millis(500)).await;
    let before = tokio::time::Instant::now();
    assert_eq!(get(&api, "/thing").await.unwrap(), "one");
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_and_not_the_call_of_those_who_have_more_time() {
    let slow = After(millis(800), Box::new(Json(r#""one""#)));
    let (api, upstream, _) = client([slow], CacheLayer::http());
    let hasty = donjon::Deadline::after(millis(100)).scope(get(&api, "/thing"));
    let (hasty, patient) = tokio::join!(hasty, get(&api, "/thing"));
    assert!(hasty.is_err());
    assert_eq!(patient.unwrap(), "one");
    assert!(upstream.calls() <= 2);
}
