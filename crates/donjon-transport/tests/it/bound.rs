//! The bound on connections per origin.

use std::time::Duration;

use bytes::Bytes;
use donjon_core::{Classify, Outcome, Reject, RejectionKind, Scope};
use donjon_http::HttpClassify;
use donjon_transport::{Transport, TransportErrorKind};
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tower::{Service, ServiceExt};

use crate::{
    behaviour::{get, text},
    upstream::Upstream,
};

fn bounded(connections: usize) -> Transport {
    Transport::builder().connections_per_host(connections).build()
}

/// The server sees the end of a connection a moment before its place is free.
async fn all_closed(client: &Transport) {
    let closed = async {
        while client.open_connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_holds_under_fifty_calls() {
    let upstream = Upstream::start().await;
    let client = bounded(4);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (client, url) = (client.clone(), upstream.url("/hold"));
            tokio::spawn(async move { text(&client, url).await })
        })
        .collect();
    upstream.until(|counts| counts.calls == 4).await;
    assert_eq!(client.open_connections(), 4);
    upstream.release(50);
    for call in calls {
        assert_eq!(call.await.unwrap(), "held");
    }
    let counts = upstream.counts();
    assert_eq!((counts.calls, counts.most_open), (50, 4));
    assert_eq!(counts.accepted, 4, "all the others waited for an idle connection");
    assert!(client.open_connections() <= 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_holds_without_a_pool_too() {
    let upstream = Upstream::start().await;
    let client = Transport::builder().connections_per_host(3).idle_per_host(0).build();
    let calls: FuturesUnordered<_> = (0..30).map(|_| text(&client, upstream.url("/ok"))).collect();
    assert_eq!(calls.count().await, 30);
    let counts = upstream.until(|counts| counts.open == 0).await;
    // The server may see the end of one connection after the begin of the next.
    assert_eq!(counts.accepted, 30);
    all_closed(&client).await;
}

#[tokio::test]
async fn it_counts_each_origin_by_itself() {
    let (a, b) = (Upstream::start().await, Upstream::start().await);
    let client = bounded(1);
    let mut held = tokio_test::task::spawn(text(&client, a.url("/hold")));
    assert!(held.poll().is_pending());
    assert_eq!(text(&client, b.url("/ok")).await, "ok");
    a.release(1);
    assert_eq!(held.await, "held");
    assert_eq!(client.open_connections(), 2);
}

#[tokio::test]
async fn calls_are_served_in_the_order_of_their_arrival() {
    let upstream = Upstream::start().await;
    for pooled in [usize::MAX, 0] {
        let client = Transport::builder().connections_per_host(1).idle_per_host(pooled).build();
        let mut first = tokio_test::task::spawn(text(&client, upstream.url("/hold")));
        assert!(first.poll().is_pending());
        let url = upstream.url("/ok");
        let mut rest = FuturesUnordered::new();
        for n in 0..8 {
            let mut call = Box::pin(text(&client, &url));
            assert!(futures_util::poll!(call.as_mut()).is_pending());
            rest.push(async move { (n, call.await) });
        }
        upstream.release(1);
        first.await;
        let mut order = Vec::new();
        while let Some((n, _)) = rest.next().await {
            order.push(n);
        }
        assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7], "pool of {pooled}");
    }
}

#[tokio::test]
async fn a_dropped_call_frees_its_place() {
    let upstream = Upstream::start().await;
    let client = bounded(1);
    for calls in 1..4 {
        let mut held = Box::pin(text(&client, upstream.url("/hold")));
        tokio::select! {
            _ = &mut held => unreachable!("nothing releases it"),
            _ = upstream.until(|counts| counts.calls == calls) => {}
        }
        drop(held);
    }
    upstream.until(|counts| counts.open == 0).await;
    assert_eq!(text(&client, upstream.url("/ok")).await, "ok");
    assert_eq!(client.open_connections(), 1);
}

#[tokio::test]
async fn a_waiting_call_that_is_dropped_lets_the_next_one_go() {
    let upstream = Upstream::start().await;
    let client = bounded(1);
    let mut held = Box::pin(text(&client, upstream.url("/hold")));
    tokio::select! {
        _ = &mut held => unreachable!("nothing releases it"),
        _ = upstream.until(|counts| counts.calls == 1) => {}
    }
    let mut gone = tokio_test::task::spawn(text(&client, upstream.url("/ok")));
    let mut next = tokio_test::task::spawn(text(&client, upstream.url("/ok")));
    assert!(gone.poll().is_pending());
    assert!(next.poll().is_pending());
    drop(gone);
    drop(held);
    assert_eq!(next.await, "ok");
}

/// hyper-util lets a connection that was not needed after all go on in the background. One that still waits for its
/// place must not: it would open a connection for nobody, when nobody expects it.
#[tokio::test]
async fn a_place_is_not_kept_for_a_call_that_was_served_otherwise() {
    let upstream = Upstream::start().await;
    let client = bounded(1);
    let mut held = tokio_test::task::spawn(text(&client, upstream.url("/hold")));
    assert!(held.poll().is_pending());
    let mut waiting: FuturesUnordered<_> = (0..10).map(|_| text(&client, upstream.url("/ok"))).collect();
    assert!(futures_util::poll!(waiting.next()).is_pending());
    upstream.release(1);
    held.await;
    while waiting.next().await.is_some() {}
    assert_eq!(upstream.counts().accepted, 1);

    upstream.close_connections();
    upstream.until(|counts| counts.open == 0).await;
    all_closed(&client).await;
    // Whoever still waited would have been woken by now.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((upstream.counts().accepted, client.open_connections()), (1, 0));
}

#[tokio::test]
async fn waiting_ends_with_the_connect_timeout() {
    let upstream = Upstream::start().await;
    let client = Transport::builder().connections_per_host(1).connect_timeout(Duration::from_millis(100)).build();
    let mut held = tokio_test::task::spawn(text(&client, upstream.url("/hold")));
    assert!(held.poll().is_pending());
    upstream.until(|counts| counts.accepted == 1).await;
    let error = client.clone().oneshot(get(upstream.url("/ok"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Rejected);
    assert_eq!(error.as_rejection().unwrap().kind(), RejectionKind::Overloaded);
    assert_eq!(error.to_string(), format!("no connection is free (http://{})", upstream.address()));
    let outcome = HttpClassify::new().classify(Err::<&http::Response<()>, _>(&error));
    assert_eq!(outcome, Outcome::Refused { retry_after: None });
    upstream.release(1);
    assert_eq!(held.await, "held");
    assert_eq!(text(&client, upstream.url("/ok")).await, "ok");
}

#[tokio::test]
async fn waiting_ends_with_the_ambient_deadline() {
    let upstream = Upstream::start().await;
    let client = bounded(1);
    let mut held = tokio_test::task::spawn(text(&client, upstream.url("/hold")));
    assert!(held.poll().is_pending());
    let call = client.clone().oneshot(get(upstream.url("/ok")));
    let error = Scope::current().with_timeout(Duration::from_millis(100)).wrap(call).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Rejected);
    let rejection = error.as_rejection().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::DeadlineExceeded);
    assert!(!rejection.may_have_been_sent());
    upstream.release(1);
    assert_eq!(held.await, "held");
}

#[tokio::test]
async fn a_bound_of_zero_refuses_at_once() {
    let upstream = Upstream::start().await;
    let error = bounded(0).oneshot(get(upstream.url("/ok"))).await.unwrap_err();
    assert_eq!(error.as_rejection().unwrap().kind(), RejectionKind::Overloaded);
    assert_eq!(upstream.counts().accepted, 0);
}

/// hyper polls a request body in a task of the connection; a call made in there is still somebody's call.
#[tokio::test]
async fn a_request_body_may_itself_make_calls() {
    let upstream = Upstream::start().await;
    let client = Transport::builder().connections_per_host(1).idle_per_host(0).build();
    let other = Upstream::start().await;
    let mut held = tokio_test::task::spawn(text(&client, other.url("/hold")));
    assert!(held.poll().is_pending());

    let inner = Service::call(&mut client.clone(), get(other.url("/ok")));
    let body = StreamBody::new(futures_util::stream::once(async move {
        let body = inner.await?.into_body().collect().await?;
        Ok::<_, donjon_transport::TransportError>(Frame::data(body.to_bytes()))
    }));
    let outer = client.clone().oneshot(Request::post(upstream.url("/echo")).body(body).unwrap());
    let outer = tokio::spawn(async move { outer.await.unwrap().into_body().collect().await.unwrap().to_bytes() });
    // The inner call waits for the place of the one that is held.
    upstream.until(|counts| counts.calls == 1).await;
    other.release(1);
    assert_eq!(held.await, "held");
    assert_eq!(outer.await.unwrap(), Bytes::from_static(b"ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_the_calls_all_places_come_back() {
    for pooled in [usize::MAX, 0] {
        let upstream = Upstream::start().await;
        let client = Transport::builder().connections_per_host(3).idle_per_host(pooled).build();
        let calls: Vec<_> = (0..200_usize)
            .map(|n| {
                let path = ["/ok", "/hold", "/endless"][n % 3];
                let (client, url) = (client.clone(), upstream.url(path));
                // Dropped after a number of turns of the scheduler: before its first poll, waiting, connecting, sent,
                // or while its body is read.
                let turns = n * 7919 % 40;
                let gone = async move {
                    for _ in 0..turns {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::spawn(async move {
                    tokio::select! {
                        biased;
                        () = gone => {}
                        _ = async { client.oneshot(get(url)).await?.into_body().collect().await } => {}
                    }
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        assert!(client.open_connections() <= 3);
        assert_eq!(text(&client, upstream.url("/ok")).await, "ok");
        upstream.close_connections();
        all_closed(&client).await;
    }
}
