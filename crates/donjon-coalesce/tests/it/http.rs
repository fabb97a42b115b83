//! The strict rule: never across users.

use bytes::Bytes;
use donjon_coalesce::{CoalesceLayer, HttpKey, HttpRequests, HttpResponses};
use donjon_core::{CallError, Key};
use http::{HeaderName, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use tokio::task::yield_now;
use tower::{Layer, ServiceExt, service_fn};

type Body = Full<Bytes>;

fn get(uri: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::get(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::default()).expect("it is a request")
}

fn key(request: &Request<Body>) -> Option<HttpKey> {
    HttpRequests::new().key(request)
}

/// How many inner calls two requests make that are sent at once, and what they are answered.
async fn calls(
    layer: CoalesceLayer<HttpRequests, HttpResponses>,
    two: [Request<Body>; 2],
    answer: &[(&'static str, &'static str)],
) -> (usize, [Bytes; 2]) {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let answer = answer.to_vec();
    let service = layer.layer(service_fn(move |request: Request<Body>| {
        let n = count.fetch_add(1, Relaxed);
        let answer = answer.clone();
        async move {
            yield_now().await;
            let who = request.headers().get("authorization").or(request.headers().get("cookie"));
            let who = who.map_or("anybody", |it| it.to_str().expect("it is text"));
            let mut response = Response::new(Body::from(format!("{n} for {who}")));
            for (name, value) in answer {
                response.headers_mut().append(name, value.parse().expect("it is a value"));
            }
            Ok::<_, CallError>(response)
        }
    }));
    let [first, second] = two.map(|request| service.clone().oneshot(request));
    let (first, second) = tokio::join!(first, second);
    let first = first.expect("it answers").into_body().collect().await.expect("it is whole").to_bytes();
    let second = second.expect("it answers").into_body().collect().await.expect("it is whole").to_bytes();
    (made.load(Relaxed), [first, second])
}

#[tokio::test]
async fn anybody_asking_for_one_url_is_one_call() {
    let two = || [get("/a", &[("user-agent", "x")]), get("/a", &[("traceparent", "y")])];
    let (made, [first, second]) = calls(CoalesceLayer::http(), two(), &[]).await;
    assert_eq!((made, &*first), (1, "0 for anybody".as_bytes()));
    assert_eq!(first, second);
}

#[tokio::test]
async fn two_users_and_one_url_are_two_calls() {
    for field in ["authorization", "cookie"] {
        let two = [get("/a", &[(field, "Ada")]), get("/a", &[(field, "Bob")])];
        let (made, [first, second]) = calls(CoalesceLayer::http(), two, &[]).await;
        assert_eq!(made, 2);
        assert!(first.ends_with(b"for Ada") && second.ends_with(b"for Bob"), "{first:?}, {second:?}");
        // A user and somebody who is none.
        let two = [get("/a", &[]), get("/a", &[(field, "Bob")])];
        assert_eq!(calls(CoalesceLayer::http(), two, &[]).await.0, 2);
    }
}

#[tokio::test]
async fn an_answer_for_one_alone_is_given_to_no_other() {
    let alone = [
        ("set-cookie", "session=1"),
        ("cache-control", "private"),
        ("cache-control", "max-age=3, Private=\"x-field\""),
        ("cache-control", "no-store"),
        ("cache-control", "public, no-cache"),
        ("cache-control", "private; max-age=3"),
        ("vary", "*"),
        ("vary", "accept, user-agent"),
    ];
    for field in alone {
        let layer = CoalesceLayer::http();
        let handle = layer.handle();
        let (made, [first, second]) = calls(layer, [get("/a", &[]), get("/a", &[])], &[field]).await;
        assert_eq!(made, 2, "{field:?}");
        assert_ne!(first, second, "{field:?}");
        assert_eq!((handle.stats().joined, handle.stats().again), (1, 1), "{field:?}");
    }
    for field in [("cache-control", "max-age=3, public"), ("vary", "Accept, accept-ENCODING"), ("etag", "\"1\"")] {
        assert_eq!(calls(CoalesceLayer::http(), [get("/a", &[]), get("/a", &[])], &[field]).await.0, 1, "{field:?}");
    }
}

#[test]
fn what_differs_in_method_uri_or_a_field_of_the_key_differs() {
    let base = || get("http://a.test/x?y=1", &[("accept", "text/html")]);
    assert_eq!(key(&base()), key(&base()));
    assert!(key(&base()).is_some());
    let mut head = base();
    *head.method_mut() = Method::HEAD;
    assert_ne!(key(&base()), key(&head));
    for uri in ["http://a.test/x?y=2", "http://a.test/x", "http://b.test/x?y=1", "https://a.test/x?y=1", "/x?y=1"] {
        assert_ne!(key(&base()), key(&get(uri, &[("accept", "text/html")])), "{uri}");
    }
    for name in ["accept", "accept-encoding", "accept-language", "host"] {
        let with = |values: &[&str]| {
            let fields: Vec<_> = values.iter().map(|value| (name, *value)).collect();
            key(&get("/x", &fields))
        };
        assert_ne!(with(&[]), with(&["a"]), "{name}");
        assert_ne!(with(&["a"]), with(&["b"]), "{name}");
        assert_ne!(with(&["a"]), with(&["a", "b"]), "{name}");
        assert_eq!(with(&["a", "b"]), with(&["a", "b"]), "{name}");
    }
}

#[test]
fn what_is_one_users_or_asks_for_something_of_its_own_has_no_key() {
    let alone = [
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
        ("cache-control", "min-fresh=1, No-Cache"),
        ("cache-control", "max-age = 0"),
        ("pragma", "no-cache"),
    ];
    for field in alone {
        assert!(key(&get("/x", &[field])).is_none(), "{field:?}");
    }
    assert!(key(&get("http://ada:secret@a.test/x", &[])).is_none());
    assert!(key(&get("/x", &[("cache-control", "max-age=10")])).is_some());
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        let mut request = get("/x", &[]);
        *request.method_mut() = method;
        assert!(key(&request).is_none());
    }
    let with_body = get("/x", &[]).map(|_| Body::from("body"));
    assert!(key(&with_body).is_none());
}

#[tokio::test]
async fn fields_of_ones_own_join_the_key_or_keep_a_request_alone() {
    const TENANT: HeaderName = HeaderName::from_static("x-tenant");
    let two = || [get("/a", &[("x-tenant", "1")]), get("/a", &[("x-tenant", "2")])];
    let one = || [get("/a", &[("x-tenant", "1")]), get("/a", &[("x-tenant", "1")])];
    let keyed = || CoalesceLayer::http_with(HttpRequests::new().field(TENANT));
    assert_eq!(calls(keyed(), two(), &[]).await.0, 2);
    assert_eq!(calls(keyed(), one(), &[]).await.0, 1);
    assert_eq!(calls(keyed(), one(), &[("vary", "x-tenant")]).await.0, 1);
    let alone = || CoalesceLayer::http_with(HttpRequests::new().private_field(TENANT));
    assert_eq!(calls(alone(), one(), &[]).await.0, 2);
    assert_eq!(calls(alone(), [get("/a", &[]), get("/a", &[])], &[]).await.0, 1);
}

#[test]
fn a_key_does_not_show_what_may_be_secret() {
    let request = get("http://a.test/x?token=t0ps3cret", &[(header::ACCEPT.as_str(), "s3cret")]);
    let shown = format!("{:?}", key(&request));
    assert!(!shown.contains("s3cret") && shown.contains("a.test/x"), "{shown}");
}

#[tokio::test]
async fn a_failing_answer_is_shared_as_it_is() {
    let service = CoalesceLayer::http().layer(service_fn(|_: Request<Body>| async {
        yield_now().await;
        let response = Response::builder().status(503).body(Body::from("busy"));
        Ok::<_, CallError>(response.unwrap())
    }));
    let (first, second) = tokio::join!(service.clone().oneshot(get("/", &[])), service.oneshot(get("/", &[])));
    assert_eq!((first.unwrap().status(), second.unwrap().status()), (503.try_into().unwrap(), 503.try_into().unwrap()));
}
