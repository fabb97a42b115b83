//! What a caller can build on: bounds, readiness, spawning. The laws on layers are for what is put around a transport.

use bytes::Bytes;
use donjon_core::{CallError, Reject};
use donjon_transport::{Transport, TransportBody, TransportBuilder, TransportError, future::ResponseFuture, transport};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::upstream::Upstream;

fn send_sync_clone_debug<T: Send + Sync + Clone + std::fmt::Debug + 'static>() {}
fn send_sync<T: Send + Sync + 'static>() {}
fn unpin<T: Unpin>() {}

#[test]
fn types_can_be_moved_and_shared() {
    send_sync_clone_debug::<Transport>();
    send_sync_clone_debug::<TransportBuilder>();
    send_sync::<ResponseFuture>();
    send_sync::<TransportBody>();
    unpin::<TransportBody>();
    send_sync::<TransportError>();
}

#[test]
fn it_is_made_outside_of_a_runtime() {
    assert_eq!(transport().open_connections(), 0);
}

/// Any body, and the transport does not say which.
async fn get<S, B>(service: S, request: Request<B>) -> Bytes
where
    S: Service<Request<B>, Response = Response<TransportBody>>,
    S::Error: std::fmt::Debug,
{
    service.oneshot(request).await.unwrap().into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn one_transport_takes_any_body() {
    let upstream = Upstream::start().await;
    let client = transport();
    let url = upstream.url("/echo");
    assert_eq!(get(client.clone(), Request::post(&url).body(Empty::<Bytes>::new()).unwrap()).await, "");
    assert_eq!(get(client.clone(), Request::post(&url).body(Full::<Bytes>::from("full")).unwrap()).await, "full");
    assert_eq!(get(client.clone(), Request::post(&url).body("text".to_owned()).unwrap()).await, "text");
    let boxed = UnsyncBoxBody::new(Full::<Bytes>::from("boxed"));
    assert_eq!(get(client.clone(), Request::post(&url).body(boxed).unwrap()).await, "boxed");
    assert_eq!(upstream.counts().accepted, 1, "one pool serves all");
}

#[tokio::test]
async fn a_concrete_stack_is_spawned_without_erasing_it() {
    async fn generic<S>(service: S, url: String) -> Result<Bytes, CallError>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<TransportBody>, Error = CallError>,
    {
        let response = service.oneshot(Request::get(url).body(Full::default()).unwrap()).await?;
        Ok(response.into_body().collect().await?.to_bytes())
    }
    let upstream = Upstream::start().await;
    let stack = ServiceBuilder::new().map_err(CallError::from).service(transport());
    let answer = tokio::spawn(generic(stack, upstream.url("/ok"))).await.unwrap();
    assert_eq!(answer.unwrap(), "ok");
}

#[test]
fn the_error_carries_a_rejection() {
    use donjon_core::{Rejection, RejectionKind};
    let error = TransportError::from_rejection(Rejection::new(RejectionKind::CircuitOpen, "breaker"));
    assert_eq!(error.as_rejection().unwrap().kind(), RejectionKind::CircuitOpen);
    let error = CallError::from(error);
    assert_eq!(error.as_rejection().unwrap().kind(), RejectionKind::CircuitOpen);
}
