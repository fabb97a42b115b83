use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    body::Body,
    http::{HeaderMap, Request, Response},
};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use tokio::{net::TcpListener, time::Instant};
use tower::ServiceExt;

use super::*;

/// What the upstream was told in each attempt, in milliseconds.
type Told = Arc<Mutex<Vec<u64>>>;

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// An upstream that takes this long, notes what it was told, and fails at its first attempts.
async fn upstream(takes: Duration, failures: usize) -> (SocketAddr, Told) {
    let told = Told::default();
    let log = Arc::clone(&told);
    let handler = move |headers: HeaderMap| async move {
        let ms = headers["x-request-timeout-ms"].to_str().unwrap().parse().unwrap();
        let attempt = {
            let mut log = log.lock().unwrap();
            log.push(ms);
            log.len()
        };
        tokio::time::sleep(takes).await;
        if attempt > failures { Ok(axum::Json(ms)) } else { Err(StatusCode::SERVICE_UNAVAILABLE) }
    };
    (serve(Router::new().route("/work", get(handler))).await, told)
}

/// The server over this upstream, without a socket of its own.
fn front_of(address: SocketAddr) -> Router {
    app(client(&format!("http://{address}")).unwrap())
}

fn request(field: &str, value: &str) -> Request<Body> {
    Request::get("/").header(field, value).body(Body::empty()).unwrap()
}

/// What is left of so many milliseconds, at least, however slow the machine.
fn left_of(ms: u64, began: Instant) -> u64 {
    // A millisecond that has begun counts in neither.
    ms.saturating_sub(began.elapsed().as_millis() as u64 + 2)
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn the_server_behind_is_told_what_is_left_whatever_the_caller_says_it_with() {
    let (address, told) = upstream(Duration::ZERO, 0).await;
    for (field, value, most) in [
        ("x-nothing", "", 2_000),
        ("x-request-timeout-ms", "900", 900),
        ("grpc-timeout", "800m", 800),
        ("x-request-timeout-ms", "60000", 2_000),
    ] {
        let began = Instant::now();
        let response = front_of(address).oneshot(request(field, value)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let ms = told.lock().unwrap().pop().unwrap();
        assert!(ms <= most && ms >= left_of(most, began), "{field}: {value}: {ms}");
        assert_eq!(text(response).await, format!("the server behind was told {ms} ms\n"));
    }
}

#[tokio::test]
async fn a_second_attempt_is_promised_less_than_the_first() {
    let (address, told) = upstream(Duration::from_millis(20), 1).await;
    let response = front_of(address).oneshot(request("x-request-timeout-ms", "1500")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2);
    assert!(told[0] <= 1500 && told[1] + 20 <= told[0], "{told:?}");
}

#[tokio::test]
async fn an_expired_request_gets_504_and_no_upstream_is_called() {
    let (address, told) = upstream(Duration::ZERO, 0).await;
    for (field, value) in [("x-request-timeout-ms", "0"), ("grpc-timeout", "0n")] {
        let response = front_of(address).oneshot(request(field, value)).await.unwrap();
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    assert!(told.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_slow_server_behind_costs_the_caller_no_more_than_its_time() {
    let (address, told) = upstream(Duration::from_secs(3600), 0).await;
    // An hour would be too long for this test to end.
    let response = front_of(address).oneshot(request("x-request-timeout-ms", "1000")).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    let told = told.lock().unwrap();
    assert!(told.len() == 1 && told[0] <= 1000, "its own time, and not the server's: {told:?}");
}

#[tokio::test]
async fn a_server_behind_that_refuses_the_connection_is_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let response = front_of(address).oneshot(request("x-nothing", "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_502_and_a_deadline_that_has_passed_behind_is_504() {
    for (answer, seen) in [
        (StatusCode::NO_CONTENT, StatusCode::BAD_GATEWAY),
        (StatusCode::NOT_FOUND, StatusCode::BAD_GATEWAY),
        (StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_GATEWAY),
        (StatusCode::GATEWAY_TIMEOUT, StatusCode::GATEWAY_TIMEOUT),
    ] {
        let address = serve(Router::new().route("/work", get(async move || answer))).await;
        let response = front_of(address).oneshot(request("x-nothing", "")).await.unwrap();
        assert_eq!(response.status(), seen, "{answer}");
    }
}

#[tokio::test]
async fn over_sockets_each_caller_has_its_own_time() {
    let (address, _) = upstream(Duration::ZERO, 0).await;
    let front = serve(front_of(address)).await;
    // Two clients, each with a connection of its own, inside of work with a deadline.
    for seconds in [1, 3] {
        let client = client(&format!("http://{front}")).unwrap();
        let began = Instant::now();
        let call = async { client.get("/work").send::<u64>().await.unwrap() };
        let told = Deadline::after(Duration::from_secs(seconds)).scope(call).await;
        assert!(told <= 1000 * seconds.min(2) && told >= left_of(1000 * seconds.min(2), began), "{seconds} s: {told}");
    }
}

#[tokio::test]
async fn an_answer_of_the_server_behind_that_stops_in_its_body_is_covered_too() {
    let half = || async {
        let body = stream::iter([Ok::<_, Infallible>("1")]).chain(stream::pending());
        ([("content-type", "application/json")], Body::from_stream(body))
    };
    let address = serve(Router::new().route("/work", get(half))).await;
    let response = front_of(address).oneshot(request("x-request-timeout-ms", "500")).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn the_body_of_the_response_is_covered() {
    let app = app(client("http://example.com").unwrap());
    let request = Request::get("/lines").body(Body::empty()).unwrap();
    let began = Instant::now();
    let mut body = app.oneshot(request).await.unwrap().into_body();
    for _ in 0..2 {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a line\n");
    }
    body.frame().await.unwrap().unwrap_err();
    let took = began.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_millis(2_010)).contains(&took), "{took:?}");
}
