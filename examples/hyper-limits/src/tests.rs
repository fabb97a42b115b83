use std::net::SocketAddr;

use donjon::concurrency_limit::Handle;
use http_body_util::Empty;
use hyper::{
    Method,
    header::{CONNECTION, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use tokio_tungstenite::tungstenite;

use super::*;

/// Long enough that nobody waits for its end.
const FOREVER: &str = "/work?3600000";

/// By then whatever is to end has ended, however slow the machine.
const LONG: Duration = Duration::from_secs(30);

struct Server {
    address: SocketAddr,
    all: Handle,
    reports: Handle,
}

/// `max` over all, one report, no queue.
async fn serve(max: usize) -> Server {
    serve_idle(max, IDLE).await
}

async fn serve_idle(max: usize, idle: Duration) -> Server {
    let all = ConcurrencyLimitLayer::http(max).queue(0);
    let reports = ConcurrencyLimitLayer::http(1).queue(0);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server { address: listener.local_addr().unwrap(), all: all.handle(), reports: reports.handle() };
    tokio::spawn(super::serve(listener, all, reports, idle));
    server
}

/// Calls `path` over a connection of its own. Dropping the response closes it.
async fn get(address: SocketAddr, path: &str) -> Response<Incoming> {
    send(address, Request::get(path).header("host", "localhost").body(Empty::new()).unwrap()).await
}

async fn send(address: SocketAddr, request: Request<Empty<Bytes>>) -> Response<Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    send.send_request(request).await.unwrap()
}

/// What asks for a WebSocket, in the example of RFC 6455.
fn handshake() -> Request<Empty<Bytes>> {
    let request = Request::get("/socket").header("host", "localhost").header(CONNECTION, "keep-alive, Upgrade");
    let request = request.header(UPGRADE, "WebSocket").header(SEC_WEBSOCKET_VERSION, "13");
    request.header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==").body(Empty::new()).unwrap()
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
    let report = tokio::spawn(async move { get(server.address, "/report?3600000").await });
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
        let request = Request::get(format!("http://localhost{path}")).body(Empty::<Bytes>::new()).unwrap();
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
async fn only_a_whole_handshake_makes_a_websocket() {
    let server = serve(1).await;
    let accepted = send(server.address, handshake()).await;
    assert_eq!(accepted.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(accepted.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    drop(accepted);
    until(&server.all, 0).await;

    for (field, other) in [(CONNECTION, "keep-alive"), (UPGRADE, "h2c"), (SEC_WEBSOCKET_VERSION, "8")] {
        let (mut without, mut with_other) = (handshake(), handshake());
        without.headers_mut().remove(&field);
        with_other.headers_mut().insert(&field, HeaderValue::from_static(other));
        for request in [without, with_other] {
            let refused = send(server.address, request).await;
            assert_eq!(refused.status(), StatusCode::UPGRADE_REQUIRED, "{field}");
            assert_eq!(refused.headers()[UPGRADE], "websocket");
            assert_eq!(refused.headers()[CONNECTION], "upgrade");
            assert_eq!(refused.headers()[SEC_WEBSOCKET_VERSION], "13");
            until(&server.all, 0).await;
        }
    }

    let (mut keyless, mut post, mut old) = (handshake(), handshake(), handshake());
    keyless.headers_mut().remove(SEC_WEBSOCKET_KEY);
    *post.method_mut() = Method::POST;
    *old.version_mut() = Version::HTTP_10;
    for request in [keyless, post, old] {
        assert_eq!(send(server.address, request).await.status(), StatusCode::BAD_REQUEST);
        until(&server.all, 0).await;
    }
}

#[tokio::test]
async fn http2_is_never_told_101() {
    let server = serve(1).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    // The client takes out `connection` and `upgrade`, which HTTP/2 forbids.
    let mut request = handshake();
    *request.uri_mut() = "http://localhost/socket".parse().unwrap();
    assert_eq!(send.send_request(request).await.unwrap().status(), StatusCode::BAD_REQUEST);
    until(&server.all, 0).await;
}

#[tokio::test]
async fn a_websocket_holds_its_permit_until_it_is_closed() {
    let server = serve(1).await;
    let url = format!("ws://{}/socket", server.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    // The socket works, long after the response of its handshake has ended.
    for _ in 0..3 {
        socket.send(tungstenite::Message::text("hello")).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
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
        let ping = timeout(LONG, socket.next()).await.expect("something comes");
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
    let talk = async { while socket.send(Message::text("a".repeat(1 << 16))).await.is_ok() {} };
    timeout(LONG, talk).await.expect("the socket is given up");
    until(&server.all, 0).await;
}
