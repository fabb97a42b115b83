//! A bare hyper server that says no in time: at most so many requests at once over the whole server, fewer on one path
//! that costs more, and everybody beyond is told 503 and when to come back.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use donjon::{
    ConcurrencyLimitLayer,
    concurrency_limit::{HeldPermit, Http},
    per_key::ExceptLayer,
    respond,
};
use futures_util::{SinkExt, StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode, Version,
    body::{Frame, Incoming},
    header::{self, HeaderValue},
    upgrade::Upgraded,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, error::ProtocolError, handshake::server::create_response_with_body, protocol::Role},
};
use tower::{Layer, Service, ServiceExt, service_fn};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How long the other end of a WebSocket may be silent.
const IDLE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());

    // 64 at once, 128 more wait for up to a quarter of a second. Whoever finds no place is told so at once.
    let server = ConcurrencyLimitLayer::http(64).queue(128).max_wait(Duration::from_millis(250));
    // No queue: the third report is refused.
    let reports = ConcurrencyLimitLayer::http(2).queue(0);

    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, server, reports, IDLE).await
}

async fn serve(
    listener: TcpListener,
    server: ConcurrencyLimitLayer<Http>,
    reports: ConcurrencyLimitLayer<Http>,
    idle: Duration,
) -> std::io::Result<()> {
    let app = app(server, reports, idle);
    loop {
        let (stream, _) = listener.accept().await?;
        // The state of a limit is in the layer, so a clone for each connection has the same one.
        tokio::spawn(connection(stream, app.clone()));
    }
}

async fn connection<S, B>(stream: TcpStream, app: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    B: hyper::body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let service = TowerToHyperService::new(app);
    // HTTP/1.1 and HTTP/2 on one port. That a client goes away is no error of the server's.
    let _ =
        auto::Builder::new(TokioExecutor::new()).serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

fn app(
    server: ConcurrencyLimitLayer<Http>,
    reports: ConcurrencyLimitLayer<Http>,
    idle: Duration,
) -> impl Service<
    Request<Incoming>,
    Response = Response<impl hyper::body::Body<Data = Bytes, Error = Infallible> + Send + 'static>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    let reports = respond(reports).layer(service_fn(work));
    let routes = service_fn(move |request: Request<Incoming>| {
        let reports = reports.clone();
        async move {
            match request.uri().path() {
                "/work" => work(request).await,
                "/report" => reports.oneshot(request).await.map(|response| response.map(BodyExt::boxed_unsync)),
                "/events" => Ok(events()),
                "/socket" => Ok(socket(request, idle)),
                "/health" => Ok(text("alive\n")),
                _ => Ok(status(StatusCode::NOT_FOUND)),
            }
        }
    });

    // What asks whether the server is alive must not be told that it is busy.
    let server = ExceptLayer::new(|request: &Request<Incoming>| request.uri().path() == "/health", server);
    // `respond` makes responses of what the layers inside of it refuse, so the error stays `Infallible`.
    respond(server).layer(routes)
}

/// Takes as long as it is told to: `/work?500`, in milliseconds.
async fn work(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let ms = request.uri().query().and_then(|query| query.parse().ok()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Ok(text("done\n"))
}

/// An event a second, without end. The permit is held until the client has gone: the limit follows the body.
fn events() -> Response<Body> {
    let events = stream::unfold(0, |n: u64| async move {
        if n > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Some((Ok(Frame::data(Bytes::from(format!("data: {n}\n\n")))), n + 1))
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// A WebSocket that says everything twice. Its request is over with the handshake, and so would be its permit: the
/// request carries it for whoever keeps the socket.
fn socket(mut request: Request<Incoming>, idle: Duration) -> Response<Body> {
    let response = handshake(&request);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let permit = request.extensions_mut().remove::<HeldPermit>();
        tokio::spawn(async move {
            if let Ok(upgraded) = hyper::upgrade::on(request).await {
                echo(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await, idle).await;
            }
            drop(permit);
        });
    }
    response
}

/// 101 to a GET over HTTP/1.1 that has all the fields of a handshake. HTTP/2 has no upgrade of this kind.
fn handshake(request: &Request<Incoming>) -> Response<Body> {
    use ProtocolError::*;

    if request.version() != Version::HTTP_11 {
        return status(StatusCode::BAD_REQUEST);
    }
    match create_response_with_body(request, || text("").into_body()) {
        Ok(response) => response,
        Err(Error::Protocol(
            MissingConnectionUpgradeHeader | MissingUpgradeWebSocketHeader | MissingSecWebSocketVersionHeader,
        )) => {
            let mut response = status(StatusCode::UPGRADE_REQUIRED);
            for (name, value) in
                [(header::CONNECTION, "upgrade"), (header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_VERSION, "13")]
            {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            response
        }
        Err(_) => status(StatusCode::BAD_REQUEST),
    }
}

/// Whoever vanishes says nothing of it. After half of `idle` in silence there is a ping, which anybody who is there
/// answers; after all of it, or if a message cannot be sent for as long, the socket is given up.
async fn echo(mut socket: WebSocketStream<TokioIo<Upgraded>>, idle: Duration) {
    let mut pinged = false;
    loop {
        let message = match timeout(idle / 2, socket.next()).await {
            Ok(Some(Ok(message))) => {
                pinged = false;
                message
            }
            Err(_) if !pinged => {
                pinged = true;
                Message::Ping(Bytes::new())
            }
            _ => return,
        };
        let answer = pinged || message.is_text();
        if answer && !matches!(timeout(idle, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn text(text: &'static str) -> Response<Body> {
    Response::new(Full::from(text).boxed_unsync())
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = text("");
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;
