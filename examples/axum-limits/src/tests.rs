use axum::body::Body;
use axum::http::{StatusCode, header::RETRY_AFTER};
use donjon::concurrency_limit::Handle;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite;
use tower::ServiceExt;

use super::*;

/// Long enough that nobody waits for its end.
const FOREVER: &str = "/work?ms=3600000";

/// By then whatever is to end has ended, however slow the machine.
const LONG: Duration = Duration::from_secs(30);

struct Server {
    address: SocketAddr,
    all: Handle,
    reports: Handle,
}

/// `max` over all, one report, no queue.
fn limited(max: usize, idle: Duration) -> (Router, Handle, Handle) {
    let all = ConcurrencyLimitLayer::http(max).queue(0);
    let reports = ConcurrencyLimitLayer::http(1).queue(0);
    let handles = (all.handle(), reports.handle());
    (app(all, reports, idle), handles.0, handles.1)
}

async fn serve(max: usize) -> Server {
    serve_idle(max, IDLE).await
}

async fn serve_idle(max: usize, idle: Duration) -> Server {
    let (app, all, reports) = limited(max, idle);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Server { address, all, reports }
}

/// Calls `path` over a connection of its own. Dropping the response closes it.
async fn get(address: SocketAddr, path: &str) -> hyper::Response<Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new()).unwrap();
    send.send_request(request).await.unwrap()
}

fn request(path: &str) -> Request {
    Request::get(path).body(Body::empty()).unwrap()
}

/// Waits until so many are in flight.
async fn until(handle: &Handle, in_flight: usize) {
    while handle.stats().in_flight != in_flight {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn request_n_plus_1_is_refused_over_other_connections_and_told_when_to_come_back() {
    let server = serve(2).await;
    let running: Vec<_> = (0..2).map(|_| tokio::spawn(async move { get(server.address, FOREVER).await })).collect();
    until(&server.all, 2).await;

    let refused = get(server.address, "/work").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()[RETRY_AFTER], "1");
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let problem = refused.into_body().collect().await.unwrap().to_bytes();
    assert!(problem.starts_with(br#"{"type":"about:blank""#));

    // A client that leaves makes room.
    for call in running {
        call.abort();
    }
    until(&server.all, 0).await;
    assert_eq!(get(server.address, "/work").await.status(), StatusCode::OK);
    assert_eq!(server.all.stats().max_in_flight, 2);
}

#[tokio::test]
async fn one_route_has_a_smaller_limit_of_its_own() {
    let server = serve(8).await;
    let report = tokio::spawn(async move { get(server.address, "/report?ms=3600000").await });
    until(&server.reports, 1).await;
    assert_eq!(get(server.address, "/report").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(server.address, "/work").await.status(), StatusCode::OK, "the rest of the server has room");
    report.abort();
    until(&server.reports, 0).await;
}

#[tokio::test]
async fn health_is_exempt() {
    let server = serve(0).await;
    assert_eq!(get(server.address, "/work").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(server.address, "/health").await.status(), StatusCode::OK);
    assert_eq!(server.all.stats().admitted, 0);
}

#[tokio::test]
async fn events_hold_their_permit_until_the_client_has_gone() {
    let server = serve(1).await;
    let mut events = get(server.address, "/events").await;
    let first = events.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "data: 0\n\n");
    assert_eq!(server.all.stats().in_flight, 1, "head and first event are there");
    assert_eq!(get(server.address, "/work").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(events);
    until(&server.all, 0).await;
}

#[tokio::test]
async fn a_stream_of_http2_holds_its_permit_and_the_connection_stays() {
    let server = serve(1).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let get = |path: &str| {
        let request = hyper::Request::get(format!("http://localhost{path}")).body(Empty::<Bytes>::new()).unwrap();
        let mut send = send.clone();
        async move { send.send_request(request).await.unwrap() }
    };
    let mut events = get("/events").await;
    events.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(get("/work").await.status(), StatusCode::SERVICE_UNAVAILABLE, "another stream of the same connection");
    drop(events); // Resets the stream.
    until(&server.all, 0).await;
    assert_eq!(get("/work").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_websocket_holds_its_permit_until_it_is_closed() {
    let server = serve(1).await;
    let url = format!("ws://{}/socket", server.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    // The socket works, long after the response of its handshake has ended.
    for _ in 0..3 {
        futures_util::SinkExt::send(&mut socket, tungstenite::Message::text("hello")).await.unwrap();
        let answer = futures_util::StreamExt::next(&mut socket).await.unwrap().unwrap();
        assert_eq!(answer.to_text().unwrap(), "hello");
        assert_eq!(server.all.stats().in_flight, 1);
    }
    assert_eq!(get(server.address, "/work").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    match tokio_tungstenite::connect_async(&url).await.unwrap_err() {
        tungstenite::Error::Http(response) => assert_eq!(response.headers()[RETRY_AFTER.as_str()], "1"),
        error => panic!("{error}"),
    }
    socket.close(None).await.unwrap();
    until(&server.all, 0).await;
    assert_eq!(get(server.address, "/work").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_websocket_whose_client_vanishes_gives_its_permit_back() {
    let server = serve(1).await;
    let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/socket", server.address)).await.unwrap();
    until(&server.all, 1).await;
    drop(socket);
    until(&server.all, 0).await;
}

#[tokio::test]
async fn a_websocket_that_answers_pings_stays_however_silent() {
    let server = serve_idle(1, Duration::from_secs(8)).await;
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/socket", server.address)).await.unwrap();
    // The second one comes when a peer that is silent would have been given up.
    for _ in 0..2 {
        let ping = timeout(LONG, futures_util::StreamExt::next(&mut socket)).await.expect("something comes");
        assert!(ping.unwrap().unwrap().is_ping());
    }
    assert_eq!(server.all.stats().in_flight, 1);
}

#[tokio::test]
async fn a_websocket_whose_client_answers_nothing_gives_its_permit_back() {
    let server = serve_idle(1, Duration::from_millis(100)).await;
    let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/socket", server.address)).await.unwrap();
    // The connection is open; nobody looks at what comes.
    timeout(LONG, until(&server.all, 0)).await.expect("the socket is given up");
    assert_eq!(server.all.stats().admitted, 1);
    drop(socket);
}

#[tokio::test]
async fn a_websocket_whose_client_never_reads_gives_its_permit_back() {
    let server = serve_idle(1, Duration::from_millis(100)).await;
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/socket", server.address)).await.unwrap();
    let talk = async {
        while futures_util::SinkExt::send(&mut socket, tungstenite::Message::text("a".repeat(1 << 16))).await.is_ok() {}
    };
    timeout(LONG, talk).await.expect("the socket is given up");
    until(&server.all, 0).await;
}

#[tokio::test]
async fn it_holds_under_into_make_service_and_for_routers_that_are_cloned() {
    let (app, all, _) = limited(1, IDLE);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.clone().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });

    let running = tokio::spawn(async move { get(address, FOREVER).await });
    until(&all, 1).await;
    assert_eq!(get(address, "/work").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    // The same limit, without a server: each `oneshot` consumes a clone of the router.
    assert_eq!(app.clone().oneshot(request("/work")).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    running.abort();
    until(&all, 0).await;
    assert_eq!(app.oneshot(request("/work")).await.unwrap().status(), StatusCode::OK);
}
