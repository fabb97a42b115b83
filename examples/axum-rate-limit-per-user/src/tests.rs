use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, request::Builder},
    response::Response,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::advance,
};
use tower::ServiceExt;

use super::*;

/// The limit, with three keys that are known.
fn limit(proxies: usize) -> PerUser {
    per_user(proxies, known_keys("a,b,paying").unwrap())
}

/// A request from this address, over a connection of its own: the router is cloned for each.
async fn send(app: &Router, peer: &str, request: Builder) -> Response {
    let peer: SocketAddr = format!("{peer}:4711").parse().unwrap();
    let request = request.extension(ConnectInfo(peer)).body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

/// How many of a hundred go through at this moment.
async fn passed(app: &Router, peer: &str, request: impl Fn() -> Builder) -> usize {
    let mut passed = 0;
    for _ in 0..100 {
        passed += usize::from(send(app, peer, request()).await.status() == StatusCode::OK);
    }
    passed
}

fn plain() -> Builder {
    Request::get("/")
}

fn with_key(key: &'static str) -> impl Fn() -> Builder {
    move || plain().header("x-api-key", key)
}

fn forwarded(field: &'static str) -> impl Fn() -> Builder {
    move || plain().header("x-forwarded-for", field)
}

#[tokio::test(start_paused = true)]
async fn the_burst_passes_at_once_and_then_the_rate() {
    let app = app(limit(0));
    assert_eq!(passed(&app, "10.0.0.1", with_key("a")).await, 60);
    for _ in 0..3 {
        advance(Duration::from_secs(1)).await;
        assert_eq!(passed(&app, "10.0.0.1", with_key("a")).await, 20);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_is_told_429_and_when_to_come_back() {
    let app = app(limit(0));
    passed(&app, "10.0.0.1", plain).await;
    let refused = send(&app, "10.0.0.1", plain()).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1", "50 ms, rounded up");
    assert_eq!(refused.headers()["ratelimit-policy"], r#""default";q=60;w=3"#);
    assert_eq!(refused.headers()["ratelimit"], r#""default";r=0;t=3"#);
    advance(Duration::from_secs(1)).await;
    assert_eq!(send(&app, "10.0.0.1", plain()).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_user_is_its_key_or_else_its_address() {
    let app = app(limit(0));
    assert_eq!(passed(&app, "10.0.0.1", with_key("a")).await, 60);
    assert_eq!(passed(&app, "10.0.0.2", with_key("a")).await, 0, "the same user from elsewhere");
    assert_eq!(passed(&app, "10.0.0.1", with_key("b")).await, 60);
    assert_eq!(passed(&app, "10.0.0.1", plain).await, 60);
    assert_eq!(passed(&app, "10.0.0.2", plain).await, 60);
    assert_eq!(passed(&app, "10.0.0.2", plain).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_nobody_knows_has_the_share_of_its_address() {
    let limit = limit(0);
    let (handle, app) = (limit.handle(), app(limit));
    let mut passed = 0;
    for n in 0..1000 {
        let field = if n % 2 == 0 { "x-api-key" } else { "authorization" };
        let response = send(&app, "10.0.0.1", plain().header(field, format!("invented-{n}"))).await;
        passed += usize::from(response.status() == StatusCode::OK);
    }
    assert_eq!(passed, 60);
    assert_eq!(send(&app, "10.0.0.1", plain().header("x-api-key", "")).await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(handle.keys(), [User::Second(IpAddr::from([10, 0, 0, 1]))]);
}

#[tokio::test(start_paused = true)]
async fn the_table_keeps_nothing_of_a_request() {
    let limit = limit(0);
    let (handle, app) = (limit.handle(), app(limit));
    for (field, key) in [("x-api-key", "a"), ("authorization", "b"), ("x-api-key", "invented")] {
        // As hyper reads it: each field is a part of the buffer of the head.
        let head = Bytes::from(key.as_bytes().to_vec());
        let value = HeaderValue::from_maybe_shared(head.clone()).unwrap();
        assert_eq!(send(&app, "10.0.0.1", plain().header(field, value)).await.status(), StatusCode::OK);
        assert!(head.is_unique(), "{key} is kept");
    }
    assert_eq!(handle.stats().keys, 3);
}

#[tokio::test(start_paused = true)]
async fn who_is_forgotten_for_want_of_room_has_its_burst_again() {
    let app = app(limit(0).max_keys(1));
    assert_eq!(passed(&app, "10.0.0.1", plain).await, 60);
    assert_eq!(passed(&app, "10.0.0.2", plain).await, 60);
    assert_eq!(passed(&app, "10.0.0.1", plain).await, 60);
}

#[tokio::test(start_paused = true)]
async fn only_what_our_own_proxy_has_written_is_believed() {
    let direct = app(limit(0));
    assert_eq!(passed(&direct, "10.0.0.1", plain).await, 60);
    assert_eq!(passed(&direct, "10.0.0.1", forwarded("203.0.113.7")).await, 0, "there is no proxy");

    let behind_one = app(limit(1));
    assert_eq!(passed(&behind_one, "10.0.0.1", forwarded("203.0.113.7")).await, 60);
    assert_eq!(passed(&behind_one, "10.0.0.1", forwarded("6.6.6.6, 203.0.113.7")).await, 0, "the first is a lie");
    assert_eq!(passed(&behind_one, "10.0.0.1", forwarded("203.0.113.8")).await, 60, "another client of the proxy");
    let stranger = "203.0.113.9";
    assert_eq!(passed(&behind_one, stranger, forwarded("6.6.6.6")).await, 60, "who comes past the proxy is believed");
    assert_eq!(passed(&behind_one, stranger, forwarded("6.6.6.7")).await, 60, "so nobody must be able to");
}

#[tokio::test(start_paused = true)]
async fn the_number_of_users_is_bounded_and_one_can_be_given_more() {
    let limit = limit(0).max_keys(100);
    let (handle, app) = (limit.handle(), app(limit));
    for n in 0..1000 {
        let peer = format!("10.0.{}.{}", n / 256, n % 256);
        assert_eq!(send(&app, &peer, plain()).await.status(), StatusCode::OK);
    }
    assert!(handle.stats().keys <= 100, "{:?}", handle.stats());

    assert_eq!(passed(&app, "10.0.0.1", with_key("paying")).await, 60);
    let paying = handle.keys().into_iter().find(|user| matches!(user, User::First(_))).unwrap();
    let set = handle.with(&paying, |limit| limit.handle().set_rate(Rate::per_second(100).burst(90)));
    assert!(matches!(set, Some(Ok(()))));
    assert_eq!(passed(&app, "10.0.0.1", with_key("paying")).await, 30);
}

#[tokio::test]
async fn it_serves_over_several_connections() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limit = limit(0);
    let handle = limit.handle();
    let app = app(limit).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    for _ in 0..3 {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(handle.keys(), [User::Second(IpAddr::from([127, 0, 0, 1]))]);
    let admitted = handle.with(&User::Second(IpAddr::from([127, 0, 0, 1])), |limit| limit.handle().stats().admitted);
    assert_eq!(admitted, Some(3));
}
