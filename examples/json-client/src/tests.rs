//! The calls of the recipe against servers in the same process.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, routing::get, routing::post};
use donjon::{
    JsonError,
    client::{Client, standard},
    json::{DecodeCategory, JsonErrorKind},
    retry::RetryInfo,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

async fn serve(app: Router) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = standard(format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    api
}

async fn user(api: &Client) -> Result<User, JsonError> {
    api.get("/users/{id}").path("id", 42).send().await
}

#[test]
fn the_program_is_at_most_25_lines() {
    let code = include_str!("main.rs").lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with("//"));
    // Without the two that hang these tests on it.
    assert!(code.count() - 2 <= 25);
}

#[tokio::test]
async fn a_get_and_a_post_are_typed() {
    let make = async |Json(user): Json<Value>| (axum::http::StatusCode::CREATED, Json(user));
    let app = Router::new().route("/users/42", get(async || Json(json!({"name": "Ada"})))).route("/users", post(make));
    let api = serve(app).await;
    assert_eq!(user(&api).await.unwrap().name, "Ada");
    let made: User = api.post("/users").json(&User { name: "Bob".to_owned() }).send().await.unwrap();
    assert_eq!(made.name, "Bob");
}

#[tokio::test]
async fn a_422_is_a_typed_error() {
    let refuse = async || (axum::http::StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"field": "name"})));
    let api = serve(Router::new().route("/users", post(refuse))).await;
    let error = api.post("/users").json(&User { name: String::new() }).send::<User>().await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (JsonErrorKind::Status, 422));
    assert_eq!(error.json::<Invalid>().unwrap().field, "name");
}

#[tokio::test]
async fn json_of_another_shape_shows_path_url_and_snippet() {
    let api = serve(Router::new().route("/users/42", get(async || Json(json!({"id": 42, "name": 7}))))).await;
    let error = user(&api).await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("/users/42") && told.contains("name"), "{told}");
    let fault = error.decode_error().unwrap();
    assert_eq!((fault.category(), fault.path()), (DecodeCategory::Shape, "name"));
    assert!(fault.snippet().contains(r#""name":7"#), "{}", fault.snippet());
}

#[tokio::test]
async fn a_truncated_body_is_asked_for_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = standard(format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    tokio::spawn(async move {
        loop {
            let (mut io, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(io.read_u8().await.unwrap());
            }
            let whole = count.fetch_add(1, Ordering::Relaxed) > 0;
            let body = if whole { r#"{"name":"Ada"}"# } else { r#"{"na"# };
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{body}");
            io.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let reply = api.get("/users/{id}").path("id", 42).send_full::<User>().await.unwrap();
    assert_eq!(reply.extensions().get::<RetryInfo>().unwrap().attempts, 2);
    assert_eq!(reply.into_body().name, "Ada");
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}
