//! Services in memory.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use donjon_json::JsonClient;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
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
        let request = request.map(|body| body.collect().now_or_never().expect("it is in memory").unwrap().to_bytes());
        let response = answer(&request);
        seen.0.lock().unwrap().push(request);
        async move { Ok::<_, Infallible>(response.map(Full::new)) }
    });
    (JsonClient::new(BoxCloneSyncService::new(service)).base("https://api.example.com").unwrap(), log)
}

/// A service that always gives this answer.
pub(crate) fn fixed(response: Response<Bytes>) -> HttpBox {
    api(move |_| response.clone()).0.into_service()
}

/// A client over a service that always gives this answer.
pub(crate) fn always(response: Response<Bytes>) -> JsonClient<HttpBox> {
    api(move |_| response.clone()).0
}

/// An answer of 200 with this JSON.
pub(crate) fn json(body: impl Into<Bytes>) -> Response<Bytes> {
    answer(200, "application/json", body)
}

/// An answer with this status, content type and body.
pub(crate) fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Bytes> {
    Response::builder().status(status).header("content-type", content_type).body(body.into()).unwrap()
}
