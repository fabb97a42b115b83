//! The pool.

use std::time::Duration;

use bytes::Bytes;
use donjon_transport::{Transport, transport};
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use tower::ServiceExt;

use crate::upstream::Upstream;

pub(crate) fn get(url: impl AsRef<str>) -> Request<Empty<Bytes>> {
    Request::get(url.as_ref()).body(Empty::new()).unwrap()
}

pub(crate) async fn text(client: &Transport, url: impl AsRef<str>) -> String {
    let response = client.clone().oneshot(get(url)).await.unwrap();
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn an_idle_connection_is_used_again() {
    let upstream = Upstream::start().await;
    let client = transport();
    for _ in 0..5 {
        assert_eq!(text(&client, upstream.url("/ok")).await, "ok");
    }
    assert_eq!(upstream.counts().accepted, 1);
    assert_eq!(client.open_connections(), 1);
}

#[tokio::test]
async fn clones_share_the_pool_and_two_transports_do_not() {
    let upstream = Upstream::start().await;
    let client = transport();
    text(&client, upstream.url("/ok")).await;
    text(&client.clone(), upstream.url("/ok")).await;
    assert_eq!(upstream.counts().accepted, 1);
    text(&transport(), upstream.url("/ok")).await;
    assert_eq!(upstream.counts().accepted, 2);
}

#[tokio::test]
async fn an_idle_connection_leaves_after_its_time_and_with_the_transport() {
    let upstream = Upstream::start().await;
    let client = Transport::builder().idle_timeout(Duration::from_millis(100)).build();
    text(&client, upstream.url("/ok")).await;
    upstream.until(|counts| counts.open == 0).await;

    text(&client, upstream.url("/ok")).await;
    assert_eq!(upstream.counts().accepted, 2);

    let client = transport();
    text(&client, upstream.url("/ok")).await;
    drop(client);
    upstream.until(|counts| counts.open == 0).await;
}

#[tokio::test]
async fn the_pool_can_be_switched_off() {
    let upstream = Upstream::start().await;
    let none_idle = Transport::builder().idle_per_host(0).build();
    let no_time = Transport::builder().idle_timeout(Duration::ZERO).build();
    for (client, accepted) in [(none_idle, 2), (no_time, 4)] {
        text(&client, upstream.url("/ok")).await;
        text(&client, upstream.url("/ok")).await;
        assert_eq!(upstream.counts().accepted, accepted);
    }
    upstream.until(|counts| counts.open == 0).await;
}

#[tokio::test]
async fn extreme_settings_do_not_panic() {
    let upstream = Upstream::start().await;
    let builder = Transport::builder().connect_timeout(Duration::MAX).idle_timeout(Duration::MAX);
    let builder = builder.connections_per_host(usize::MAX).idle_per_host(usize::MAX).nodelay(false);
    #[cfg(feature = "http2")]
    let builder = builder.http2_ping(Duration::ZERO, Duration::MAX);
    let client = builder.build();
    assert_eq!(text(&client, upstream.url("/ok")).await, "ok");
    assert_eq!(text(&client, upstream.url("/ok")).await, "ok");
    assert_eq!(upstream.counts().accepted, 1);
}

#[tokio::test]
async fn user_information_is_not_sent_and_does_not_split_the_pool() {
    let upstream = Upstream::start().await;
    let client = transport();
    let plain = text(&client, upstream.url("/host")).await;
    let with_user = upstream.url("/host").replace("http://", "http://me:secret@");
    assert_eq!(text(&client, with_user).await, plain);
    assert_eq!(upstream.counts().accepted, 1);
}

#[tokio::test]
async fn the_version_of_the_request_does_not_choose_the_protocol() {
    let upstream = Upstream::start().await;
    let client = transport();
    for (version, spoken) in [
        (Version::HTTP_09, "HTTP/1.1"),
        (Version::HTTP_10, "HTTP/1.0"),
        (Version::HTTP_11, "HTTP/1.1"),
        (Version::HTTP_2, "HTTP/1.1"),
        (Version::HTTP_3, "HTTP/1.1"),
    ] {
        let mut request = get(upstream.url("/version"));
        *request.version_mut() = version;
        let body = client.clone().oneshot(request).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), spoken, "{version:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let upstream = Upstream::start().await;
    let response = transport().oneshot(get(upstream.url("/redirect"))).await.unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(upstream.counts().calls, 1);
}

#[tokio::test]
async fn a_call_dropped_before_its_first_poll_sends_nothing() {
    let upstream = Upstream::start().await;
    let client = transport();
    drop(client.clone().oneshot(get(upstream.url("/ok"))));
    let mut service = client.clone();
    drop(tower::Service::call(&mut service, get(upstream.url("/ok"))));
    text(&client, upstream.url("/ok")).await;
    assert_eq!((upstream.counts().accepted, upstream.counts().calls), (1, 1));
}
