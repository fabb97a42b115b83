//! The strict rule at its edges: spellings, numbers, and whose memory it is.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use donjon_cache::CacheLayer;
use donjon_core::CallError;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use tokio::time::{advance, sleep};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::secs;

type Body = Full<Bytes>;

fn request(method: Method, uri: &str) -> Request<Body> {
    Request::builder().method(method).uri(uri).body(Body::default()).unwrap()
}

/// How many inner calls two requests make, one after the other, if each is answered with these fields.
async fn calls(fields: &'static [(&'static str, &'static str)]) -> usize {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let service = CacheLayer::http().layer(service_fn(move |_: Request<Body>| {
        count.fetch_add(1, Relaxed);
        let mut response = Response::builder();
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let response = response.body(Body::from("x")).unwrap();
        async move { Ok::<_, CallError>(response) }
    }));
    for _ in 0..2 {
        service.clone().oneshot(request(Method::GET, "http://a.test/x")).await.unwrap();
    }
    calls.load(Relaxed)
}

/// Some write semicolons where commas belong.
#[tokio::test(start_paused = true)]
async fn what_is_private_in_another_spelling_is_private() {
    for value in ["private; max-age=60", "max-age=60; no-store", "public ;no-cache", "max-age=60;s-maxage=0"] {
        let fields: &'static [_] = Box::leak(Box::new([("cache-control", value)]));
        assert_eq!(calls(fields).await, 2, "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_age_of_more_digits_than_a_number_has_is_very_old() {
    assert_eq!(calls(&[("cache-control", "max-age=60"), ("age", "99999999999999999999")]).await, 2);
    assert_eq!(calls(&[("cache-control", "max-age=60"), ("age", "59")]).await, 1);
}

/// Hosts and schemes are the same in whatever case, in keys as in what a write removes.
#[tokio::test(start_paused = true)]
async fn a_write_removes_what_is_stored_for_its_uri_in_whatever_spelling() {
    let cache = CacheLayer::http();
    let service =
        cache.layer(service_fn(|_: Request<Body>| async { Ok::<_, CallError>(Response::new(Body::from("x"))) }));
    let ask = async |method, uri| {
        let before = cache.handle().stats().hits;
        service.clone().oneshot(request(method, uri)).await.unwrap();
        cache.handle().stats().hits - before
    };
    assert_eq!(ask(Method::GET, "HTTP://A.test/x?Y").await, 0);
    assert_eq!(ask(Method::GET, "http://a.TEST/x?Y").await, 1, "it is the same");
    ask(Method::PUT, "http://a.test/X?Y").await;
    assert_eq!(ask(Method::GET, "http://a.test/x?Y").await, 1, "a path is not");
    ask(Method::PUT, "http://a.test/x?Y").await;
    assert_eq!(ask(Method::GET, "http://a.test/x?Y").await, 0);
    cache.handle().invalidate_uri(&"http://A.TEST/x?Y".parse().unwrap());
    assert_eq!(ask(Method::GET, "http://a.test/x?Y").await, 0);
}

/// Fields and URIs that were parsed are pieces of the buffer that they came in.
#[tokio::test(start_paused = true)]
async fn no_field_and_no_uri_that_is_stored_keeps_a_buffer_alive() {
    let buffer = Bytes::from([b"http://a.test/x".as_slice(), &[b'z'; 1 << 16]].concat());
    let piece = |at: std::ops::Range<usize>| HeaderValue::from_maybe_shared(buffer.slice(at)).unwrap();
    let head = piece(20..30);
    let trailer = piece(30..40);
    let cache = CacheLayer::http();
    let service = cache.layer(service_fn(move |_: Request<Body>| {
        let trailers = HeaderMap::from_iter([(header::ETAG, trailer.clone())]);
        let frames = [Ok::<_, CallError>(Frame::data(Bytes::from_static(b"x"))), Ok(Frame::trailers(trailers))];
        let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)));
        let mut secret = head.clone();
        secret.set_sensitive(true);
        response.headers_mut().append(header::ETAG, secret);
        response.headers_mut().append(header::ETAG, head.clone());
        async move { Ok::<_, CallError>(response) }
    }));
    let get = |buffer: &Bytes| {
        let mut request = Request::new(Body::default());
        *request.uri_mut() = Uri::from_maybe_shared(buffer.slice(..15)).unwrap();
        let accept = HeaderValue::from_maybe_shared(buffer.slice(40..50)).unwrap();
        request.headers_mut().insert(header::ACCEPT, accept);
        request
    };
    service.clone().oneshot(get(&buffer)).await.unwrap();
    let hit = service.clone().oneshot(get(&buffer)).await.unwrap();
    assert_eq!((cache.handle().stats().hits, cache.handle().store().stats().entries), (1, 1));
    let tags: Vec<_> = hit.headers().get_all(header::ETAG).iter().map(HeaderValue::is_sensitive).collect();
    assert_eq!(tags, [true, false], "what is secret stays so");
    drop(service);
    assert!(buffer.is_unique(), "nobody else holds the buffer");
    drop(hit);
}

/// What was long on its way is that old already (RFC 9111, section 4.2.3).
#[tokio::test(start_paused = true)]
async fn the_time_that_an_answer_takes_to_come_is_part_of_its_age() {
    let cache = CacheLayer::http().ttl(secs(60));
    let service = cache.layer(service_fn(|request: Request<Body>| async move {
        sleep(secs(4)).await;
        let value = if request.uri().path() == "/own" { "max-age=10" } else { "public" };
        Ok::<_, CallError>(Response::builder().header("cache-control", value).body(Body::from("x")).unwrap())
    }));
    let ask = async |uri| {
        let response = service.clone().oneshot(request(Method::GET, uri)).await.unwrap();
        response.headers().get("age").map(|age| age.to_str().unwrap().parse::<u64>().unwrap())
    };
    for (uri, fresh) in [("http://a.test/own", 6), ("http://a.test/other", 60)] {
        assert_eq!(ask(uri).await, None);
        assert_eq!(ask(uri).await, Some(4));
        advance(secs(fresh - 1)).await;
        assert_eq!(ask(uri).await, Some(4 + fresh - 1));
        advance(secs(1)).await;
        assert_eq!(ask(uri).await, None, "{uri}");
    }
}

/// Stale when it comes, and kept for when nothing comes.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_stale_when_it_comes_may_still_rescue() {
    let up = Arc::new(AtomicUsize::new(1));
    let seen = Arc::clone(&up);
    let cache = CacheLayer::http().stale_if_error(secs(60));
    let service = cache.layer(service_fn(move |_: Request<Body>| {
        let status = if seen.load(Relaxed) == 1 { 200 } else { 503 };
        let response = Response::builder().status(status).header("cache-control", "max-age=2");
        let response = response.body(Body::from("x")).unwrap();
        async move {
            sleep(secs(4)).await;
            Ok::<_, CallError>(response)
        }
    }));
    for (state, status) in [(1, 200), (1, 200), (0, 200)] {
        up.store(state, Relaxed);
        let response = service.clone().oneshot(request(Method::GET, "http://a.test/x")).await.unwrap();
        assert_eq!(response.status(), status);
    }
    let stats = cache.handle().stats();
    assert_eq!((stats.hits, stats.misses, stats.rescued), (0, 3, 1));
}
