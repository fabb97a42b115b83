//! What can go wrong before, while and after a request is sent, and how it is told.

use std::{error::Error, time::Duration};

use donjon_core::{CallError, Classify, Outcome, Reject, Rejection, RejectionKind, Sent};
use donjon_http::HttpClassify;
use donjon_transport::{Transport, TransportError, TransportErrorKind, transport};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tower::ServiceExt;

use crate::behaviour::get;

/// The error of hyper-util in the chain, which is what a classifier reads.
fn is_connect(error: &TransportError) -> bool {
    let error = error.source().and_then(|error| error.downcast_ref::<hyper_util::client::legacy::Error>());
    error.is_some_and(hyper_util::client::legacy::Error::is_connect)
}

/// What a retry makes of it.
pub(crate) fn outcome(error: TransportError) -> Outcome {
    HttpClassify::new().classify(Err::<&http::Response<()>, _>(&CallError::from(error)))
}

fn transient(sent: Sent) -> Outcome {
    Outcome::Transient { sent, retry_after: None }
}

fn chain(error: &TransportError) -> String {
    std::iter::successors(Some(error.as_error()), |&error| error.source()).map(|error| format!("{error}; ")).collect()
}

/// A port that answers no handshake: its backlog is full. The sockets must be kept.
pub(crate) async fn deaf() -> (std::net::SocketAddr, Vec<TcpStream>, TcpListener) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(io) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        queued.push(io.unwrap());
    }
    (address, queued, listener)
}

/// A server that reads one request head, then does this, for each connection.
pub(crate) async fn scripted(answer: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut io, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(io.read_u8().await.unwrap());
            }
            io.write_all(answer).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_refused_port_is_told_as_not_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = transport();
    let error = client.clone().oneshot(get(format!("http://me:secret@{address}/a?key=secret"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect);
    assert!(is_connect(&error), "{error:?}");
    assert_eq!(error.to_string(), format!("cannot connect (http://{address})"));
    assert!(chain(&error).to_lowercase().contains("refused"), "{}", chain(&error));
    assert!(!format!("{error:?} {}", chain(&error)).contains("secret"), "{error:?}");
    assert_eq!(outcome(error), transient(Sent::NotSent));
    assert_eq!(client.open_connections(), 0);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_told_as_not_connected() {
    let error = transport().oneshot(get("http://nowhere.invalid/")).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect);
    assert!(is_connect(&error), "{error:?}");
}

#[tokio::test]
async fn connecting_ends_with_the_connect_timeout() {
    let (address, _queued, _listener) = deaf().await;
    let client = Transport::builder().connect_timeout(Duration::from_millis(150)).build();
    let error = client.clone().oneshot(get(format!("http://{address}/"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::ConnectTimeout, "{error:?}");
    assert!(is_connect(&error), "{error:?}");
    assert_eq!(error.to_string(), format!("cannot connect in time (http://{address})"));
    assert!(chain(&error).contains("no connection within the connect timeout of 150ms"), "{}", chain(&error));
    assert_eq!(outcome(error), transient(Sent::NotSent));
    assert_eq!(client.open_connections(), 0);
}

#[tokio::test]
async fn a_call_dropped_while_it_connects_frees_its_place() {
    let (address, _queued, _listener) = deaf().await;
    let client = Transport::builder().connections_per_host(1).build();
    let mut call = tokio_test::task::spawn(client.clone().oneshot(get(format!("http://{address}/"))));
    assert!(call.poll().is_pending());
    assert_eq!(client.open_connections(), 1);
    drop(call);
    assert_eq!(client.open_connections(), 0);
}

#[tokio::test]
async fn a_server_that_closes_before_it_answers_is_told_as_no_response() {
    let address = scripted(b"").await;
    let error = transport().oneshot(get(format!("http://{address}/"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Exchange, "{error:?}");
    assert!(!is_connect(&error));
    assert_eq!(error.to_string(), format!("no response (http://{address})"));
    assert_eq!(outcome(error), transient(Sent::Unknown));
}

#[tokio::test]
async fn a_server_that_answers_nonsense_is_told_as_no_response() {
    let address = scripted(b"SSH-2.0-OpenSSH\r\n\r\n").await;
    let error = transport().oneshot(get(format!("http://{address}/"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Exchange, "{error:?}");
}

#[tokio::test]
async fn a_body_shorter_than_its_length_is_an_error_of_the_body() {
    let address = scripted(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort").await;
    let client = Transport::builder().connections_per_host(1).build();
    for _ in 0..2 {
        let response = client.clone().oneshot(get(format!("http://{address}/"))).await.unwrap();
        let error = response.into_body().collect().await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Body);
        assert_eq!(error.to_string(), format!("the response body broke off (http://{address})"));
        assert!(error.source().unwrap().downcast_ref::<hyper::Error>().is_some());
    }
}

#[tokio::test]
async fn a_chunked_body_that_breaks_off_is_an_error_of_the_body() {
    let address = scripted(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nsome\r\n").await;
    let client = Transport::builder().connections_per_host(1).build();
    for _ in 0..2 {
        let mut body = client.clone().oneshot(get(format!("http://{address}/"))).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "some");
        assert_eq!(body.frame().await.unwrap().unwrap_err().kind(), TransportErrorKind::Body);
    }
}

#[tokio::test]
async fn a_url_that_cannot_be_sent_to_is_told_before_anything_is_sent() {
    let client = transport();
    for (url, says) in [
        ("/relative", "it is not absolute"),
        ("*", "it is not absolute"),
        ("example.com", "it is not absolute"),
        ("ftp://example.com/", "the scheme is neither http nor https"),
        ("http://:80/", "it has no host"),
        ("http://127.0.0.1:99999/", "its port is no port number"),
        ("http://127.0.0.1:http/", "its port is no port number"),
        ("http://me:s3cret/word@127.0.0.1/", "its port is no port number"),
    ] {
        let error = client.clone().oneshot(get(url)).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::InvalidUrl, "{url}");
        assert!(error.to_string().contains(says), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        assert_eq!(outcome(error), Outcome::Permanent);
    }
    let mut tunnel = get("example.com:443");
    *tunnel.method_mut() = http::Method::CONNECT;
    assert_eq!(client.oneshot(tunnel).await.unwrap_err().kind(), TransportErrorKind::InvalidUrl);
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn https_without_the_feature_is_told() {
    let error = transport().oneshot(get("https://example.com/")).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::InvalidUrl);
    assert!(error.to_string().contains("needs the feature `tls`"), "{error}");
}

/// Fails before its first byte.
struct Failing(Option<std::io::Error>);

impl http_body::Body for Failing {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(self.0.take().map(Err))
    }
}

#[tokio::test]
async fn a_refusal_that_a_request_body_brings_in_an_io_error_is_found() {
    let address = scripted(b"").await;
    let refusal = Rejection::new(RejectionKind::RateLimited, "upload");
    let body = Failing(Some(std::io::Error::other(refusal)));
    let request = http::Request::post(format!("http://{address}/")).body(body).unwrap();
    let error = transport().oneshot(request).await.unwrap_err();
    assert_eq!(error.as_rejection().map(Rejection::kind), Some(RejectionKind::RateLimited), "{}", chain(&error));
}

/// hyper keeps such a connection for whoever takes it over, with the response head.
#[tokio::test]
async fn a_change_of_protocol_that_nobody_asked_for_holds_no_connection() {
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n";
    let address = scripted(answer).await;
    let client = Transport::builder().connections_per_host(1).connect_timeout(Duration::from_secs(10)).build();
    let mut heads = Vec::new();
    for _ in 0..3 {
        let response = client.clone().oneshot(get(format!("http://{address}/"))).await.unwrap();
        assert_eq!(response.status(), 101);
        heads.push(response.into_parts().0);
    }
    let mut asks = get(format!("http://{address}/"));
    asks.headers_mut().insert("upgrade", "other".parse().unwrap());
    let mut taken_over = client.clone().oneshot(asks).await.unwrap();
    hyper::upgrade::on(&mut taken_over).await.unwrap();
}
