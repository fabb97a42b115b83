//! TLS, against a server with a certificate of its own making.

use std::{error::Error, sync::Arc, time::Duration};

use donjon_core::Outcome;
use donjon_transport::{RootCertificate, Transport, TransportErrorKind};
#[cfg(feature = "http2")]
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{io::AsyncReadExt, net::TcpListener};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use tower::ServiceExt;

use crate::{
    behaviour::{get, text},
    failures::outcome,
    upstream::Upstream,
};

/// The server's end of TLS with these protocols, and the authority to trust it by.
fn acceptor(alpn: &[&str]) -> (TlsAcceptor, RootCertificate) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let root = RootCertificate::from_der(signed.cert.der().to_vec()).unwrap();
    (TlsAcceptor::from(Arc::new(config)), root)
}

/// A server that offers these protocols, and the authority to trust it by.
async fn upstream(alpn: &[&str]) -> (Upstream, RootCertificate) {
    let (acceptor, root) = acceptor(alpn);
    let upstream = Upstream::serve(move |io| {
        let acceptor = acceptor.clone();
        async move { acceptor.accept(io).await.ok() }
    });
    (upstream.await, root)
}

fn url(upstream: &Upstream, path: &str) -> String {
    format!("https://localhost:{}{path}", upstream.address().port())
}

#[tokio::test]
async fn http1_under_tls() {
    let (upstream, root) = upstream(&[]).await;
    let client = Transport::builder().root(root).build();
    for _ in 0..3 {
        assert_eq!(text(&client, url(&upstream, "/version")).await, "HTTP/1.1");
    }
    assert_eq!(upstream.counts().accepted, 1);
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn http2_is_chosen_by_alpn() {
    let (upstream, root) = upstream(&["h2", "http/1.1"]).await;
    let client = Transport::builder().root(root.clone()).without_public_roots().connections_per_host(2).build();
    assert_eq!(text(&client, url(&upstream, "/version")).await, "HTTP/2.0");
    for _ in 0..20 {
        assert_eq!(text(&client, url(&upstream, "/ok")).await, "ok");
    }
    assert_eq!(upstream.counts().accepted, 1);

    let client = Transport::builder().root(root).http1_only().build();
    assert_eq!(text(&client, url(&upstream, "/version")).await, "HTTP/1.1");
}

#[cfg(feature = "http2")]
#[tokio::test]
async fn many_first_calls_over_alpn_end_on_one_connection() {
    let (upstream, root) = upstream(&["h2"]).await;
    let client = Transport::builder().root(root).connections_per_host(2).build();
    let calls: FuturesUnordered<_> = (0..20).map(|_| text(&client, url(&upstream, "/ok"))).collect();
    assert_eq!(calls.count().await, 20);
    assert!(upstream.counts().most_open <= 2, "{:?}", upstream.counts());
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_told() {
    let (upstream, _) = upstream(&[]).await;
    let client = Transport::builder().build();
    let error = client.clone().oneshot(get(url(&upstream, "/ok"))).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Connect);
    let chain: Vec<_> =
        std::iter::successors(Some(&error as &dyn Error), |&error| error.source()).map(ToString::to_string).collect();
    assert!(chain.concat().contains("certificate"), "{chain:?}");
    assert_eq!(outcome(error), Outcome::Permanent, "it will not be trusted the next time either");
    assert_eq!(client.open_connections(), 0);
}

#[tokio::test]
async fn the_connect_timeout_covers_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let server = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        // Reads the hello, says nothing, and sees the client leave.
        let mut hello = Vec::new();
        io.read_to_end(&mut hello).await
    });
    let client = Transport::builder().connect_timeout(Duration::from_millis(150)).build();
    let error = client.clone().oneshot(get(url)).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::ConnectTimeout, "{error:?}");
    assert_eq!(client.open_connections(), 0);
    server.await.unwrap().unwrap();
}

#[test]
fn a_certificate_is_checked_when_it_is_made() {
    assert!(RootCertificate::from_der(b"junk".to_vec()).is_err());
    assert!(RootCertificate::from_pem("-----BEGIN CERTIFICATE-----\nanVuaw==\n-----END CERTIFICATE-----\n").is_err());
    let error = RootCertificate::from_pem("").unwrap_err();
    assert_eq!(error.to_string(), "not a certificate that can be trusted");
    assert!(error.source().is_some());
}

/// hyper-util's own lock on HTTP/2 connections fails everybody who waits when the one that connects is dropped.
#[cfg(feature = "http2")]
#[tokio::test]
async fn a_call_dropped_while_it_connects_fails_nobody_who_waits_for_the_same_connection() {
    let (acceptor, root) = acceptor(&["h2"]);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let handshakes = Arc::clone(&gate);
    let upstream = Upstream::serve(move |io| {
        let (acceptor, gate) = (acceptor.clone(), Arc::clone(&handshakes));
        async move {
            gate.acquire().await.unwrap().forget();
            acceptor.accept(io).await.ok()
        }
    })
    .await;
    let client = Transport::builder().root(root).http2_only().build();
    let mut first = Box::pin(text(&client, url(&upstream, "/ok")));
    tokio::select! {
        _ = &mut first => unreachable!("nothing lets it through"),
        _ = upstream.until(|counts| counts.accepted == 1) => {}
    }
    let mut others: FuturesUnordered<_> = (0..5).map(|_| text(&client, url(&upstream, "/ok"))).collect();
    assert!(futures_util::poll!(others.next()).is_pending());
    drop(first);
    gate.add_permits(10);
    while let Some(answer) = others.next().await {
        assert_eq!(answer, "ok");
    }
    assert_eq!(upstream.counts().accepted, 2, "one at a time");
}
