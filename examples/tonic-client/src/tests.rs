use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, time::Instant};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

use super::*;

/// What the server does with one attempt.
#[derive(Clone, Copy)]
enum Reply {
    Serving,
    /// A status in the headers, and a pushback.
    TrailersOnly(u8, Option<&'static str>),
    /// Headers first, and the status after them.
    InTrailers(u8),
    /// Half of a message, and then the stream is reset.
    Torn,
    Never,
    /// A message, and no end.
    Streams,
}

use Reply::{InTrailers, Never, Serving, Streams, Torn, TrailersOnly};

/// What a server has seen: the headers and the body of each attempt.
type Seen = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// The n-th attempt gets the n-th of `replies`, and the last of them is for all others.
async fn server(replies: &'static [Reply]) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let log = Arc::clone(&log);
            let service = hyper::service::service_fn(move |request| answer(request, replies, Arc::clone(&log)));
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, seen)
}

async fn answer(
    request: Request<Incoming>,
    replies: &'static [Reply],
    log: Seen,
) -> Result<Response<BoxBody<Bytes, std::io::Error>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let n = {
        let mut log = log.lock().unwrap();
        log.push((parts.headers, body));
        log.len() - 1
    };
    // `HealthCheckResponse { status: SERVING }`, with its length before it.
    let message = Bytes::from_static(b"\0\0\0\0\x02\x08\x01");
    let status =
        |code: u8| HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from(u16::from(code)))]);
    let frames = match *replies.get(n).or(replies.last()).unwrap() {
        Serving => vec![Ok(Frame::data(message)), Ok(Frame::trailers(status(0)))],
        InTrailers(code) => vec![Ok(Frame::trailers(status(code)))],
        Torn => vec![Ok(Frame::data(message.slice(..6))), Err(std::io::Error::other("torn"))],
        Streams => {
            let endless = futures_util::StreamExt::chain(stream::iter([Ok(Frame::data(message))]), stream::pending());
            return Ok(grpc(BoxBody::new(StreamBody::new(endless))));
        }
        Never => std::future::pending().await,
        TrailersOnly(code, pushback) => {
            let mut response = grpc(Full::default().map_err(|never| match never {}).boxed());
            response.headers_mut().extend(status(code));
            if let Some(pushback) = pushback {
                response.headers_mut().insert("grpc-retry-pushback-ms", HeaderValue::from_static(pushback));
            }
            return Ok(response);
        }
    };
    Ok(grpc(BoxBody::new(StreamBody::new(stream::iter(frames)))))
}

fn grpc<B>(body: B) -> Response<B> {
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}

fn client(address: SocketAddr) -> HealthClient<Resilient> {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    HealthClient::new(resilient(channel, RetryLayer::grpc()))
}

async fn check(address: SocketAddr) -> Result<ServingStatus, Status> {
    let answer = client(address).check(HealthCheckRequest { service: "100".into() }).await?;
    Ok(answer.into_inner().status())
}

#[tokio::test]
async fn what_the_server_could_not_do_is_tried_again_wherever_its_status_stands() {
    let (address, seen) = server(&[TrailersOnly(14, None), InTrailers(14), Torn, Serving]).await;
    assert_eq!(check(address).await.unwrap(), ServingStatus::Serving);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|(_, body)| body == &seen[0].1 && !body.is_empty()), "the same bytes each time");
    let previous: Vec<_> = seen.iter().map(|(headers, _)| headers.get("grpc-previous-rpc-attempts").cloned()).collect();
    let expected = [None, Some(1), Some(2), Some(3)].map(|n| n.map(|n: u16| HeaderValue::from(n)));
    assert_eq!(previous, expected);
}

#[tokio::test]
async fn the_same_layers_stand_over_a_client_of_hyper_util() {
    let (address, seen) = server(&[InTrailers(14), TrailersOnly(8, Some("1")), Serving]).await;
    let transport = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let origin = format!("http://{address}").parse().unwrap();
    let mut client = HealthClient::with_origin(resilient(transport, RetryLayer::grpc()), origin);
    let answer = client.check(HealthCheckRequest { service: "100".into() }).await.unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_pushback_is_waited_for_and_one_that_is_negative_or_no_number_means_stop() {
    let (address, seen) = server(&[TrailersOnly(14, Some("300")), Serving]).await;
    let began = Instant::now();
    check(address).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(seen.lock().unwrap().len(), 2);

    for replies in [&[TrailersOnly(14, Some("-1"))] as &[_], &[TrailersOnly(8, Some("soon"))]] {
        let (address, seen) = server(replies).await;
        check(address).await.unwrap_err();
        assert_eq!(seen.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn what_another_attempt_cannot_mend_is_told_at_once() {
    let (address, seen) = server(&[InTrailers(3)]).await;
    assert_eq!(check(address).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_method_that_nobody_called_idempotent_is_sent_once() {
    let (address, seen) = server(&[TrailersOnly(14, None)]).await;
    let status = client(address).watch(HealthCheckRequest { service: String::new() }).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_stream_is_there_with_its_first_message() {
    let (address, _) = server(&[Streams]).await;
    let mut events = client(address).watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(events.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
}

#[tokio::test]
async fn the_server_is_told_how_long_is_left_and_the_deadline_holds_over_all_attempts() {
    let (address, seen) = server(&[TrailersOnly(14, None), Never]).await;
    let mut client = client(address);
    // A caller inside a server's handler would have this deadline from there.
    let deadline = donjon::Deadline::after(Duration::from_millis(1500));
    let call = deadline.scope(client.check(HealthCheckRequest { service: "100".into() }));
    let status = call.await.unwrap_err();
    // The channel of tonic reads `grpc-timeout` too, and whichever of the two is first ends the call.
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    let seen = seen.lock().unwrap();
    let micros: Vec<u64> = seen
        .iter()
        .map(|(headers, _)| headers["grpc-timeout"].to_str().unwrap().strip_suffix('u').unwrap().parse().unwrap())
        .collect();
    assert_eq!(micros.len(), 2);
    assert!(
        1_500_000 >= micros[0] && micros[0] > micros[1],
        "what is left then, and not the layer's five seconds: {micros:?}"
    );
}

#[tokio::test]
async fn a_call_without_time_left_is_a_status_and_nothing_is_sent() {
    let (address, seen) = server(&[Serving]).await;
    let mut client = client(address);
    let expired = donjon::Deadline::after(Duration::ZERO);
    let status = expired.scope(client.check(HealthCheckRequest { service: String::new() })).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "deadline-exceeded"));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn where_nobody_listens_it_is_tried_again_and_then_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let retry = RetryLayer::grpc();
    let handle = retry.handle();
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let mut client = HealthClient::new(resilient(channel, retry));
    // Not idempotent, but nothing has been sent.
    let status = client.watch(HealthCheckRequest { service: String::new() }).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(handle.stats().retries, 3);
}
