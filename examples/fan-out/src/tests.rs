//! The calls of the recipe against a server in the same process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, http::StatusCode, routing::post};

use super::*;

#[derive(Default)]
struct Seen {
    running: usize,
    most: usize,
    calls: HashMap<u64, u32>,
}

/// Fails each item that `fails` says, the given number of times.
async fn serve(fails: fn(u64) -> u32) -> (String, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = Arc::clone(&seen);
    let app = Router::new().route(
        "/process",
        post(async move |Json(body): Json<Value>| {
            let item = body["item"].as_u64().unwrap();
            let call = {
                let mut seen = shared.lock().unwrap();
                seen.running += 1;
                seen.most = seen.most.max(seen.running);
                let calls = seen.calls.entry(item).or_default();
                *calls += 1;
                *calls
            };
            tokio::time::sleep(Duration::from_millis(5)).await;
            shared.lock().unwrap().running -= 1;
            if call <= fails(item) { Err(StatusCode::SERVICE_UNAVAILABLE) } else { Ok(Json(json!({ "done": item }))) }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, seen)
}

#[test]
fn the_calls_are_20_lines() {
    let code = include_str!("main.rs").split("async fn process").nth(1).unwrap().split("#[cfg(test)]").next().unwrap();
    assert!(code.lines().filter(|line| !line.trim().is_empty()).count() <= 20);
}

#[tokio::test]
async fn all_are_called_once_ten_at_a_time() {
    let (url, seen) = serve(|_| 0).await;
    assert_eq!(process(&url, 100).await.unwrap(), 100);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.calls.len(), 100);
    assert!(seen.calls.values().all(|&calls| calls == 1));
    assert!((2..=10).contains(&seen.most), "{}", seen.most);
}

#[tokio::test]
async fn a_failure_is_tried_again_and_one_that_stays_ends_nothing() {
    let (url, seen) = serve(|item| match item {
        3 => u32::MAX,
        7 | 50 => 1,
        _ => 0,
    })
    .await;
    assert_eq!(process(&url, 100).await.unwrap(), 99);
    let seen = seen.lock().unwrap();
    assert_eq!((seen.calls.len(), seen.calls[&7], seen.calls[&50]), (100, 2, 2));
    assert!(seen.calls[&3] > 1);
}
