//! HTTP/2 by prior knowledge.

use std::time::Duration;

use donjon_core::{Reject, RejectionKind, Scope};
use donjon_transport::{Transport, TransportErrorKind};
use futures_util::{StreamExt, stream::FuturesUnordered};
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::{
    behaviour::{get, text},
    failures::deaf,
    upstream::Upstream,
};

#[tokio::test]
async fn calls_share_one_connection() {
    let upstream = Upstream::start().await;
    let client = Transport::builder().http2_only().connections_per_host(1).build();
    let mut calls: FuturesUnordered<_> = (0..50).map(|_| text(&client, upstream.url("/hold"))).collect();
    assert!(futures_util::poll!(calls.next()).is_pending());
    let all = async { while calls.next().await.is_some() {} };
    let release = async {
        upstream.until(|counts| counts.calls == 50).await;
        upstream.release(50);
    };
    futures_util::future::join(all, release).await;
    assert_eq!(upstream.counts().accepted, 1);
    assert_eq!(text(&client, upstream.url("/version")).await, "HTTP/2.0");
}

#[tokio::test]
async fn a_dropped_call_or_body_leaves_the_connection_to_the_others() {
    let upstream = Upstream::start().await;
    let client = Transport::builder().http2_only().connections_per_host(1).build();
    for calls in 0..3 {
        let mut body = client.clone().oneshot(get(upstream.url("/endless"))).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        let mut held = Box::pin(text(&client, upstream.url("/hold")));
        tokio::select! {
            _ = &mut held => unreachable!("nothing releases it"),
            _ = upstream.until(|counts| counts.calls == calls * 2 + 2) => {}
        }
        drop(held);
    }
    assert_eq!(text(&client, upstream.url("/ok")).await, "ok");
    assert_eq!(upstream.counts().accepted, 1);
}

#[tokio::test]
async fn whoever_waits_for_the_connection_of_another_ends_in_time_as_well() {
    let (address, _queued, _listener) = deaf().await;
    let url = format!("http://{address}/");
    let client = Transport::builder().http2_only().connect_timeout(Duration::from_millis(150)).build();
    let calls: FuturesUnordered<_> = (0..3).map(|_| client.clone().oneshot(get(&url))).collect();
    let kinds: Vec<_> = calls.map(|result| result.unwrap_err().kind()).collect().await;
    assert_eq!(kinds, [TransportErrorKind::ConnectTimeout; 3], "not as an overload, which it is not");

    let client = Transport::builder().http2_only().build();
    let mut connecting = tokio_test::task::spawn(client.clone().oneshot(get(&url)));
    assert!(connecting.poll().is_pending());
    let call = client.clone().oneshot(get(&url));
    let error = Scope::current().with_timeout(Duration::from_millis(100)).wrap(call).await.unwrap_err();
    assert_eq!(error.as_rejection().unwrap().kind(), RejectionKind::DeadlineExceeded);
}
