//! The form for HTTP: what may be sent twice, and what counts as an answer.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use donjon_budget::Budget;
use donjon_core::{CallError, Reject, Rejection, RejectionKind};
use donjon_hedge::{Delay, HedgeLayer};
use http::{HeaderName, Method, Request, Response};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt, service_fn};

type Seen = Arc<Mutex<Vec<Option<String>>>>;

/// Waits 100 ms for the first copy and none for the others; the status is the first one's, then 200.
async fn send(request: Request<Full<Bytes>>, status: u16) -> (u16, Vec<Option<String>>) {
    let seen = Seen::default();
    let at = Arc::clone(&seen);
    let inner = service_fn(move |request: Request<Full<Bytes>>| {
        let mark = request.headers().get("x-hedge").map(|mark| mark.to_str().unwrap().to_owned());
        let first = {
            let mut seen = at.lock().unwrap();
            seen.push(mark);
            seen.len() == 1
        };
        async move {
            if first && status == 200 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let status = if first { status } else { 200 };
            Ok::<_, CallError>(
                Response::builder().status(status).header("retry-after", "0").body(Full::<Bytes>::default())?,
            )
        }
    });
    let layer = HedgeLayer::http()
        .delay(Delay::fixed(Duration::from_millis(10)))
        .budget(&Budget::unlimited())
        .hedge_header(HeaderName::from_static("x-hedge"));
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    let seen = seen.lock().unwrap().clone();
    (response.status().as_u16(), seen)
}

fn request(method: Method) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri("http://a.example/").body(Full::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn only_what_is_idempotent_is_hedged() {
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert_eq!(send(request(method), 200).await.1, [None, Some("1".to_owned())]);
    }
    for method in [Method::POST, Method::PATCH] {
        assert_eq!(send(request(method), 200).await.1, [None]);
    }
    let mut marked = request(Method::POST);
    marked.headers_mut().insert("idempotency-key", "7".parse().unwrap());
    assert_eq!(send(marked, 200).await.1.len(), 2);
}

/// A service that fails with a 503 whose body holds a place, and then does what it is told.
async fn after_a_503(places: usize, second: impl AsyncFn() -> Result<u16, CallError>) -> Result<u16, CallError> {
    let (places, calls) = (Arc::new(Semaphore::new(places)), AtomicUsize::new(0));
    let inner = service_fn(|_: Request<Full<Bytes>>| async {
        let place = Arc::clone(&places).acquire_owned().await?;
        let status = if calls.fetch_add(1, Ordering::Relaxed) == 0 { 503 } else { second().await? };
        Ok::<_, CallError>(Response::builder().status(status).body(place)?)
    });
    let layer = HedgeLayer::http().delay(Delay::fixed(Duration::from_millis(10))).budget(&Budget::unlimited());
    Ok(layer.layer(inner).oneshot(request(Method::GET)).await?.status().as_u16())
}

fn refusal() -> CallError {
    CallError::from_rejection(Rejection::new(RejectionKind::Overloaded, "test"))
}

#[tokio::test(start_paused = true)]
async fn a_503_is_the_answer_if_the_hedge_that_it_brings_forward_is_refused_at_once() {
    assert_eq!(after_a_503(2, async || Err(refusal())).await.unwrap(), 503);
    assert_eq!(after_a_503(2, async || Ok(200)).await.unwrap(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_503_is_not_kept_while_a_hedge_is_out_that_may_wait_for_what_it_holds() {
    assert_eq!(after_a_503(1, async || Ok(200)).await.unwrap(), 200);
    let late = async || {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Err(refusal())
    };
    assert!(after_a_503(2, late).await.unwrap_err().as_rejection().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_503_that_asks_for_patience_is_not_hedged_and_a_404_is_an_answer() {
    assert_eq!(send(request(Method::GET), 503).await, (503, vec![None]));
    assert_eq!(send(request(Method::GET), 404).await, (404, vec![None]));
}
