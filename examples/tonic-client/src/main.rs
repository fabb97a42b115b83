//! A tonic client that bears with a server in trouble: it tries again what may be tried again, when the server wants it
//! to; it keeps its own calls within a bound; and it never takes longer than its deadline, which the server is told.

use std::time::Duration;

use donjon::{
    CallError, ConcurrencyLimitLayer, DeadlineLayer, ReplayLayer, RetryLayer,
    core::BoxError,
    http::grpc::{RefusalLayer, StatusLayer},
    timeout::PropagateDeadlineLayer,
};
use tonic::{
    body::Body,
    codegen::{Body as HttpBody, Bytes},
    transport::Endpoint,
};
// Code that was generated from a .proto, as yours is.
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};

/// A type that a struct can have as a field. One box a call; who wants none takes the stack as it is.
type Resilient = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, BoxError>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:3000".into());

    // A channel connects when it is first needed, and again when its connection is lost.
    let channel = Endpoint::from_shared(url)?.connect_lazy();
    let mut client = HealthClient::new(resilient(channel, RetryLayer::grpc()));

    // The server of `tonic-server` takes so many milliseconds.
    let answer = client.check(HealthCheckRequest { service: "100".into() }).await?;
    println!("{:?}", answer.into_inner().status());
    Ok(())
}

/// The layers around a channel, or around any other client of HTTP/2. From the outside in.
fn resilient<S, B>(transport: S, retry: RetryLayer<donjon::retry::Grpc>) -> Resilient
where
    S: Service<http::Request<Body>, Response = http::Response<B>, Error: Into<BoxError>, Future: Send>,
    S: Clone + Send + Sync + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let stack = ServiceBuilder::new()
        // What a layer refuses is a status: RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED, UNAVAILABLE.
        .layer(RefusalLayer::new())
        // Over everything: the queue, all attempts, the waits between them.
        .layer(DeadlineLayer::new(Duration::from_secs(5)))
        // tonic streams its requests. This keeps what was sent, so that it can be sent again.
        .layer(ReplayLayer::new())
        // Only you know which of your methods may be called twice.
        .layer(retry.idempotent(|path| path == "/grpc.health.v1.Health/Check"))
        .layer(ConcurrencyLimitLayer::http(64))
        // Innermost, so that a server is told what is left for this attempt.
        .layer(PropagateDeadlineLayer::new().grpc())
        // Finds the status in the trailers too, while it is still time to try again.
        .layer(StatusLayer::new())
        .map_request(|request: http::Request<_>| request.map(Body::new))
        .map_err(CallError::new)
        .service(transport);
    let stack = stack.map_response(|response| response.map(Body::new)).map_err(BoxError::from);
    BoxCloneSyncService::new(stack)
}

#[cfg(test)]
mod tests;
