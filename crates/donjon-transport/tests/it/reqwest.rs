//! The layers around `reqwest::Client`.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{CallError, Outcome, Reject, Rejection, RejectionKind, Sent};
use donjon_json::JsonClient;
use donjon_retry::{RetryInfo, RetryLayer};
use donjon_timeout::{DeadlineLayer, TimeoutLayer};
use donjon_transport::{ReqwestTransport, TransportError, TransportErrorKind};
use futures_util::stream;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty, Full, StreamBody, channel::Channel};
use hyper::body::{Body, Frame};
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::{
    behaviour::get,
    failures::{deaf, outcome, scripted},
    upstream::Upstream,
};

fn client() -> ReqwestTransport {
    built(|builder| builder)
}

fn built(change: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> ReqwestTransport {
    let builder = reqwest::Client::builder().no_proxy().retry(reqwest::retry::never());
    ReqwestTransport::from(change(builder).build().unwrap())
}

async fn send<B>(
    client: &ReqwestTransport,
    request: Request<B>,
) -> Result<(http::response::Parts, Bytes), TransportError>
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    // The reference is a service, and so nothing is cloned.
    let (head, body) = client.oneshot(request).await?.into_parts();
    Ok((head, body.collect().await?.to_bytes()))
}

fn transient(sent: Sent) -> Outcome {
    Outcome::Transient { sent, retry_after: None }
}

fn words(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source()).map(|error| format!("{error} {error:?}; ")).collect()
}

#[test]
fn types_can_be_moved_and_shared() {
    fn send_sync_clone_debug<T: Send + Sync + Clone + std::fmt::Debug + 'static>() {}
    fn send_debug<T: Send + std::fmt::Debug + 'static>() {}
    fn sync_unpin<T: Sync + Unpin>() {}
    send_sync_clone_debug::<ReqwestTransport>();
    send_debug::<donjon_transport::reqwest::ReqwestFuture>();
    send_debug::<donjon_transport::reqwest::ReqwestBody>();
    sync_unpin::<donjon_transport::reqwest::ReqwestBody>();
}

#[tokio::test]
async fn requests_go_as_they_are() {
    let upstream = Upstream::start().await;
    let client = client();
    let length = |request: http::request::Builder| request.uri(upstream.url("/length"));
    let get = length(Request::get("/")).body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(send(&client, get).await.unwrap().1, "GET None");
    let post = length(Request::post("/")).body(Full::<Bytes>::from("12345")).unwrap();
    assert_eq!(send(&client, post).await.unwrap().1, "POST Some(\"5\")");
    let post = length(Request::post("/")).body("1234567".to_owned()).unwrap();
    assert_eq!(send(&client, post).await.unwrap().1, "POST Some(\"7\")");
    let frames = [Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"a")))];
    let post = length(Request::post("/")).body(StreamBody::new(stream::iter(frames))).unwrap();
    assert_eq!(send(&client, post).await.unwrap().1, "POST None");
    assert_eq!(upstream.counts().accepted, 1, "one pool serves all");
}

#[tokio::test]
async fn the_version_of_the_request_does_not_choose_the_protocol() {
    let upstream = Upstream::start().await;
    let client = client();
    for (version, spoken) in
        [(Version::HTTP_10, "HTTP/1.0"), (Version::HTTP_11, "HTTP/1.1"), (Version::HTTP_2, "HTTP/1.1")]
    {
        let mut request = get(upstream.url("/version"));
        *request.version_mut() = version;
        assert_eq!(send(&client, request).await.unwrap().1, spoken, "{version:?}");
    }
}

#[tokio::test]
async fn user_information_is_not_sent_and_shows_nowhere() {
    let upstream = Upstream::start().await;
    let url = upstream.url("/host").replace("http://", "http://me:s3cret@");
    let (_, host) = send(&client(), get(url)).await.unwrap();
    assert_eq!(host, upstream.address().to_string());
}

#[tokio::test]
async fn bodies_stream_in_both_directions_as_they_arrive() {
    let upstream = Upstream::start().await;
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let call = tokio::spawn(client().oneshot(Request::post(upstream.url("/echo")).body(body).unwrap()));
    sender.send_data(Bytes::from_static(b"first")).await.unwrap();
    let mut echoed = call.await.unwrap().unwrap().into_body();
    assert_eq!(echoed.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    sender.send_data(Bytes::from_static(b"second")).await.unwrap();
    assert_eq!(echoed.frame().await.unwrap().unwrap().into_data().unwrap(), "second");
    drop(sender);
    assert!(echoed.frame().await.is_none());
}

#[tokio::test]
async fn an_error_of_the_request_body_is_the_cause() {
    let upstream = Upstream::start().await;
    let frames = [Ok(Frame::data(Bytes::from_static(b"a"))), Err(std::io::Error::other("the disk is full"))];
    let request = Request::post(upstream.url("/echo")).body(StreamBody::new(stream::iter(frames))).unwrap();
    let error = send(&client(), request).await.unwrap_err();
    assert!(words(&error).contains("the disk is full"), "{error:?}");
}

#[tokio::test]
async fn a_refused_port_was_not_sent_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = send(&client(), get(format!("http://me:s3cret@{address}/a?key=s3cret"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect);
    assert_eq!(error.to_string(), format!("cannot connect (http://{address})"));
    assert!(words(&error).to_lowercase().contains("refused"), "{}", words(&error));
    assert!(!words(&error).contains("s3cret"), "{}", words(&error));
    assert_eq!(outcome(error), transient(Sent::NotSent));
}

#[tokio::test]
async fn connecting_that_takes_too_long_was_not_sent() {
    let (address, _queued, _listener) = deaf().await;
    let client = built(|builder| builder.connect_timeout(Duration::from_millis(150)));
    let error = send(&client, get(format!("http://{address}/"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::ConnectTimeout, "{error:?}");
    assert_eq!(outcome(error), transient(Sent::NotSent));
}

#[tokio::test]
async fn a_server_that_closes_before_it_answers_may_have_acted() {
    let address = scripted(b"").await;
    let error = send(&client(), get(format!("http://{address}/?key=s3cret"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Exchange, "{error:?}");
    assert!(!words(&error).contains("s3cret"), "{}", words(&error));
    assert_eq!(outcome(error), transient(Sent::Unknown));
}

#[tokio::test]
async fn a_timeout_of_reqwests_own_may_have_been_sent() {
    let upstream = Upstream::start().await;
    let client = built(|builder| builder.timeout(Duration::from_millis(150)));
    let error = send(&client, get(upstream.url("/hold?key=s3cret"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Exchange, "{error:?}");
    assert!(!words(&error).contains("s3cret"), "{}", words(&error));
    assert_eq!(outcome(error), transient(Sent::Unknown));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_of_the_body() {
    let address = scripted(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort").await;
    let error = send(&client(), get(format!("http://{address}/?key=s3cret"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Body);
    assert_eq!(error.to_string(), format!("the response body broke off (http://{address})"));
    assert!(!words(&error).contains("s3cret"), "{}", words(&error));
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_before_anything_is() {
    let upstream = Upstream::start().await;
    for url in ["/relative", "ftp://example.com/", "http://:80/", "http://127.0.0.1:99999/"] {
        let error = send(&client(), get(url)).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::InvalidUrl, "{url}");
        assert_eq!(outcome(error), Outcome::Permanent);
    }
    // What only reqwest knows of.
    let only_https = built(|builder| builder.https_only(true));
    let error = send(&only_https, get(upstream.url("/ok?key=s3cret"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::InvalidUrl);
    assert!(!words(&error).contains("s3cret"), "{}", words(&error));
    assert_eq!(outcome(error), Outcome::Permanent);

    let request = Request::post(upstream.url("/echo")).header("content-length", "7");
    let error = send(&client(), request.body(Full::new(Bytes::from("abcdef"))).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::InvalidRequest);
    assert_eq!(upstream.counts().accepted, 0);
}

#[tokio::test]
async fn redirects_are_the_clients_and_their_end_is_permanent() {
    let upstream = Upstream::start().await;
    let none = built(|builder| builder.redirect(reqwest::redirect::Policy::none()));
    assert_eq!(send(&none, get(upstream.url("/redirect"))).await.unwrap().0.status, 302);
    assert_eq!(send(&client(), get(upstream.url("/redirect"))).await.unwrap().1, "ok");
    let short = built(|builder| builder.redirect(reqwest::redirect::Policy::limited(0)));
    let error = send(&short, get(upstream.url("/redirect"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Redirect);
    assert_eq!(outcome(error), Outcome::Permanent);
}

/// The port behind the redirect has refused, but the server before it has seen the call.
#[tokio::test]
async fn what_fails_behind_a_redirect_may_have_been_acted_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    for status in [303, 307] {
        let answer =
            format!("HTTP/1.1 {status} X\r\nlocation: http://{closed}/?key=s3cret\r\ncontent-length: 0\r\n\r\n");
        let address = scripted(answer.leak().as_bytes()).await;
        let post = Request::post(format!("http://{address}/")).body(Full::<Bytes>::from("pay")).unwrap();
        let error = send(&client(), post).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Exchange, "{status}");
        assert_eq!(error.to_string(), format!("no response (http://{address})"));
        assert!(words(&error).to_lowercase().contains("refused"), "{}", words(&error));
        assert!(!words(&error).contains("s3cret"), "{}", words(&error));
        assert_eq!(outcome(error), transient(Sent::Unknown));
    }
}

#[tokio::test]
async fn a_call_dropped_before_its_first_poll_sends_nothing() {
    let upstream = Upstream::start().await;
    let mut client = client();
    drop(Service::call(&mut client, get(upstream.url("/ok"))));
    send(&client, get(upstream.url("/ok"))).await.unwrap();
    assert_eq!((upstream.counts().accepted, upstream.counts().calls), (1, 1));
}

#[tokio::test]
async fn a_call_dropped_while_it_runs_closes_its_connection() {
    let upstream = Upstream::start().await;
    let call = tokio::spawn(client().oneshot(get(upstream.url("/hold"))));
    upstream.until(|counts| counts.calls == 1).await;
    call.abort();
    upstream.until(|counts| counts.open == 0).await;
}

/// A bound around reqwest's connector is a refusal of the call, wherever it sits in reqwest's errors.
#[tokio::test]
async fn a_layer_inside_of_the_client_is_heard_outside() {
    let upstream = Upstream::start().await;
    let client = built(|builder| {
        builder.connector_layer(tower::layer::layer_fn(|inner| {
            ServiceBuilder::new()
                .map_err(CallError::into_inner)
                .layer(ConcurrencyLimitLayer::new(0))
                .map_err(CallError::new)
                .service(inner)
        }))
    });
    let error = send(&client, get(upstream.url("/ok"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Rejected, "{error:?}");
    assert_eq!(error.as_rejection().map(Rejection::kind), Some(RejectionKind::Overloaded));
    assert_eq!(outcome(error), Outcome::Refused { retry_after: None });
    assert_eq!(upstream.counts().accepted, 0);
}

type Stacked = Response<donjon_concurrency_limit::LimitedBody<donjon_transport::reqwest::ReqwestBody>>;

fn stack(
    layers: ReqwestTransport,
    limit: ConcurrencyLimitLayer<donjon_concurrency_limit::Http>,
) -> impl Service<Request<Full<Bytes>>, Response = Stacked, Error = CallError, Future: Send> + Clone + Send + 'static {
    ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(5)))
        .layer(RetryLayer::http())
        .layer(limit)
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        .map_err(CallError::from)
        .service(layers)
}

#[tokio::test]
async fn a_hundred_tasks_share_one_stack_within_its_limit() {
    let upstream = Upstream::start().await;
    let limit = ConcurrencyLimitLayer::http(5).queue(100);
    let api = JsonClient::new(stack(client(), limit.clone())).base(upstream.url("/")).unwrap();
    let api = std::sync::Arc::new(api);
    let calls: Vec<_> = (0..100_u32)
        .map(|n| {
            let api = std::sync::Arc::clone(&api);
            tokio::spawn(async move { api.post("/echo").json(&n).send::<u32>().await.unwrap() })
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap() as usize, n);
    }
    assert_eq!(limit.handle().stats().max_in_flight, 5);
    assert_eq!(upstream.counts().calls, 100);
    assert!(upstream.counts().most_open <= 5, "{:?}", upstream.counts());
}

#[tokio::test]
async fn what_was_not_sent_is_sent_again_though_it_is_a_post() {
    // A port that refuses until the second attempt.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let late = std::sync::Mutex::new(None);
    let late = std::sync::Arc::new(late);
    let opens = std::sync::Arc::clone(&late);
    let retry = RetryLayer::http().on_event(move |_| {
        let mut late = opens.lock().unwrap();
        late.get_or_insert_with(|| {
            let listener = std::net::TcpListener::bind(address).unwrap();
            listener.set_nonblocking(true).unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let (mut io, _) = listener.accept().await.unwrap();
                let mut text = Vec::new();
                while !text.ends_with(b"\r\n\r\nthe body") {
                    text.push(io.read_u8().await.unwrap());
                }
                io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").await.unwrap();
            })
        });
    });
    let stack = ServiceBuilder::new().layer(retry).map_err(CallError::from).service(client().follows_redirects(false));
    let request = Request::post(format!("http://{address}/")).body(Full::<Bytes>::from("the body")).unwrap();
    let response = stack.oneshot(request).await.unwrap();
    assert_eq!(response.extensions().get::<RetryInfo>().unwrap().attempts, 2);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "done");
    let server = late.lock().unwrap().take().unwrap();
    server.await.unwrap();
}
