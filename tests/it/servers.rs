//! The layers at home in an axum server, over real sockets and the real clock: one limit over routes and connections,
//! permits that last as long as a body, refusals as responses, and a deadline that a client inside a handler inherits.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use donjon::{
    ConcurrencyLimitLayer, Deadline, DeadlineLayer, JsonClient, respond, timeout::PropagateDeadlineLayer, transport,
};
use futures_util::stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, mpsc},
};
use tower::{Layer, ServiceBuilder, ServiceExt};

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

type Connection = hyper::client::conn::http1::SendRequest<Full<Bytes>>;

/// A connection of its own: not a pool's.
async fn connect(address: SocketAddr) -> Connection {
    let stream = TcpStream::connect(address).await.unwrap();
    let (send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    send
}

fn request(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("host", "localhost").body(Full::default()).unwrap()
}

async fn get_on(connection: &mut Connection, path: &str) -> Response<hyper::body::Incoming> {
    connection.ready().await.unwrap();
    connection.send_request(request(path)).await.unwrap()
}

/// A handler that says when it has begun, and ends when it may.
#[derive(Clone)]
struct Slow {
    begun: mpsc::UnboundedSender<()>,
    end: Arc<Semaphore>,
}

impl Slow {
    fn new() -> (Self, mpsc::UnboundedReceiver<()>) {
        let (begun, receive) = mpsc::unbounded_channel();
        (Self { begun, end: Arc::new(Semaphore::new(0)) }, receive)
    }

    async fn answer(self) -> &'static str {
        let _ = self.begun.send(());
        self.end.acquire().await.unwrap().forget();
        "done"
    }
}

#[tokio::test]
async fn one_limit_holds_over_two_routes_and_two_connections() {
    let (slow, mut begun) = Slow::new();
    let limit = ConcurrencyLimitLayer::http(1).queue(0);
    let guard = || respond(limit.clone());
    let (a, b) = (slow.clone(), slow.clone());
    let app = Router::new()
        .route("/a", get(move || a.answer()).layer(guard()))
        .route("/b", get(move || b.answer()).layer(guard()));
    let address = serve(app).await;

    let (mut first, mut second) = (connect(address).await, connect(address).await);
    let running = tokio::spawn(async move { get_on(&mut first, "/a").await.status() });
    begun.recv().await.unwrap();

    let refused = get_on(&mut second, "/b").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let problem = refused.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&problem).unwrap();
    assert_eq!(problem["status"], 503);

    slow.end.add_permits(2);
    assert_eq!(running.await.unwrap(), StatusCode::OK);
    assert_eq!(get_on(&mut second, "/b").await.status(), StatusCode::OK);
    assert_eq!(limit.handle().stats().max_in_flight, 1);
}

#[tokio::test]
async fn one_limit_holds_under_a_router_that_is_cloned_for_each_call() {
    let (slow, mut begun) = Slow::new();
    let limit = ConcurrencyLimitLayer::http(1).queue(0);
    let handler = slow.clone();
    let app = Router::new().route("/", get(move || handler.answer())).layer(respond(limit));

    let running = tokio::spawn(app.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()));
    begun.recv().await.unwrap();
    let refused = app.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    slow.end.add_permits(1);
    assert_eq!(running.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_permit_lasts_until_the_body_has_ended_or_its_reader_has_gone() {
    let gate = Arc::new(Notify::new());
    let limit = ConcurrencyLimitLayer::http(1).queue(0);
    let handle = limit.handle();
    let more = Arc::clone(&gate);
    let handler = get(move || {
        let more = Arc::clone(&more);
        async move {
            Body::from_stream(stream::unfold(0, move |n| {
                let more = Arc::clone(&more);
                async move {
                    if n > 0 {
                        more.notified().await;
                    }
                    Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b"event\n")), n + 1))
                }
            }))
        }
    });
    let address = serve(Router::new().route("/", handler).layer(respond(limit))).await;

    let mut first = connect(address).await;
    let mut events = get_on(&mut first, "/").await.into_body();
    events.frame().await.unwrap().unwrap();
    assert_eq!(handle.stats().in_flight, 1, "the head and a first event are there, and the permit is held");
    assert_eq!(get_on(&mut connect(address).await, "/").await.status(), StatusCode::SERVICE_UNAVAILABLE);

    // The reader leaves: the server's next write fails, and drops the body.
    drop((events, first));
    while handle.stats().in_flight > 0 {
        gate.notify_one();
        tokio::task::yield_now().await;
    }
    assert_eq!(get_on(&mut connect(address).await, "/").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_inside_a_handler_inherits_the_deadline_and_tells_the_next_server() {
    async fn remaining(headers: HeaderMap) -> String {
        headers.get("x-request-timeout-ms").map_or("null".into(), |value| value.to_str().unwrap().to_owned())
    }
    let upstream = Router::new().route("/", get(remaining));
    let upstream = serve(upstream.layer(axum::middleware::map_response(|mut response: Response<Body>| async move {
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        response
    })))
    .await;

    let stack = ServiceBuilder::new()
        .layer(PropagateDeadlineLayer::new())
        .map_err(donjon::CallError::from)
        .service(transport());
    let api = JsonClient::new(stack).base(format!("http://{upstream}")).unwrap();
    let handler = get(move || async move {
        let here = Deadline::current().remaining().unwrap();
        let there: u64 = api.get("/").send().await.unwrap();
        format!("{} {there}", here.as_millis())
    });
    let app = Router::new().route("/", handler).layer(respond(DeadlineLayer::http(Duration::from_secs(30))));
    let address = serve(app).await;

    let mut connection = connect(address).await;
    connection.ready().await.unwrap();
    let mut request = request("/");
    request.headers_mut().insert("x-request-timeout-ms", "20000".parse().unwrap());
    let body = connection.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let (here, there) = text.split_once(' ').unwrap();
    let (here, there): (u64, u64) = (here.parse().unwrap(), there.parse().unwrap());
    assert!(here <= 20_000, "the client's own time, which is shorter than the server's, holds in the handler: {here}");
    assert!(there <= here && there > 0, "what remains goes out: {there} of {here}");
}

#[tokio::test]
async fn a_request_without_time_left_starts_no_work() {
    let handler = get(|| async {
        panic!("no handler runs");
        #[expect(unreachable_code, reason = "the type of the handler")]
        ""
    });
    let app = Router::new().route("/", handler).layer(respond(DeadlineLayer::http(Duration::from_secs(30))));
    let request = Request::get("/").header("grpc-timeout", "0m").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn the_layers_stand_under_a_bare_hyper_service() {
    let limit = ConcurrencyLimitLayer::http(0);
    let stack = respond(limit.clone()).layer(tower::service_fn(|_: Request<hyper::body::Incoming>| async {
        Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("hello")))
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper_util::service::TowerToHyperService::new(stack.clone());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    assert_eq!(get_on(&mut connect(address).await, "/").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    limit.handle().set_max(1).unwrap();
    assert_eq!(get_on(&mut connect(address).await, "/").await.status(), StatusCode::OK);
}
