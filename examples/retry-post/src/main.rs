//! Three POSTs over hyper-util's own client, each sent again exactly when that is safe.
//!
//! `cargo run -p retry-post -- http://127.0.0.1:3000` posts to `/orders` and `/uploads` of that server.

use std::time::Duration;

use bytes::Bytes;
use donjon::{
    BoxError, CallError, DeadlineLayer, Reject, ReplayLayer, RetryLayer, TimeoutLayer,
    core::error_chain,
    retry::{RetryInfo, RetryReport},
};
use futures_util::stream;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Service, ServiceBuilder, ServiceExt};

/// Any body, in memory or streamed. Nothing has to be implemented for it, and nothing has to be `Clone`.
type Body = UnsyncBoxBody<Bytes, BoxError>;

/// The stack. From the outside in: one deadline for everything, a recording of the body, the retry, and a timeout for
/// each attempt.
fn client()
-> impl Service<Request<Body>, Response = Response<Incoming>, Error = CallError, Future: Send> + Clone + Send + 'static
{
    ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(10)))
        // Keeps up to 64 KiB of a body while the first attempt sends it; what is larger is sent once.
        .layer(ReplayLayer::new())
        .layer(RetryLayer::http().max_attempts(3))
        .layer(TimeoutLayer::new(Duration::from_secs(2)))
        .map_err(CallError::from)
        // hyper-util's own repetition is off: it would be outside of the budget, and count for nothing here.
        .service(Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http())
}

/// What came of a request, and how many times it was sent. `None` for the second: once, and it succeeded.
async fn send<S>(client: S, mut request: Request<Body>) -> (Result<StatusCode, CallError>, Option<RetryInfo>)
where
    S: Service<Request<Body>, Response = Response<Incoming>, Error = CallError>,
{
    let report = RetryReport::new();
    request.extensions_mut().insert(report.clone());
    let result = client.oneshot(request).await;
    (result.map(|response| response.status()), report.info())
}

/// An order. With a key the server knows a second copy for what it is, so it may be sent again even after an answer was
/// lost; without one only if nothing of it was sent.
fn order(base: &str, key: Option<&str>) -> Request<Body> {
    let mut request = Request::post(format!("{base}/orders")).header(CONTENT_TYPE, "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let body = Full::from(r#"{"item":"keep","count":1}"#).map_err(|never| match never {});
    request.body(body.boxed_unsync()).expect("the parts of the order make a request")
}

/// A body of so many pieces of 16 KiB, made while it is sent.
fn upload(base: &str, pieces: usize) -> Request<Body> {
    let pieces = (0..pieces).map(|n| Ok(Frame::data(Bytes::from(vec![b'a' + (n % 26) as u8; 16 * 1024]))));
    let body = StreamBody::new(stream::iter(pieces)).boxed_unsync();
    let request = Request::post(format!("{base}/uploads")).header("idempotency-key", "upload-1");
    request.body(body).expect("the parts of the upload make a request")
}

#[tokio::main]
async fn main() {
    let Some(base) = std::env::args().nth(1) else {
        eprintln!("usage: retry-post http://host:port");
        std::process::exit(2);
    };
    let client = client();
    for (what, request) in [
        ("an order with a key", order(&base, Some("order-1"))),
        ("an order without a key", order(&base, None)),
        ("an upload of 1 MiB", upload(&base, 64)),
    ] {
        let (result, info) = send(client.clone(), request).await;
        let result = match result {
            Ok(status) => status.to_string(),
            Err(error) => error_chain(error.as_error()).map(ToString::to_string).collect::<Vec<_>>().join(": "),
        };
        let sent = match info {
            Some(RetryInfo { attempts, .. }) if attempts > 1 => format!("sent {attempts} times"),
            _ => "sent once".to_owned(),
        };
        match info.and_then(|info| info.reason) {
            Some(reason) => println!("{what}: {result}; {sent}, not again because {reason}"),
            None => println!("{what}: {result}; {sent}"),
        }
    }
}

#[cfg(test)]
mod tests;
