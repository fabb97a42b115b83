//! An axum server whose handlers call another server. The caller says how long it waits; the handler, the client inside
//! of it and the server behind it all know what is left, and nobody passes it along by hand.

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, extract::State, http::StatusCode, routing::get};
use donjon::{BoxJsonClient, Deadline, DeadlineLayer, JsonError, Reject, Rejection, RejectionKind, respond};
use futures_util::stream;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:3000".into());

    let listener = tokio::net::TcpListener::bind(address).await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!("listening on {here}");
    // The server behind is this one, unless another is named.
    let upstream = client(&args.next().unwrap_or(here))?;
    axum::serve(listener, app(upstream)).await?;
    Ok(())
}

/// A client that tells its upstream how long the answer is still waited for: `x-request-timeout-ms` in each attempt.
fn client(base: &str) -> Result<BoxJsonClient, JsonError> {
    let client = donjon::client::builder().attempt_timeout(Duration::MAX).propagate_deadline();
    Ok(client.build(base)?.boxed())
}

fn app(upstream: BoxJsonClient) -> Router {
    Router::new()
        .route("/", get(front))
        .route("/work", get(work))
        .route("/lines", get(lines))
        .with_state(upstream)
        // Two seconds for everybody, and less for whoever says so, in `x-request-timeout-ms` or `grpc-timeout`. It covers
        // the handler and the response body.
        .layer(respond(DeadlineLayer::http(Duration::from_secs(2))))
}

/// Asks the server behind. There is no timeout here, and no argument for one: the client inherits what is left.
async fn front(State(upstream): State<BoxJsonClient>) -> Result<String, StatusCode> {
    let told: u64 = upstream.get("/work").send().await.map_err(|error| status(&error))?;
    Ok(format!("the server behind was told {told} ms\n"))
}

/// 504 if the time is over; whatever else the server behind has done is 502.
fn status(error: &JsonError) -> StatusCode {
    let is_late = error.as_rejection().map(Rejection::kind) == Some(RejectionKind::DeadlineExceeded);
    // It knows the same deadline, and may be the first to say that it has passed.
    if is_late || error.status() == Some(StatusCode::GATEWAY_TIMEOUT) {
        StatusCode::GATEWAY_TIMEOUT
    } else {
        StatusCode::BAD_GATEWAY
    }
}

/// The server behind: says how long it may take.
async fn work() -> axum::Json<Option<u128>> {
    // Whatever is done from here on can ask; work that takes longer need not begin.
    axum::Json(Deadline::current().remaining().map(|left| left.as_millis()))
}

/// A line at once and one a second, without end; but the body is part of the request, and ends with its time.
async fn lines() -> Body {
    Body::from_stream(stream::unfold(0, |n: u64| async move {
        tokio::time::sleep(Duration::from_secs(n.min(1))).await;
        Some((Ok::<_, Infallible>("a line\n"), n + 1))
    }))
}

#[cfg(test)]
mod tests;
