//! The figures of a server's layers: for Prometheus at `/metrics`, and on a page at `/`.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::header::CONTENT_TYPE,
    response::{Html, IntoResponse},
    routing::get,
};
use donjon::{ConcurrencyLimitLayer, DeadlineLayer, metrics::Publisher, respond};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tower::ServiceBuilder;

#[cfg(test)]
mod tests;

/// The routes. `render` is the exporter's end of the recorder.
fn app(render: PrometheusHandle) -> Router {
    let deadline = DeadlineLayer::new(Duration::from_secs(2));
    let limit = ConcurrencyLimitLayer::http(8).queue(16);

    // Each handle is watched under a name: the label `stack` of all its figures.
    let publisher = Arc::new(Publisher::new());
    publisher.watch("server", deadline.handle());
    publisher.watch("server", limit.handle());

    // Whoever collects makes the figures current: no call pays for it.
    let metrics = move || {
        publisher.publish();
        let text = render.render();
        async { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response() }
    };

    // `route_layer`, so that requests for what is not there do not count among those that were let through.
    let limited = Router::new()
        .route("/work", get(work))
        .route_layer(respond(ServiceBuilder::new().layer(deadline).layer(limit).into_inner()));
    // Whoever watches the server is not limited with those it serves.
    limited.route("/metrics", get(metrics)).route("/", get(async || Html(include_str!("page.html"))))
}

async fn work() -> &'static str {
    tokio::time::sleep(Duration::from_millis(20)).await;
    "done\n"
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app(PrometheusBuilder::new().install_recorder()?)).await?;
    Ok(())
}
