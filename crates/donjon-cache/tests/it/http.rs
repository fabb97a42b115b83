//! The strict rule: what is stored is the same for all who ask for it, and nothing else is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use donjon_cache::{
    CacheLayer,
    http::{CachedResponse, Http},
};
use donjon_core::CallError;
use donjon_http::{
    respond,
    sharing::{HttpKey, HttpRequests},
};
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::advance;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::secs;

type Body = Full<Bytes>;
type HttpLayer = CacheLayer<HttpRequests, HttpKey, CachedResponse, Http>;
type Fields = &'static [(&'static str, &'static str)];

fn request(method: Method, uri: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::default()).unwrap()
}

fn get(fields: &[(&str, &str)]) -> Request<Body> {
    request(Method::GET, "http://a.test/x", fields)
}

/// An upstream that answers with the number of the call, for whom it was, and by which method.
fn upstream(
    status: u16,
    fields: Fields,
) -> (
    impl Service<Request<Body>, Response = Response<Body>, Error = CallError, Future: Send> + Clone + Send,
    Arc<AtomicUsize>,
) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let service = service_fn(move |request: Request<Body>| {
        let n = count.fetch_add(1, Relaxed);
        async move {
            let who = request.headers().get("authorization").or(request.headers().get("cookie"));
            let who = who.map_or("anybody", |it| it.to_str().unwrap());
            let body = match *request.method() {
                Method::HEAD => Body::default(),
                _ => Body::from(format!("{n} for {who}")),
            };
            let mut response = Response::builder().status(status);
            for (name, value) in fields {
                response = response.header(*name, *value);
            }
            Ok::<_, CallError>(response.body(body).unwrap())
        }
    });
    (service, calls)
}

async fn text<B>(response: Response<B>) -> String
where
    B: http_body_util::BodyExt<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// How many inner calls these requests make, one after the other.
async fn calls_of(layer: HttpLayer, requests: Vec<Request<Body>>, status: u16, fields: Fields) -> usize {
    let (upstream, calls) = upstream(status, fields);
    let service = layer.layer(upstream);
    for request in requests {
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
    }
    calls.load(Relaxed)
}

async fn calls(requests: Vec<Request<Body>>, status: u16, fields: Fields) -> usize {
    calls_of(CacheLayer::http(), requests, status, fields).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_stored_and_has_its_age() {
    let cache = CacheLayer::http();
    let service = cache.layer(upstream(200, &[("etag", "\"1\""), ("connection", "x-hop"), ("x-hop", "1")]).0);
    let first = service.clone().oneshot(get(&[])).await.unwrap();
    assert!(!first.headers().contains_key("age") && first.headers().contains_key("x-hop"));
    for age in ["0", "3"] {
        let next = service.clone().oneshot(get(&[])).await.unwrap();
        assert_eq!(next.headers()["age"], age);
        assert_eq!(next.headers()["etag"], "\"1\"");
        assert!(!next.headers().contains_key("x-hop") && !next.headers().contains_key("connection"));
        assert_eq!(text(next).await, "0 for anybody");
        advance(secs(3)).await;
    }
    assert_eq!(cache.handle().stats().hits, 2);
}

#[tokio::test(start_paused = true)]
async fn two_users_and_one_url_are_two_calls_and_neither_is_stored() {
    for field in ["authorization", "cookie"] {
        let cache = CacheLayer::http();
        let service = cache.layer(upstream(200, &[]).0);
        for (n, who) in ["Ada", "Bob", "Ada"].into_iter().enumerate() {
            let response = service.clone().oneshot(get(&[(field, who)])).await.unwrap();
            assert_eq!(text(response).await, format!("{n} for {who}"));
        }
        // What is for anybody is not answered to a user either.
        assert_eq!(text(service.clone().oneshot(get(&[])).await.unwrap()).await, "3 for anybody");
        assert_eq!(text(service.oneshot(get(&[(field, "Eve")])).await.unwrap()).await, "4 for Eve");
        assert_eq!((cache.handle().store().stats().entries, cache.handle().stats().bypassed), (1, 4));
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_go_through() {
    let fields = [
        ("authorization", "Basic x"),
        ("proxy-authorization", "Basic x"),
        ("cookie", "a=b"),
        ("x-api-key", "x"),
        ("range", "bytes=0-1"),
        ("if-match", "\"1\""),
        ("if-none-match", "\"1\""),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("if-range", "\"1\""),
        ("upgrade", "websocket"),
        ("expect", "100-continue"),
        ("cache-control", "no-store"),
        ("cache-control", "no-cache"),
        ("cache-control", "max-age=0"),
        ("cache-control", "max-age=5"),
        ("cache-control", "min-fresh=5"),
        ("cache-control", "only-if-cached"),
        ("pragma", "no-cache"),
    ];
    for field in fields {
        assert_eq!(calls(vec![get(&[]), get(&[field]), get(&[field]), get(&[])], 200, &[]).await, 3, "{field:?}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE] {
        let two = (0..2).map(|_| request(method.clone(), "http://a.test/x", &[])).collect();
        assert_eq!(calls(two, 200, &[]).await, 2, "{method}");
    }
    let body = || get(&[]).map(|_| Body::from("x"));
    assert_eq!(calls(vec![body(), body()], 200, &[]).await, 2);
    let user = || request(Method::GET, "http://ada:pw@a.test/x", &[]);
    assert_eq!(calls(vec![user(), user()], 200, &[]).await, 2);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_not_stored() {
    let fields: [Fields; 17] = [
        &[("set-cookie", "a=b")],
        &[("cache-control", "no-store")],
        &[("cache-control", "private")],
        &[("cache-control", "max-age=60, Private=\"x\"")],
        &[("cache-control", "no-cache")],
        &[("cache-control", "public"), ("cache-control", "no-cache=\"x\"")],
        &[("cache-control", "max-age=0")],
        &[("cache-control", "max-age=60, s-maxage=0")],
        &[("cache-control", "max-age=many")],
        &[("cache-control", "max-age=60"), ("age", "60")],
        &[("expires", "0")],
        &[("expires", "Sun, 06 Nov 1994 08:49:37 GMT")],
        &[("expires", "Sun, 06 Nov 1994 08:49:37 GMT"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")],
        &[("vary", "*")],
        &[("vary", "user-agent")],
        &[("vary", "accept"), ("vary", "accept-language, x-tenant")],
        &[("content-length", "5")],
    ];
    for fields in fields {
        assert_eq!(calls(vec![get(&[]), get(&[])], 200, fields).await, 2, "{fields:?}");
    }
    let stored: [Fields; 6] = [
        &[("cache-control", "public, max-age=60")],
        &[("cache-control", "max-age=0, s-maxage=60")],
        &[("cache-control", "max-age=99999999999999999999")],
        &[("expires", "Sun, 06 Nov 1994 08:50:37 GMT"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")],
        &[("vary", "Accept, accept-ENCODING"), ("vary", "host")],
        &[("content-length", "13")],
    ];
    for fields in stored {
        assert_eq!(calls(vec![get(&[]), get(&[])], 200, fields).await, 1, "{fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn statuses_that_are_not_stored() {
    let others = [
        201, 202, 203, 204, 206, 300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 410, 414, 429, 451, 500, 501,
        502, 503, 504,
    ];
    for status in others {
        assert_eq!(calls(vec![get(&[]), get(&[])], status, &[]).await, 2, "{status}");
    }
    for status in [404, 410] {
        let layer = CacheLayer::http().negative_ttl(secs(5));
        assert_eq!(calls_of(layer, vec![get(&[]), get(&[])], status, &[]).await, 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn head_and_get_are_two_things() {
    let service = CacheLayer::http().layer(upstream(200, &[("content-length", "13")]).0);
    let ask =
        async |method| text(service.clone().oneshot(request(method, "http://a.test/x", &[])).await.unwrap()).await;
    assert_eq!(ask(Method::HEAD).await, "");
    assert_eq!(ask(Method::GET).await, "1 for anybody");
    assert_eq!(ask(Method::HEAD).await, "");
    assert_eq!(ask(Method::GET).await, "1 for anybody");
}

#[tokio::test(start_paused = true)]
async fn other_uris_and_other_fields_of_the_key_are_other_answers() {
    for uri in
        ["http://b.test/x", "https://a.test/x", "http://a.test:81/x", "http://a.test/x?", "http://a.test/X", "/x"]
    {
        let other = request(Method::GET, uri, &[]);
        assert_eq!(calls(vec![get(&[]), other], 200, &[]).await, 2, "{uri}");
    }
    for name in ["accept", "accept-encoding", "accept-language", "host"] {
        assert_eq!(calls(vec![get(&[(name, "a")]), get(&[(name, "b")])], 200, &[]).await, 2, "{name}");
        assert_eq!(calls(vec![get(&[(name, "a")]), get(&[(name, "a")])], 200, &[]).await, 1, "{name}");
    }
    assert_eq!(calls(vec![get(&[("user-agent", "a")]), get(&[("user-agent", "b")])], 200, &[]).await, 1);
    let tenants = || CacheLayer::http_with(HttpRequests::new().field(HeaderName::from_static("x-tenant")));
    let of = |tenant| get(&[("x-tenant", tenant)]);
    assert_eq!(calls_of(tenants(), vec![of("a"), of("b"), of("a")], 200, &[("vary", "x-tenant")]).await, 2);
    let alone = || CacheLayer::http_with(HttpRequests::new().private_field(HeaderName::from_static("x-tenant")));
    assert_eq!(calls_of(alone(), vec![of("a"), of("a")], 200, &[]).await, 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_lives_no_longer_than_it_says() {
    let cases: [(Fields, u64); 5] = [
        (&[], 60),
        (&[("cache-control", "max-age=600")], 60),
        (&[("cache-control", "max-age=20")], 20),
        (&[("cache-control", "max-age=50, s-maxage=\"30\""), ("age", "10")], 20),
        (&[("expires", "Sun, 06 Nov 1994 08:49:57 GMT"), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")], 20),
    ];
    for (fields, ttl) in cases {
        let cache = CacheLayer::http().ttl(secs(60));
        let (upstream, calls) = upstream(200, fields);
        let service = cache.layer(upstream);
        for (wait, made) in [(0, 1), (ttl - 1, 1), (1, 2)] {
            advance(secs(wait)).await;
            service.clone().oneshot(get(&[])).await.unwrap();
            assert_eq!(calls.load(Relaxed), made, "{fields:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_age_goes_on_from_what_upstream_said() {
    let service = CacheLayer::http().layer(upstream(200, &[("age", "100")]).0);
    assert_eq!(service.clone().oneshot(get(&[])).await.unwrap().headers()["age"], "100");
    advance(Duration::from_millis(2500)).await;
    let response = service.oneshot(get(&[])).await.unwrap();
    assert_eq!(response.headers().get_all("age").iter().collect::<Vec<_>>(), ["102"]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_upstream_is_answered_by_what_is_stale() {
    let down = Arc::new(AtomicUsize::new(0));
    for (fields, rescued) in [(&[][..], true), (&[("cache-control", "must-revalidate")][..], false)] {
        let status = Arc::clone(&down);
        status.store(200, Relaxed);
        let seen = Arc::clone(&status);
        let cache = CacheLayer::http().ttl(secs(10)).stale_if_error(secs(60));
        let service = cache.layer(service_fn(move |_: Request<Body>| {
            let mut response = Response::builder().status(seen.load(Relaxed) as u16);
            for (name, value) in fields {
                response = response.header(*name, *value);
            }
            let response = response.body(Body::from("x")).unwrap();
            async move { Ok::<_, CallError>(response) }
        }));
        service.clone().oneshot(get(&[])).await.unwrap();
        advance(secs(15)).await;
        for failing in [500, 502, 503, 504, 429] {
            status.store(failing, Relaxed);
            let response = service.clone().oneshot(get(&[])).await.unwrap();
            let expected = if rescued { 200 } else { failing as u16 };
            assert_eq!(response.status(), expected, "{failing}");
            if rescued {
                assert_eq!(response.headers()["age"], "15");
            }
        }
        // This is an answer, and says that the stored one is outdated.
        status.store(404, Relaxed);
        assert_eq!(service.clone().oneshot(get(&[])).await.unwrap().status(), 404);
        status.store(500, Relaxed);
        assert_eq!(service.clone().oneshot(get(&[])).await.unwrap().status(), 500);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_removes_what_is_stored_for_its_uri() {
    let (upstream, calls) = upstream(200, &[]);
    let service = CacheLayer::http().layer(upstream);
    let ask = async |method, uri| {
        let before = calls.load(Relaxed);
        service.clone().oneshot(request(method, uri, &[])).await.unwrap();
        calls.load(Relaxed) - before
    };
    for (method, removed) in [
        (Method::POST, 1),
        (Method::PUT, 1),
        (Method::PATCH, 1),
        (Method::DELETE, 1),
        (Method::OPTIONS, 0),
        (Method::TRACE, 0),
    ] {
        ask(Method::GET, "http://a.test/1").await;
        ask(Method::GET, "http://a.test/2").await;
        assert_eq!(ask(method.clone(), "http://a.test/1").await, 1);
        assert_eq!(ask(Method::GET, "http://a.test/1").await, removed, "{method}");
        assert_eq!(ask(Method::GET, "http://a.test/2").await, 0, "{method}");
    }
}

/// It may have been acted on.
#[tokio::test(start_paused = true)]
async fn a_write_that_is_given_up_removes_too() {
    let cache = CacheLayer::http();
    let service = cache.layer(service_fn(|request: Request<Body>| async move {
        if request.method() == Method::PUT {
            std::future::pending::<()>().await;
        }
        Ok::<_, CallError>(Response::new(Body::from("x")))
    }));
    service.clone().oneshot(get(&[])).await.unwrap();
    let mut put = tokio_test::task::spawn(service.clone().oneshot(request(Method::PUT, "http://a.test/x", &[])));
    tokio_test::assert_pending!(put.poll());
    service.clone().oneshot(get(&[])).await.unwrap();
    assert_eq!(cache.handle().stats().hits, 1);
    drop(put);
    service.clone().oneshot(get(&[])).await.unwrap();
    assert_eq!(cache.handle().stats().hits, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_for_a_uri_can_be_removed() {
    let cache = CacheLayer::http();
    let (upstream, calls) = upstream(200, &[]);
    let service = cache.layer(upstream);
    let all = [get(&[]), get(&[("accept", "a")]), request(Method::HEAD, "http://a.test/x", &[])];
    for request in all.iter().cycle().take(6) {
        service.clone().oneshot(request.clone()).await.unwrap();
    }
    assert_eq!(calls.load(Relaxed), 3);
    cache.handle().invalidate_uri(&"http://a.test/other".parse().unwrap());
    cache.handle().invalidate_uri(&"http://a.test/x".parse().unwrap());
    for request in all {
        service.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(calls.load(Relaxed), 6);
}

/// A server is asked for one thing by several URIs: HTTP/2 names the host, and HTTP/1.1 may.
#[tokio::test(start_paused = true)]
async fn what_is_stored_for_a_path_can_be_removed_on_whatever_host_and_with_whatever_query() {
    let cache = CacheLayer::http();
    let (upstream, calls) = upstream(200, &[]);
    let service = cache.layer(upstream);
    let of_the_path = ["/x", "/x?", "/x?y=1", "http://a.test/x", "https://b.test:8443/x"];
    let others = ["/x/y", "/", "http://a.test/X"];
    for uri in of_the_path.iter().chain(&others).cycle().take(16) {
        service.clone().oneshot(request(Method::GET, uri, &[])).await.unwrap();
    }
    assert_eq!(calls.load(Relaxed), 8);
    cache.handle().invalidate_path("/x");
    for uri in others {
        service.clone().oneshot(request(Method::GET, uri, &[])).await.unwrap();
    }
    assert_eq!(calls.load(Relaxed), 8, "they are other paths");
    for uri in of_the_path {
        service.clone().oneshot(request(Method::GET, uri, &[])).await.unwrap();
    }
    assert_eq!(calls.load(Relaxed), 13);
}

#[tokio::test(start_paused = true)]
async fn inside_of_respond_the_error_is_a_rejection() {
    let cache = CacheLayer::http();
    let stack = ServiceBuilder::new().layer(cache.clone());
    let handler =
        service_fn(|_: Request<Body>| async { Ok::<_, std::convert::Infallible>(Response::new(Body::from("x"))) });
    let service = respond(stack).layer(handler);
    for _ in 0..2 {
        let response = service.clone().oneshot(get(&[])).await.unwrap();
        assert_eq!((response.status(), text(response).await), (StatusCode::OK, "x".to_owned()));
    }
    assert_eq!(cache.handle().stats().hits, 1);
}

/// However long the stale windows are.
#[tokio::test(start_paused = true)]
async fn an_answer_that_gives_itself_no_time_is_not_kept_to_be_stale() {
    for fields in [&[("cache-control", "max-age=0")][..], &[("content-length", "5")][..]] {
        let layer = CacheLayer::http().stale_while_revalidate(secs(60)).stale_if_error(secs(60));
        assert_eq!(calls_of(layer.clone(), vec![get(&[]), get(&[])], 200, fields).await, 2);
        assert_eq!(layer.handle().store().stats().entries, 0, "{fields:?}");
    }
}
