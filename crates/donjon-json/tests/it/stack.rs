//! Donjon's layers on both sides of the client.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use donjon_core::{CallError, Reject, RejectionKind};
use donjon_fanout::FanOutExt;
use donjon_json::{Call, JsonClassify, JsonClient, JsonError, JsonErrorKind};
use donjon_retry::{RetryInfo, RetryLayer, Standard};
use donjon_timeout::DeadlineLayer;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};

type Upstream = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, CallError>;

/// Answers with each status in turn, and with the last one from then on.
fn upstream(statuses: &'static [u16]) -> (Upstream, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let service = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let call = counted.fetch_add(1, SeqCst) as usize;
        let status = statuses[call.min(statuses.len() - 1)];
        let response = Response::builder().status(status).body(Full::new(Bytes::from("1"))).unwrap();
        async move { Ok::<_, Infallible>(response) }
    });
    (BoxCloneSyncService::new(service.map_err(CallError::from)), calls)
}

#[tokio::test(start_paused = true)]
async fn a_retry_below_leaves_its_word_in_replies_and_errors() {
    for (statuses, ok, attempts) in [(&[503, 503, 200][..], true, 3), (&[503], false, 4)] {
        let (service, calls) = upstream(statuses);
        let stack = ServiceBuilder::new().layer(RetryLayer::http()).service(service);
        let api = JsonClient::new(stack).base("https://api.example.com").unwrap();
        let result = api.get("/x").send_full::<u8>().await;
        assert_eq!((result.is_ok(), calls.load(SeqCst)), (ok, attempts));
        let info = match &result {
            Ok(reply) => reply.extensions().get::<RetryInfo>(),
            Err(error) => error.extensions().unwrap().get::<RetryInfo>(),
        };
        assert_eq!(info.unwrap().attempts, attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_around_typed_calls_reads_their_errors() {
    for (statuses, ok, attempts) in [(&[503, 429, 200][..], true, 3), (&[404, 200], false, 1), (&[302, 200], false, 1)]
    {
        let (service, calls) = upstream(statuses);
        let api = JsonClient::new(service).base("https://api.example.com").unwrap();
        let retry = RetryLayer::new(Standard::new().classify(JsonClassify::new()));
        let typed = ServiceBuilder::new().layer(retry).service(api);
        let task = tokio::spawn(typed.oneshot(Call::<u8>::get("/users/{id}").path("id", 1)));
        let result: Result<u8, JsonError> = task.await.unwrap();
        assert_eq!((result.is_ok(), calls.load(SeqCst)), (ok, attempts), "{statuses:?}");
    }
    // JSON of another shape does not get better.
    let (service, calls) = upstream(&[200]);
    let api = JsonClient::new(service).base("https://api.example.com").unwrap();
    let retry = RetryLayer::new(Standard::new().classify(JsonClassify::new()));
    let typed = ServiceBuilder::new().layer(retry).service(api);
    let error = typed.oneshot(Call::<String>::get("/x")).await.unwrap_err();
    assert_eq!((error.kind(), calls.load(SeqCst)), (JsonErrorKind::Decode, 1));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_layer_around_typed_calls_covers_the_body() {
    let service = tower::service_fn(|_: Request<Full<Bytes>>| async {
        let first = futures_util::stream::once(async { Ok::<_, Infallible>(http_body::Frame::data(Bytes::from("["))) });
        let never = futures_util::stream::pending();
        let body = http_body_util::StreamBody::new(futures_util::StreamExt::chain(first, never));
        Ok::<_, Infallible>(Response::new(body))
    });
    let api = JsonClient::new(service).base("https://api.example.com").unwrap();
    let typed = ServiceBuilder::new().layer(DeadlineLayer::new(Duration::from_secs(5))).service(api);
    let start = Instant::now();
    let error = typed.oneshot(Call::<Vec<u8>>::get("/x")).await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(error.as_rejection().unwrap().kind(), RejectionKind::DeadlineExceeded);
    assert_eq!(error.kind(), JsonErrorKind::Refused);
}

#[tokio::test(start_paused = true)]
async fn many_calls_at_once_infer_their_type() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct User {
        id: u32,
    }
    let (api, _) = crate::support::api(|seen| {
        let id = seen.uri().path().rsplit('/').next().unwrap();
        crate::support::json(format!("{{\"id\":{id}}}"))
    });
    let ids = 0..20_u32;
    let mut replies = api.fan_out(ids.map(|id| (id, Call::get(format!("/users/{id}"))))).at_once(10).as_completed();
    let mut seen = 0;
    while let Some((id, reply)) = replies.next().await {
        let user: User = reply.unwrap();
        assert_eq!(user, User { id });
        seen += 1;
    }
    assert_eq!(seen, 20);
}
