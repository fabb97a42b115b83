//! An axum server that says no in time: at most so many requests at once over the whole server, fewer on one route that
//! costs more, and everybody beyond is told 503 and when to come back.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{
        Query, Request, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::{
        Response,
        sse::{Event, Sse},
    },
    routing::get,
};
use donjon::{
    ConcurrencyLimitLayer,
    concurrency_limit::{HeldPermit, Http},
    per_key::ExceptLayer,
    respond,
};
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::time::timeout;

/// How long the other end of a WebSocket may be silent.
const IDLE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());

    // 64 at once, 128 more wait for up to a quarter of a second. Whoever finds no place is told so at once.
    let server = ConcurrencyLimitLayer::http(64).queue(128).max_wait(Duration::from_millis(250));
    // No queue: the third report is refused.
    let reports = ConcurrencyLimitLayer::http(2).queue(0);

    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app(server, reports, IDLE)).await
}

/// The state of a limit is in the layer, so it holds over all routes, all connections and all clones of the router.
fn app(server: ConcurrencyLimitLayer<Http>, reports: ConcurrencyLimitLayer<Http>, idle: Duration) -> Router {
    // What asks whether the server is alive must not be told that it is busy.
    let server = ExceptLayer::new(|request: &Request| request.uri().path() == "/health", server);

    Router::new()
        .route("/work", get(work))
        .route("/report", get(work).layer(respond(reports)))
        .route("/events", get(events))
        .route("/socket", get(move |upgrade, permit| socket(upgrade, permit, idle)))
        .route("/health", get(|| async { "alive" }))
        // `respond` makes responses of what the layers inside of it refuse, so the error stays `Infallible`.
        .layer(respond(server))
}

#[derive(Deserialize)]
struct Work {
    #[serde(default)]
    ms: u64,
}

/// Takes as long as it is told to: `/work?ms=500`.
async fn work(Query(work): Query<Work>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(work.ms)).await;
    "done\n"
}

/// An event a second, without end. The permit is held until the client has gone: the limit follows the body.
async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::unfold(0, async |n: u64| {
        if n > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Some((Ok(Event::default().data(n.to_string())), n + 1))
    }))
}

/// A WebSocket that says everything twice. Its request is over with the handshake, and so would be its permit: the
/// request carries it for whoever keeps the socket.
async fn socket(upgrade: WebSocketUpgrade, Extension(permit): Extension<HeldPermit>, idle: Duration) -> Response {
    upgrade.on_upgrade(async move |socket| {
        echo(socket, idle).await;
        drop(permit);
    })
}

/// Whoever vanishes says nothing of it. After half of `idle` in silence there is a ping, which anybody who is there
/// answers; after all of it, or if a message cannot be sent for as long, the socket is given up.
async fn echo(mut socket: WebSocket, idle: Duration) {
    let mut pinged = false;
    loop {
        let message = match timeout(idle / 2, socket.recv()).await {
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
        let answer = pinged || matches!(message, Message::Text(_));
        if answer && !matches!(timeout(idle, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
