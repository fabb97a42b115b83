//! An axum server that answers from memory: many who miss at once are one call of the handler, what is one user's stays
//! his, and an answer that has grown old is better than an error.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
    routing::{delete, get},
};
use donjon::{CacheLayer, respond};

/// What the handlers work with, in place of a database.
#[derive(Clone, Default)]
struct Articles {
    calls: Arc<AtomicU64>,
    /// The database is down.
    down: Arc<AtomicBool>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app(Articles::default())).await
}

fn app(articles: Articles) -> Router {
    // Caching by a strict rule: 200 to GET and HEAD, nothing with Authorization, Cookie or Set-Cookie.
    let cache = CacheLayer::http()
        .ttl(Duration::from_secs(60))
        // For ten minutes more the old answer stands in for a 5xx.
        .stale_if_error(Duration::from_secs(600));
    let handle = cache.handle();
    let one = handle.clone();

    Router::new()
        .route("/articles/{id}", get(article))
        .route("/me", get(me))
        .layer(respond(cache))
        // Whoever knows that something has changed says so through the handle. Nothing checks here who that is, and each
        // removal costs a call: put these two routes behind your authentication, or on an address of your own.
        .route(
            "/refresh/{id}",
            delete(async move |Path(id): Path<u64>| {
                // By path: over HTTP/2 the URI of a request names the host too.
                one.invalidate_path(&format!("/articles/{id}"));
                StatusCode::NO_CONTENT
            }),
        )
        .route(
            "/cache",
            delete(async move || {
                handle.invalidate_all();
                StatusCode::NO_CONTENT
            }),
        )
        .with_state(articles)
}

/// Slow, and the same for everybody.
async fn article(State(articles): State<Articles>, Path(id): Path<u64>) -> Result<String, StatusCode> {
    let call = articles.calls.fetch_add(1, Relaxed);
    tokio::time::sleep(Duration::from_millis(500)).await;
    if articles.down.load(Relaxed) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok(format!("article {id}, made by call {call}\n"))
}

/// One visitor's own answer. The rule of the cache sees `set-cookie`, and stores nothing.
async fn me(State(articles): State<Articles>) -> impl IntoResponse {
    let call = articles.calls.fetch_add(1, Relaxed);
    ([("set-cookie", format!("visitor={call}"))], format!("visitor {call}\n"))
}

#[cfg(test)]
mod tests;
