//! What the errors of real connections mean: hyper and hyper-util against servers on loopback that do one thing each.

use std::{
    future::{Future, ready},
    io,
    net::SocketAddr,
    sync::Arc,
};

use bytes::Bytes;
use donjon_core::{CallError, Classify, Outcome, Reject, Rejection, RejectionKind, Replay, Sent};
use donjon_http::{CollectLayer, CollectedBody, HttpClassify, ReplayBody};
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::{
    client::legacy::{Builder, Client},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tower::{Layer, ServiceExt};

use crate::support::{Script, Step, data};

const UNKNOWN: Outcome = Outcome::Transient { sent: Sent::Unknown, retry_after: None };
const NOT_SENT: Outcome = Outcome::Transient { sent: Sent::NotSent, retry_after: None };
const ANSWERED: Outcome = Outcome::Transient { sent: Sent::Answered, retry_after: None };

/// Serves each connection in this way.
async fn serve<F, Fut>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            tokio::spawn(serve(io));
        }
    });
    address
}

fn builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.retry_canceled_requests(false);
    builder
}

type Answer = Result<Response<CollectedBody<hyper::body::Incoming>>, CallError>;

async fn send<B>(builder: &Builder, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<donjon_core::BoxError>,
{
    let client = builder.build_http::<B>();
    CollectLayer::new().layer(client.map_err(CallError::from)).oneshot(request).await
}

async fn get(builder: &Builder, address: SocketAddr) -> Outcome {
    let request = Request::get(format!("http://{address}/")).body(Empty::<Bytes>::new()).unwrap();
    outcome(&send(builder, request).await)
}

fn outcome<B>(result: &Result<Response<B>, CallError>) -> Outcome {
    HttpClassify::new().classify(result.as_ref())
}

async fn read_head(io: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.unwrap());
    }
    head
}

/// Waits for the first bytes, and closes with them unread.
async fn reset_with_bytes_unread(io: TcpStream) {
    assert_eq!(io.peek(&mut [0]).await.unwrap(), 1);
}

// ===== Connecting =====

#[tokio::test]
async fn a_refused_port_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(get(&builder(), address).await, NOT_SENT);
    assert_eq!(get(builder().http2_only(true), address).await, NOT_SENT);
}

#[tokio::test]
async fn any_failure_to_connect_was_not_sent_but_a_failed_handshake_is_permanent() {
    for (kind, expected) in [
        (io::ErrorKind::TimedOut, NOT_SENT),
        (io::ErrorKind::HostUnreachable, NOT_SENT),
        (io::ErrorKind::ConnectionReset, NOT_SENT),
        (io::ErrorKind::InvalidData, Outcome::Permanent),
    ] {
        let connector = tower::service_fn(move |_: Uri| {
            ready(Err::<TokioIo<TcpStream>, _>(io::Error::other(io::Error::new(kind, "planned"))))
        });
        let client = builder().build::<_, Empty<Bytes>>(connector);
        let request = Request::get("http://example.com/").body(Empty::new()).unwrap();
        let result = client.request(request).await.map_err(CallError::from);
        assert_eq!(outcome(&result), expected, "{kind}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_connector_stays_itself() {
    let rejection = Rejection::new(RejectionKind::Overloaded, "connections");
    let expected = rejection.outcome();
    let connector = tower::service_fn(move |_: Uri| ready(Err::<TokioIo<TcpStream>, _>(rejection.clone())));
    let client = builder().build::<_, Empty<Bytes>>(connector);
    let request = Request::get("http://example.com/").body(Empty::new()).unwrap();
    assert_eq!(outcome(&client.request(request).await.map_err(CallError::from)), expected);
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_at_all_is_permanent() {
    let request = Request::get("/relative").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(outcome(&send(&builder(), request).await), Outcome::Permanent);
}

// ===== HTTP/1.1 =====

#[tokio::test]
async fn a_server_that_closes_without_reading_may_have_been_sent_to() {
    let address = serve(reset_with_bytes_unread).await;
    assert_eq!(get(&builder(), address).await, UNKNOWN);
    // It closes at once: hyper may see that before it has written anything, and then it says so.
    let address = serve(|io| async move { drop(io) }).await;
    assert!([UNKNOWN, NOT_SENT].contains(&get(&builder(), address).await));
}

#[tokio::test]
async fn a_server_that_closes_after_reading_may_have_acted() {
    let address = serve(|mut io| async move { drop(read_head(&mut io).await) }).await;
    assert_eq!(get(&builder(), address).await, UNKNOWN);
}

#[tokio::test]
async fn a_server_that_closes_within_the_head_of_its_answer_may_have_acted() {
    let address = serve(|mut io| async move {
        read_head(&mut io).await;
        io.write_all(b"HTTP/1.1 200 O").await.unwrap();
    });
    assert_eq!(get(&builder(), address.await).await, UNKNOWN);
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_an_answer() {
    let address = serve(|mut io| async move {
        read_head(&mut io).await;
        io.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").await.unwrap();
        let _ = io.read_u8().await;
    });
    assert_eq!(get(&builder(), address.await).await, ANSWERED);
}

#[tokio::test]
async fn a_request_that_waits_on_a_connection_that_ends_was_not_sent() {
    let address = serve(|mut io| async move { drop(read_head(&mut io).await) }).await;
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let sent = sender.send_request(Request::new(Empty::<Bytes>::new()));
    // The connection is never driven, so nothing was written.
    drop(connection);
    assert_eq!(outcome(&sent.await.map_err(CallError::from)), NOT_SENT);
}

#[tokio::test]
async fn a_request_body_that_fails_is_the_callers_and_is_permanent() {
    let address = serve(|mut io| async move {
        read_head(&mut io).await;
        let _ = io.read_to_end(&mut Vec::new()).await;
    });
    let request = |address, body| Request::post(format!("http://{address}/")).body(body).unwrap();
    let address = address.await;
    let script = Script::new([data("half"), Step::Fail]);
    assert_eq!(outcome(&send(&builder(), request(address, ReplayBody::new(script))).await), Outcome::Permanent);

    let late = Rejection::new(RejectionKind::RateLimited, "upload");
    let expected = late.outcome();
    let stream = futures_util::stream::iter([Err::<http_body::Frame<Bytes>, _>(late)]);
    let request = Request::post(format!("http://{address}/")).body(http_body_util::StreamBody::new(stream)).unwrap();
    let result = send(&builder(), request).await;
    assert_eq!(outcome(&result), expected, "the refusal inside speaks for itself");
}

#[tokio::test]
async fn a_truncated_body_is_an_answered_outcome() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot a chunk",
    ] {
        let address = serve(move |mut io| async move {
            read_head(&mut io).await;
            io.write_all(answer.as_bytes()).await.unwrap();
        });
        let request = Request::get(format!("http://{}/", address.await)).body(Empty::<Bytes>::new()).unwrap();
        let result = send(&builder(), request).await;
        assert_eq!(outcome(&result), ANSWERED, "{answer}");
        let error = result.unwrap_err();
        assert_eq!(error.as_rejection().unwrap().kind(), RejectionKind::BodyIncomplete);
        assert!(error.find::<hyper::Error>().is_some(), "the cause is kept");
    }
}

#[tokio::test]
async fn a_whole_body_is_read_and_a_failed_status_streams() {
    for (answer, whole) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", true),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", true),
        ("HTTP/1.1 503 No\r\ncontent-length: 5\r\n\r\nhello", false),
    ] {
        let address = serve(move |mut io| async move {
            read_head(&mut io).await;
            io.write_all(answer.as_bytes()).await.unwrap();
            let _ = io.read_u8().await;
        });
        let request = Request::get(format!("http://{}/", address.await)).body(Empty::<Bytes>::new()).unwrap();
        let body = send(&builder(), request).await.unwrap().into_body();
        assert_eq!(body.is_whole(), whole);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    }
}

#[tokio::test]
async fn an_early_answer_does_not_tear_the_replay() {
    // The server answers the first request as soon as it has its first chunk, and goes on reading it. The source has
    // more only when the second request has brought that chunk too: from there both read on.
    let script = Script::new([data("12"), Step::Wait, data("34"), Step::Wait, data("56")]);
    let gate = script.gate();
    let (requests, mut received) = tokio::sync::mpsc::unbounded_channel();
    let address = serve(move |mut io| {
        let (requests, gate) = (requests.clone(), gate.clone());
        async move {
            let is_first = read_head(&mut io).await.starts_with(b"POST /first");
            let mut body = Vec::new();
            while !body.ends_with(b"12\r\n") {
                body.push(io.read_u8().await.unwrap());
            }
            if is_first {
                io.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            } else {
                gate.open();
                gate.open();
            }
            while !body.ends_with(b"0\r\n\r\n") {
                body.push(io.read_u8().await.unwrap());
            }
            requests.send(body).unwrap();
            if !is_first {
                io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
            // Until the client leaves.
            let _ = io.read_u8().await;
        }
    })
    .await;
    let body = ReplayBody::new(script);
    let copy = body.replay().unwrap();
    let client = builder().pool_max_idle_per_host(0).build_http();
    let post = |path, body| client.request(Request::post(format!("http://{address}/{path}")).body(body).unwrap());

    let early = post("first", copy).await.unwrap();
    assert_eq!(early.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.is_intact());
    assert_eq!(post("second", body).await.unwrap().status(), StatusCode::OK);
    for _ in 0..2 {
        assert_eq!(received.recv().await.unwrap(), b"2\r\n12\r\n2\r\n34\r\n2\r\n56\r\n0\r\n\r\n");
    }
}

// ===== HTTP/2 =====

/// An h2 server that does this with the one stream of each connection.
async fn serve_h2<F>(act: F) -> SocketAddr
where
    F: Fn(h2::server::SendResponse<Bytes>) + Send + Sync + 'static,
{
    let act = Arc::new(act);
    serve(move |io| {
        let act = Arc::clone(&act);
        async move {
            let mut connection = h2::server::handshake(io).await.unwrap();
            while let Some(Ok((_, respond))) = connection.accept().await {
                act(respond);
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_refused_stream_was_not_sent_and_any_other_reset_may_have_been() {
    let address = serve_h2(|mut respond| respond.send_reset(h2::Reason::REFUSED_STREAM)).await;
    assert_eq!(get(builder().http2_only(true), address).await, NOT_SENT);
    let address = serve_h2(|mut respond| respond.send_reset(h2::Reason::INTERNAL_ERROR)).await;
    assert_eq!(get(builder().http2_only(true), address).await, UNKNOWN);
    let address = serve_h2(|mut respond| respond.send_reset(h2::Reason::CANCEL)).await;
    assert_eq!(get(builder().http2_only(true), address).await, UNKNOWN);
}

#[tokio::test]
async fn a_stream_that_is_reset_after_its_head_was_answered_whatever_the_reason() {
    for reason in [h2::Reason::REFUSED_STREAM, h2::Reason::INTERNAL_ERROR] {
        let head_came = Arc::new(Notify::new());
        let reset = Arc::clone(&head_came);
        let address = serve_h2(move |mut respond| {
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            let reset = Arc::clone(&reset);
            tokio::spawn(async move {
                reset.notified().await;
                body.send_reset(reason);
            });
        })
        .await;
        let client = builder().http2_only(true).build_http().map_response(move |response| {
            head_came.notify_one();
            response
        });
        let request = Request::get(format!("http://{address}/")).body(Empty::<Bytes>::new()).unwrap();
        let result = CollectLayer::new().layer(client.map_err(CallError::from)).oneshot(request).await;
        assert_eq!(outcome(&result), ANSWERED, "{reason}");
        assert!(result.unwrap_err().find::<h2::Error>().is_some());
    }
}

/// Speaks HTTP/2 by hand: answers the first `HEADERS` with a `GOAWAY` that names this stream as the last one that
/// counts.
async fn go_away(mut io: TcpStream, last_stream: u32) {
    let mut preface = [0; 24];
    io.read_exact(&mut preface).await.unwrap();
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    io.write_all(&settings).await.unwrap();
    loop {
        let mut head = [0; 9];
        io.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        io.read_exact(&mut payload).await.unwrap();
        if head[3] == 1 {
            break;
        }
    }
    let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0];
    frame.extend(last_stream.to_be_bytes());
    frame.extend(0u32.to_be_bytes());
    io.write_all(&frame).await.unwrap();
    if last_stream == 0 {
        // Until the client leaves.
        let _ = io.read_to_end(&mut Vec::new()).await;
    }
}

#[tokio::test]
async fn a_stream_that_goaway_excludes_was_not_sent_and_one_that_it_includes_may_have_been() {
    let address = serve(|io| go_away(io, 0)).await;
    assert_eq!(get(builder().http2_only(true), address).await, NOT_SENT);
    let address = serve(|io| go_away(io, 1)).await;
    assert_eq!(get(builder().http2_only(true), address).await, UNKNOWN);
}

#[tokio::test]
async fn an_h2_server_that_closes_may_have_acted() {
    let address = serve(|io| async move {
        let mut connection = h2::server::Builder::new().handshake::<_, Bytes>(io).await.unwrap();
        let _ = connection.accept().await;
    });
    assert_eq!(get(builder().http2_only(true), address.await).await, UNKNOWN);
}

#[tokio::test]
async fn the_trailers_of_a_collected_body_are_kept() {
    let address = serve_h2(|mut respond| {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from("hello"), false).unwrap();
        body.send_trailers(crate::support::trailers()).unwrap();
    })
    .await;
    let request = Request::get(format!("http://{address}/")).body(Full::new(Bytes::new())).unwrap();
    let body = send(builder().http2_only(true), request).await.unwrap().into_body();
    assert!(body.is_whole());
    let body = body.collect().await.unwrap();
    assert_eq!(body.trailers(), Some(&crate::support::trailers()));
    assert_eq!(body.to_bytes(), "hello");
}

/// A client is a service like any other: a stack over it can be spawned without erasing it.
#[tokio::test]
async fn spawned_and_concrete_over_a_client() {
    let address = serve(reset_with_bytes_unread).await;
    let stack = tower::ServiceBuilder::new()
        .layer(donjon_http::ReplayLayer::new())
        .layer(CollectLayer::new())
        .map_err(CallError::from)
        .service(builder().build_http::<ReplayBody<Full<Bytes>>>());
    let request = Request::get(format!("http://{address}/")).body(Full::new(Bytes::from("x"))).unwrap();
    let result = tokio::spawn(async move { stack.oneshot(request).await }).await.unwrap();
    assert_eq!(outcome(&result), UNKNOWN);
}
