//! The strict rule: never wrongly.

use bytes::Bytes;
use donjon_cache::CacheLayer;
use donjon_core::CallError;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn an_answer_is_stored_and_has_its_age() {
    let cache = CacheLayer::http();
    let service = cache.layer(service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, CallError>(Response::new(Full::<Bytes>::from("hello")))
    }));
    let get = || Request::get("http://a.test/x").body(Full::default()).unwrap();
    let first = service.clone().oneshot(get()).await.unwrap();
    assert!(!first.headers().contains_key("age"));
    tokio::time::advance(std::time::Duration::from_secs(3)).await;
    let second = service.clone().oneshot(get()).await.unwrap();
    assert_eq!(second.headers()["age"], "3");
    assert_eq!(second.into_body().collect().await.unwrap().to_bytes(), "hello");
    assert_eq!(cache.handle().stats().hits, 1);
}
