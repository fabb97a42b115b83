//! The promises of the recipe, against servers in the same process: on real sockets, so with the real clock.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{Router, http::StatusCode, routing::get};
use donjon::Reject;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use super::*;

/// A call has two seconds. So much later it has ended, however slow the machine; without a deadline it would not.
const PATIENCE: Duration = Duration::from_secs(20);

/// Calls, and how many of them at once at most, as the server saw them.
#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

fn json(text: String) -> impl axum::response::IntoResponse {
    ([("content-type", "application/json")], text)
}

async fn serve(app: Router) -> Prices {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let prices = Prices::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    prices
}

/// A port that answers no handshake: its backlog is full. The sockets must be kept.
async fn deaf() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(io) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        queued.push(io.unwrap());
    }
    (address, queued, listener)
}

#[tokio::test]
async fn many_tasks_call_through_a_shared_reference() {
    let seen = Arc::new(Seen::default());
    let server = Arc::clone(&seen);
    let answer = async move |axum::extract::Path(item): axum::extract::Path<u64>| {
        server.calls.fetch_add(1, Ordering::SeqCst);
        server.most.fetch_max(server.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        sleep(Duration::from_millis(2)).await;
        server.now.fetch_sub(1, Ordering::SeqCst);
        json(format!(r#"{{"cents":{}}}"#, 100 * item))
    };
    let prices = Arc::new(serve(Router::new().route("/prices/{item}", get(answer))).await);
    // As many as may be in flight or wait.
    let calls: Vec<_> = (0..96)
        .map(|item| {
            let prices = Arc::clone(&prices);
            tokio::spawn(async move { prices.of(item).await.unwrap().cents })
        })
        .collect();
    for (item, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap(), 100 * item);
    }
    assert_eq!(seen.calls.load(Ordering::SeqCst), 96);
    assert!(seen.most.load(Ordering::SeqCst) <= 32);
}

#[tokio::test]
async fn a_call_ends_by_the_deadline_though_nobody_answers_the_handshake() {
    let (address, _queued, _listener) = deaf().await;
    let prices = Prices::new(&format!("http://{address}")).unwrap();
    let began = Instant::now();
    let error = prices.of(1).await.unwrap_err();
    let took = began.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    assert_eq!(explain(&error), "too slow", "{error}");
    // Nothing was sent, so there was more than one attempt in that time.
    assert!(prices.handles.attempt_timeout().stats().total() >= 2, "{:?}", prices.handles);
}

#[tokio::test]
async fn a_call_ends_by_the_deadline_though_the_server_does_not_answer() {
    let prices = serve(Router::new().route("/prices/{item}", get(std::future::pending::<StatusCode>))).await;
    let began = Instant::now();
    let error = prices.of(1).await.unwrap_err();
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    assert_eq!(explain(&error), "too slow", "{error}");
}

#[tokio::test]
async fn a_call_that_the_server_fails_once_succeeds() {
    let calls = Arc::new(AtomicUsize::new(0));
    let answer = async move || match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Err(StatusCode::SERVICE_UNAVAILABLE),
        _ => Ok(json(r#"{"cents":5}"#.to_owned())),
    };
    let prices = serve(Router::new().route("/prices/{item}", get(answer))).await;
    assert_eq!(prices.of(1).await.unwrap().cents, 5);
    assert_eq!(prices.handles.retry().stats().recovered, 1);
}

#[tokio::test]
async fn a_refusal_opens_no_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let prices = Prices::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    prices.handles.limit().set_max(0).unwrap();
    let error = prices.of(1).await.unwrap_err();
    assert_eq!(error.as_rejection().unwrap().kind(), RejectionKind::Overloaded);
    assert_eq!(explain(&error), "not asked: overloaded");
    // Nobody has knocked.
    assert!(timeout(Duration::from_millis(100), listener.accept()).await.is_err());
}
