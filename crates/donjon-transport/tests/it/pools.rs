//! The layers around hyper-util's own clients: around its legacy client and its composable pools, and around their
//! connectors. The pages in `layers` show how; here are the figures.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use donjon_concurrency_limit::{ConcurrencyLimitLayer, LimitedBody};
use donjon_core::{CallError, Outcome, Reject, Rejection, RejectionKind, Sent};
use donjon_http::error_outcome;
use donjon_retry::RetryLayer;
use donjon_timeout::{DeadlineLayer, TimeoutLayer};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::{
    client::{
        legacy::{Client, connect::HttpConnector},
        pool,
    },
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::{TcpListener, TcpStream};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::{failures::deaf, upstream::Upstream};

/// One connection: what a pool keeps.
struct Connection(http1::SendRequest<Full<Bytes>>);

impl Service<Request<Full<Bytes>>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

async fn connect(to: Uri) -> Result<Connection, CallError> {
    let authority = to.authority().unwrap();
    let io = TcpStream::connect((authority.host(), authority.port_u16().unwrap())).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(connection);
    Ok(Connection(sender))
}

type Layered = Response<LimitedBody<Incoming>>;
type Limit<M> = ConcurrencyLimitLayer<M>;

/// Client layers around a pool of two parts, and a limit of handshakes around its connector.
fn composed(
    calls: Limit<donjon_concurrency_limit::Http>,
    handshakes: Limit<donjon_concurrency_limit::Any>,
    connect_timeout: Duration,
) -> impl Service<Request<Full<Bytes>>, Response = Layered, Error = CallError, Future: Send> + Clone + Send + 'static {
    let connector = BoxCloneSyncService::new(
        ServiceBuilder::new().layer(handshakes).layer(TimeoutLayer::new(connect_timeout)).service(service_fn(connect)),
    );
    let origins = pool::map::Map::builder::<Uri>()
        .keys(|uri: &Uri| uri.authority().cloned())
        .values(move |_: &Uri| pool::cache::builder().build::<_, Uri>(connector.clone()))
        .build();
    let origins = Arc::new(Mutex::new(origins));
    let client = service_fn(move |request: Request<Full<Bytes>>| {
        let uri = request.uri().clone();
        let connections = origins.lock().unwrap().service(&uri).clone();
        async move {
            let mut connection = connections.oneshot(uri).await?;
            connection.ready().await?;
            Ok::<_, CallError>(connection.call(request).await?)
        }
    });
    ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(5)))
        .layer(RetryLayer::http())
        .layer(calls)
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        .service(client)
}

/// The same around the legacy client.
fn legacy(
    calls: Limit<donjon_concurrency_limit::Http>,
    handshakes: Limit<donjon_concurrency_limit::Any>,
    connect_timeout: Duration,
) -> impl Service<Request<Full<Bytes>>, Response = Layered, Error = CallError, Future: Send> + Clone + Send + 'static {
    let connector = BoxCloneSyncService::new(
        ServiceBuilder::new()
            .layer(handshakes)
            .layer(TimeoutLayer::new(connect_timeout))
            .map_err(CallError::from)
            .service(HttpConnector::new()),
    );
    let client = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build(connector);
    ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(5)))
        .layer(RetryLayer::http())
        .layer(calls)
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        .map_err(CallError::from)
        .service(client)
}

fn get(url: impl AsRef<str>) -> Request<Full<Bytes>> {
    let uri: Uri = url.as_ref().parse().unwrap();
    let host = uri.authority().unwrap().to_string();
    Request::get(uri).header("host", host).body(Full::default()).unwrap()
}

async fn share_a_stack<S>(
    make: impl Fn(Limit<donjon_concurrency_limit::Http>, Limit<donjon_concurrency_limit::Any>, Duration) -> S,
) where
    S: Service<Request<Full<Bytes>>, Response = Layered, Error = CallError, Future: Send> + Clone + Send + 'static,
{
    let upstream = Upstream::start().await;
    let (calls, handshakes) = (ConcurrencyLimitLayer::http(5).queue(100), ConcurrencyLimitLayer::new(2).queue(100));
    let stack = make(calls.clone(), handshakes.clone(), Duration::from_secs(2));
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (stack, url) = (stack.clone(), upstream.url("/ok"));
            tokio::spawn(async move {
                stack.oneshot(get(url)).await.unwrap().into_body().collect().await.unwrap().to_bytes()
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "ok");
    }
    let counts = upstream.counts();
    assert_eq!((calls.handle().stats().max_in_flight, counts.calls), (5, 100));
    assert_eq!(handshakes.handle().stats().max_in_flight, 2);
    assert_eq!(handshakes.handle().stats().in_flight, 0, "a permit of the connector ends when the connection is there");
    assert!(handshakes.handle().stats().admitted < 100, "idle connections are used again, and meet no connector layer");
}

#[tokio::test]
async fn client_layers_bound_calls_and_connector_layers_bound_handshakes() {
    share_a_stack(composed).await;
    share_a_stack(legacy).await;
}

async fn refuse<S>(
    make: impl Fn(Limit<donjon_concurrency_limit::Http>, Limit<donjon_concurrency_limit::Any>, Duration) -> S,
) where
    S: Service<Request<Full<Bytes>>, Response = Layered, Error = CallError>,
{
    let upstream = Upstream::start().await;
    // No handshake may be under way: a refusal, which opens no socket.
    let stack = make(ConcurrencyLimitLayer::http(5), ConcurrencyLimitLayer::new(0), Duration::from_secs(2));
    let error = stack.oneshot(get(upstream.url("/ok"))).await.map(drop).unwrap_err();
    assert_eq!(error.as_rejection().map(Rejection::kind), Some(RejectionKind::Overloaded));
    assert_eq!(upstream.counts().accepted, 0);

    // Not in time: found in the chain as well, and whoever asks knows that the time was that of connecting.
    let (address, _queued, _listener) = deaf().await;
    let stack = make(ConcurrencyLimitLayer::http(5), ConcurrencyLimitLayer::new(8), Duration::from_millis(20));
    let error = stack.oneshot(get(format!("http://{address}/"))).await.map(drop).unwrap_err();
    assert_eq!(error.as_rejection().map(Rejection::kind), Some(RejectionKind::AttemptTimeout));

    // A refused port: not sent.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let stack = make(ConcurrencyLimitLayer::http(5), ConcurrencyLimitLayer::new(8), Duration::from_secs(2));
    let error = stack.oneshot(get(format!("http://{address}/"))).await.map(drop).unwrap_err();
    assert_eq!(error_outcome(error.as_error()), Outcome::Transient { sent: Sent::NotSent, retry_after: None });
}

#[tokio::test]
async fn what_connector_layers_refuse_is_heard_by_the_caller() {
    refuse(composed).await;
    refuse(legacy).await;
}
