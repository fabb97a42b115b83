//! The form for HTTP: what may be sent twice, and what counts as an answer.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use donjon_budget::Budget;
use donjon_core::CallError;
use donjon_hedge::{Delay, HedgeLayer};
use http::{HeaderName, Method, Request, Response};
use http_body_util::Full;
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

#[tokio::test(start_paused = true)]
async fn a_503_that_asks_for_patience_is_not_hedged_and_a_404_is_an_answer() {
    assert_eq!(send(request(Method::GET), 503).await, (503, vec![None]));
    assert_eq!(send(request(Method::GET), 404).await, (404, vec![None]));
}
