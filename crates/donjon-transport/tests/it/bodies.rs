//! Request and response bodies.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use donjon_transport::{Transport, TransportErrorKind, transport};
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::{BodyExt, Empty, Full, StreamBody, channel::Channel};
use hyper::body::{Body, Frame};
use tower::ServiceExt;

use crate::{
    behaviour::{get, text},
    upstream::Upstream,
};

async fn post<B>(client: &Transport, url: String, body: B) -> String
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let response = client.clone().oneshot(Request::post(url).body(body).unwrap()).await.unwrap();
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn lengths_are_those_that_hyper_itself_would_send() {
    let upstream = Upstream::start().await;
    let client = transport();
    let url = || upstream.url("/length");
    assert_eq!(text(&client, url()).await, "GET None");
    assert_eq!(post(&client, url(), Empty::<Bytes>::new()).await, "POST None");
    assert_eq!(post(&client, url(), Full::<Bytes>::default()).await, "POST None");
    assert_eq!(post(&client, url(), Full::<Bytes>::from("12345")).await, "POST Some(\"5\")");
    assert_eq!(post(&client, url(), "1234567".to_owned()).await, "POST Some(\"7\")");
    let frames = [Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"a")))];
    assert_eq!(post(&client, url(), StreamBody::new(stream::iter(frames))).await, "POST None");
}

#[tokio::test]
async fn data_of_any_buffer_arrive_whole() {
    let upstream = Upstream::start().await;
    let client = transport();
    // Not `Bytes`, and in two pieces within one frame.
    let chained = || bytes::Buf::chain(BytesMut::from("one "), BytesMut::from("two "));
    let frames = [Ok::<_, std::io::Error>(Frame::data(chained())), Ok(Frame::data(chained()))];
    let body = StreamBody::new(stream::iter(frames));
    assert_eq!(post(&client, upstream.url("/echo"), body).await, "one two one two ");
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn trailers_go_both_ways() {
    let upstream = Upstream::start().await;
    let client = Transport::builder().http2_only().build();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("checksum", "7".parse().unwrap());
    let frames = [Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"data"))), Ok(Frame::trailers(trailers))];
    let request = Request::post(upstream.url("/echo")).body(StreamBody::new(stream::iter(frames))).unwrap();
    let echoed = client.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(echoed.trailers().unwrap()["checksum"], "7");
    assert_eq!(echoed.to_bytes(), "data");
}

#[tokio::test]
async fn an_error_of_the_request_body_is_the_cause() {
    let upstream = Upstream::start().await;
    let frames = [Ok(Frame::data(Bytes::from_static(b"a"))), Err(std::io::Error::other("the disk is full"))];
    let request = Request::post(upstream.url("/echo")).body(StreamBody::new(stream::iter(frames))).unwrap();
    let error = match transport().oneshot(request).await {
        Err(error) => format!("{:?}", chain(&error)),
        Ok(response) => format!("{:?}", chain(&response.into_body().collect().await.unwrap_err())),
    };
    assert!(error.contains("the disk is full"), "{error}");
}

fn chain(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_response_body_streams_as_it_arrives() {
    let upstream = Upstream::start().await;
    let client = transport();
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let call = client.oneshot(Request::post(upstream.url("/echo")).body(body).unwrap());
    let call = tokio::spawn(call);
    sender.send_data(Bytes::from_static(b"first")).await.unwrap();
    let mut echoed = call.await.unwrap().unwrap().into_body();
    assert_eq!(echoed.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    sender.send_data(Bytes::from_static(b"second")).await.unwrap();
    assert_eq!(echoed.frame().await.unwrap().unwrap().into_data().unwrap(), "second");
    drop(sender);
    assert!(echoed.frame().await.is_none());
}

#[tokio::test]
async fn a_body_dropped_half_read_frees_its_place() {
    let upstream = Upstream::start().await;
    let client = Transport::builder().connections_per_host(1).build();
    for _ in 0..3 {
        let mut body = client.clone().oneshot(get(upstream.url("/endless"))).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
    }
    assert_eq!(text(&client, upstream.url("/ok")).await, "ok");
    assert_eq!(client.open_connections(), 1);
}

#[tokio::test]
async fn a_response_that_is_not_read_holds_its_place_until_it_is_dropped() {
    let upstream = Upstream::start().await;
    let client = Transport::builder().connections_per_host(1).build();
    let unread = client.clone().oneshot(get(upstream.url("/endless"))).await.unwrap();
    let mut waiting = tokio_test::task::spawn(client.clone().oneshot(get(upstream.url("/ok"))));
    assert!(waiting.poll().is_pending());
    drop(unread);
    assert_eq!(waiting.await.unwrap().status(), 200);
}

/// hyper would send the head, then too little or too much, and wait.
#[tokio::test]
async fn a_length_that_is_not_that_of_the_body_is_an_error_before_anything_is_sent() {
    let upstream = Upstream::start().await;
    let client = transport();
    for length in ["5", "7", "100", "x", "-1", ""] {
        let request = Request::post(upstream.url("/echo")).header("content-length", length);
        let error = client.clone().oneshot(request.body(Full::new(Bytes::from("abcdef"))).unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::InvalidRequest, "{length}");
        assert!(error.to_string().contains("content-length") && error.to_string().contains("127.0.0.1"), "{error}");
    }
    assert_eq!(upstream.counts().accepted, 0);
    for length in ["6", "06"] {
        let request = Request::post(upstream.url("/echo")).header("content-length", length);
        let response = client.clone().oneshot(request.body(Full::new(Bytes::from("abcdef"))).unwrap()).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "abcdef");
    }
}

/// It ends its call, and not the connection that other calls share.
#[tokio::test]
async fn a_panic_in_a_request_body_is_an_error_of_its_call() {
    let upstream = Upstream::start().await;
    let clients = [
        transport(),
        #[cfg(feature = "http2")]
        Transport::builder().http2_only().build(),
    ];
    for (n, client) in clients.into_iter().enumerate() {
        assert_eq!(text(&client, upstream.url("/ok")).await, "ok");
        let body = StreamBody::new(stream::iter([1, 2]).map(|n| {
            assert!(n < 2, "a panic in a body");
            Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"x")))
        }));
        let request = Request::post(upstream.url("/echo")).body(body).unwrap();
        let call = async { client.clone().oneshot(request).await?.into_body().collect().await };
        let error = tokio::time::timeout(Duration::from_secs(10), call).await.expect("it ends").unwrap_err();
        // HTTP/2 tells it only as a stream that was reset.
        let told = chain(&error).iter().any(|text| text.contains("the request body panicked"));
        assert!(told || n == 1, "{error:?}");
        assert_eq!(text(&client, upstream.url("/ok")).await, "ok");
        assert_eq!(client.open_connections(), 1);
    }
}
