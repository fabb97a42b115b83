//! HTTP/2 by prior knowledge.

use donjon_transport::Transport;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::{
    behaviour::{get, text},
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
