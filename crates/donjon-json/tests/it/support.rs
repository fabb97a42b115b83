//! Services in memory.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use donjon_json::JsonClient;
use http::{Request, Response};
use http_body_util::Full;
use tower::util::BoxCloneSyncService;

pub(crate) type HttpBox = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

/// A request with its body at hand.
pub(crate) type Seen = Request<Bytes>;

/// What a service has seen.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn one(&self) -> Seen {
        let all = self.all();
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().unwrap()
    }
}

/// A client over a service that answers at once, under `https://api.example.com`, and what it sees.
pub(crate) fn api<F>(answer: F) -> (JsonClient<HttpBox>, Log)
where
    F: Fn(&Seen) -> Response<Bytes> + Clone + Send + Sync + 'static,
{
    let log = Log::default();
    let seen = log.clone();
    let service = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let request = request.map(|body| {
            use http_body_util::BodyExt;
            futures_lite_block(body.collect())
        });
        let response = answer(&request);
        seen.0.lock().unwrap().push(request);
        async move { Ok::<_, Infallible>(response.map(Full::new)) }
    });
    (JsonClient::new(BoxCloneSyncService::new(service)).base("https://api.example.com").unwrap(), log)
}

/// A body in memory is there at once.
fn futures_lite_block<F, E>(collect: F) -> Bytes
where
    F: Future<Output = Result<http_body_util::Collected<Bytes>, E>>,
    E: std::fmt::Debug,
{
    let mut collect = std::pin::pin!(collect);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match collect.as_mut().poll(&mut cx) {
        std::task::Poll::Ready(collected) => collected.unwrap().to_bytes(),
        std::task::Poll::Pending => panic!("the body is not in memory"),
    }
}

/// An answer of 200 with this JSON.
pub(crate) fn json(body: impl Into<Bytes>) -> Response<Bytes> {
    Response::builder().header("content-type", "application/json").body(body.into()).unwrap()
}

/// An answer with this status, content type and body.
pub(crate) fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Bytes> {
    Response::builder().status(status).header("content-type", content_type).body(body.into()).unwrap()
}
