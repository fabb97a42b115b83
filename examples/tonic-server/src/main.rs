//! A tonic server that says no in time, and in gRPC's own words: RESOURCE_EXHAUSTED when there is too much to do,
//! DEADLINE_EXCEEDED when the caller waits no longer. No handler runs for either.

use std::{pin::Pin, time::Duration};

use donjon::{
    ConcurrencyLimitLayer, Deadline, DeadlineLayer,
    concurrency_limit::{Handle, Http},
    respond,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    service::LayerExt,
    transport::{Server, server::TcpIncoming},
};
// Code that was generated from a .proto, as yours is: one unary method, and one that streams.
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);

    // 64 at once over the whole server, 128 more wait for up to a quarter of a second; of this service at most 32.
    let server = ConcurrencyLimitLayer::http(64).queue(128).max_wait(Duration::from_millis(250));
    let service = ConcurrencyLimitLayer::http(32).queue(0);
    serve(listener, server, service).await?;
    Ok(())
}

async fn serve(
    listener: TcpListener,
    server: ConcurrencyLimitLayer<Http>,
    service: ConcurrencyLimitLayer<Http>,
) -> Result<(), tonic::transport::Error> {
    let patient = HealthServer::new(Patient { limit: service.handle() });

    Server::builder()
        // Around all services. `respond` answers a refusal with trailers alone, so the error stays `Infallible`.
        // The deadline is what the client says in `grpc-timeout`, and five seconds at most; outermost, so that time in
        // the queue counts.
        .layer(respond(ServiceBuilder::new().layer(DeadlineLayer::http(Duration::from_secs(5))).layer(server)))
        // Around one service: tonic's `named_layer` keeps its name, by which the router finds it.
        .add_service(respond(service).named_layer(patient))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await
}

/// Takes as long as it is told to: the name that is asked for is a number of milliseconds.
struct Patient {
    limit: Handle,
}

#[tonic::async_trait]
impl Health for Patient {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        let ms = name.parse().map_err(|_| Status::not_found("only numbers of milliseconds are known here"))?;
        let work = Duration::from_millis(ms);
        // What remains of the caller's time, passed by nobody: no need to begin what cannot be done by then.
        if !Deadline::current().allows(work) {
            return Err(Status::deadline_exceeded("it would take longer than you wait"));
        }
        tokio::time::sleep(work).await;
        Ok(Response::new(serving()))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// Without an end of its own: the deadline follows the body and ends it, after five seconds or when the client waits
    /// no longer. The limit follows the body too, so the permit is held until then, or until the client has gone.
    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        println!("{} in flight", self.limit.stats().in_flight);
        let first = stream::once(async { Ok(serving()) });
        Ok(Response::new(Box::pin(first.chain(stream::pending()))))
    }
}

fn serving() -> HealthCheckResponse {
    HealthCheckResponse { status: ServingStatus::Serving.into() }
}

#[cfg(test)]
mod tests;
