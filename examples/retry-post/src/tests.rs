//! Against servers in the same process, whose own counts are compared with what the recipe promises.

use std::sync::{Arc, Mutex};

use axum::{Router, extract::State};
use donjon::retry::NoRetry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// The bodies that a server got, in their order.
type Got = Arc<Mutex<Vec<Bytes>>>;

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    (listener, base)
}

/// A server that says 503 so many times, and then 201.
async fn busy(times: usize) -> (String, Got) {
    let got = Got::default();
    let answer = async move |State(got): State<Got>, body: Bytes| {
        let mut got = got.lock().unwrap();
        got.push(body);
        if got.len() <= times { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::CREATED }
    };
    let app = Router::new().fallback(answer).layer(axum::extract::DefaultBodyLimit::disable()).with_state(got.clone());
    let (listener, base) = listen().await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    (base, got)
}

/// A server that reads a request and closes the connection without a word: it may have acted, or not.
async fn mute() -> (String, Got) {
    let got = Got::default();
    let (listener, base) = listen().await;
    let bodies = got.clone();
    tokio::spawn(async move {
        loop {
            let (mut io, _) = listener.accept().await.unwrap();
            let mut text = Vec::new();
            while !text.ends_with(b"}") {
                text.push(io.read_u8().await.unwrap());
            }
            let head = text.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            bodies.lock().unwrap().push(Bytes::copy_from_slice(&text[head + 4..]));
        }
    });
    (base, got)
}

#[tokio::test]
async fn three_attempts_carry_identical_bytes() {
    for request in [|base: &str| order(base, Some("order-1")), |base: &str| upload(base, 3)] {
        let (base, got) = busy(2).await;
        let (result, info) = send(client(), request(&base)).await;
        assert_eq!(result.unwrap(), 201);
        assert_eq!((info.unwrap().attempts, info.unwrap().reason), (3, None));
        let sent = request(&base).into_body().collect().await.unwrap().to_bytes();
        assert_eq!(*got.lock().unwrap(), [sent.clone(), sent.clone(), sent]);
    }
}

#[tokio::test]
async fn after_three_attempts_the_last_answer_is_the_callers() {
    let (base, got) = busy(usize::MAX).await;
    let (result, info) = send(client(), order(&base, Some("order-1"))).await;
    assert_eq!(result.unwrap(), 503);
    assert_eq!(info.unwrap().reason, Some(NoRetry::AttemptsExhausted));
    assert_eq!(got.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_too_large_is_sent_once_and_the_reason_is_told() {
    let in_memory = |base: &str| {
        let body = Full::from(vec![b'x'; 64 * 1024 + 1]).map_err(|never| match never {}).boxed_unsync();
        Request::post(format!("{base}/uploads")).header("idempotency-key", "upload-1").body(body).unwrap()
    };
    for request in [in_memory, |base: &str| upload(base, 64)] {
        let (base, got) = busy(usize::MAX).await;
        let (result, info) = send(client(), request(&base)).await;
        assert_eq!(result.unwrap(), 503);
        let Some(NoRetry::NotReplayable(why)) = info.unwrap().reason else { panic!("{info:?}") };
        assert!(why.contains("large"), "{why}");
        let sent = request(&base).into_body().collect().await.unwrap().to_bytes();
        assert_eq!(*got.lock().unwrap(), [sent], "once, and whole");
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_only_with_an_idempotency_key() {
    let (base, got) = mute().await;
    let (result, info) = send(client(), order(&base, None)).await;
    result.unwrap_err();
    assert_eq!(info.unwrap().reason, Some(NoRetry::NotIdempotent));
    assert_eq!(got.lock().unwrap().len(), 1, "it may have been acted on");

    let (result, info) = send(client(), order(&base, Some("order-1"))).await;
    result.unwrap_err();
    assert_eq!(info.unwrap().attempts, 3);
    let got = got.lock().unwrap();
    assert_eq!(got.len(), 4);
    assert!(got.windows(2).all(|two| two[0] == two[1]));
}

/// Nothing was sent, so that a second attempt cannot be a second order.
#[tokio::test]
async fn a_refused_connection_is_tried_again_even_without_a_key() {
    let (listener, base) = listen().await;
    drop(listener);
    let (result, info) = send(client(), order(&base, None)).await;
    result.unwrap_err();
    assert_eq!((info.unwrap().attempts, info.unwrap().reason), (3, Some(NoRetry::AttemptsExhausted)));
}

/// A server that answers before it has read the request: the rest of the body goes on being sent, and the next attempt
/// starts from the beginning all the same.
#[tokio::test]
async fn an_answer_that_comes_early_tears_no_body() {
    let (listener, base) = listen().await;
    let server = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        io.read_u8().await.unwrap();
        io.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let _ = io.read_to_end(&mut Vec::new()).await;
        let (mut io, _) = listener.accept().await.unwrap();
        let mut text = Vec::new();
        // Each of its pieces is of another letter.
        while !(b'a'..=b'c').all(|letter| text.iter().filter(|byte| **byte == letter).count() >= 16 * 1024) {
            assert_ne!(io.read_buf(&mut text).await.unwrap(), 0, "it broke off after {} bytes", text.len());
        }
        io.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    });
    let (result, info) = send(client(), upload(&base, 3)).await;
    assert_eq!(result.unwrap(), 201);
    assert_eq!(info.unwrap().attempts, 2);
    server.await.unwrap();
}
