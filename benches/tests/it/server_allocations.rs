//! What the layers of a server allocate for a request of HTTP, from its arrival to the end of its response body.

use std::{convert::Infallible, fmt::Debug, pin::pin, time::Duration};

use bytes::Bytes;
use donjon::{
    CallError, ConcurrencyLimitLayer, DeadlineLayer, RateLimitLayer,
    http::grpc::{StatusLayer, WatchedBody},
    per_key::PerKeyLayer,
    rate_limit::Rate,
    respond,
};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

type In = Full<Bytes>;

/// Of a hundred requests.
fn allocations<S, B>(mut service: S, grpc: bool) -> u64
where
    S: Service<Request<In>, Response = Response<B>>,
    S::Error: Debug,
    B: Body<Data = Bytes>,
    B::Error: Debug,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut call = || {
        runtime.block_on(async {
            let mut request = Request::new(In::from(Bytes::from_static(b"question")));
            if grpc {
                request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            }
            let response = service.ready().await.expect("ready").call(request).await.expect("an answer");
            assert_eq!(response.status(), 200);
            let mut body = pin!(response.into_body());
            while let Some(frame) = body.frame().await {
                frame.expect("a frame");
            }
        });
    };
    // What is made once for a thread, a layer or a shard of it is not a request's: see `layer_allocations`.
    (0..300).for_each(|_| call());
    let rounds = (0..40).map(|_| allocation_counter::measure(|| (0..100).for_each(|_| call())).count_total);
    rounds.min().expect("there are some")
}

fn handler() -> impl Service<Request<In>, Response = Response<In>, Error = Infallible, Future: Send> + Clone {
    service_fn(async |_: Request<In>| Ok(Response::new(In::from(Bytes::from_static(b"answer")))))
}

#[test]
fn each_layer_around_a_handler_allocates_nothing() {
    let server = ServiceBuilder::new();
    assert_eq!(allocations(handler(), false), 0, "the control");
    let nothing = tower::layer::util::Identity::new();
    assert_eq!(allocations(server.clone().layer(respond(nothing)).service(handler()), false), 0, "respond");
    let deadline = respond(DeadlineLayer::http(SECOND));
    assert_eq!(allocations(server.clone().layer(deadline).service(handler()), false), 0, "deadline");
    let rate = RateLimitLayer::new(Rate::per_second(1_000_000_000));
    let each = respond(PerKeyLayer::new(|_: &Request<In>| Some(7_u64), rate));
    assert_eq!(allocations(server.clone().layer(each).service(handler()), false), 0, "rate limit for each key");
    // Its permit follows the body. It is in an allocation only where a handler shares it, or the request upgrades.
    let limit = respond(ConcurrencyLimitLayer::http(1));
    assert_eq!(allocations(server.layer(limit).service(handler()), false), 0, "limit");
}

/// A server of gRPC that says its status in its headers.
fn in_grpc<B: Send + 'static>()
-> impl Service<Request<B>, Response = Response<In>, Error = CallError, Future: Send> + Clone {
    service_fn(async |_: Request<B>| {
        let mut response = Response::new(In::default());
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        response.headers_mut().insert("grpc-status", HeaderValue::from_static("0"));
        Ok(response)
    })
}

/// What the request and its response share: whether the request has ended.
#[test]
fn the_search_for_a_status_allocates_once() {
    let control = allocations(in_grpc::<In>(), true);
    let searched = ServiceBuilder::new().layer(StatusLayer::new()).service(in_grpc::<WatchedBody<In>>());
    assert_eq!(allocations(searched, true) - control, 100, "over {control} for the maps of both heads");
}
