//! The recipe against servers in the same process, whose own counts are compared with what it promises.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{Router, extract::Path, http::HeaderMap, http::StatusCode, routing::get};
use tokio::{net::TcpListener, time::sleep};

use super::*;

#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

fn json(text: String) -> impl axum::response::IntoResponse {
    ([("content-type", "application/json")], text)
}

async fn serve(app: Router) -> Users {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let users = Users::new(client().unwrap(), &format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    users
}

#[tokio::test]
async fn a_hundred_tasks_call_through_a_shared_reference_within_the_limit() {
    let seen = Arc::new(Seen::default());
    let server = Arc::clone(&seen);
    let answer = async move |Path(id): Path<u64>, headers: HeaderMap| {
        server.calls.fetch_add(1, Ordering::SeqCst);
        server.most.fetch_max(server.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        sleep(Duration::from_millis(2)).await;
        server.now.fetch_sub(1, Ordering::SeqCst);
        json(format!(r#"{{"name":"{id} by {}"}}"#, headers["user-agent"].to_str().unwrap()))
    };
    let users = Arc::new(serve(Router::new().route("/users/{id}", get(answer))).await);
    let calls: Vec<_> = (0..100)
        .map(|id| {
            let users = Arc::clone(&users);
            tokio::spawn(async move { users.get(id).await.unwrap().name })
        })
        .collect();
    for (id, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), format!("{id} by reqwest-stack"), "the client's own settings hold");
    }
    assert_eq!(seen.calls.load(Ordering::SeqCst), 100);
    let most = seen.most.load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most} at once");
}

#[tokio::test]
async fn a_failure_is_asked_again_and_a_redirect_is_not_followed() {
    let calls = Arc::new(AtomicUsize::new(0));
    let answer = async move || match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Err(StatusCode::SERVICE_UNAVAILABLE),
        _ => Ok(json(r#"{"name":"Ada"}"#.to_owned())),
    };
    let away = async || (StatusCode::FOUND, [("location", "/users/1")]);
    let users = serve(Router::new().route("/users/1", get(answer)).route("/users/2", get(away))).await;
    assert_eq!(users.get(1).await.unwrap().name, "Ada");
    assert_eq!(users.get(2).await.unwrap_err().status().unwrap().as_u16(), 302);
}

#[tokio::test]
async fn a_refused_connection_is_told_with_its_cause_and_without_secrets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let users = Users::new(client().unwrap(), &format!("http://me:s3cret@{address}")).unwrap();
    let error = users.get(1).await.unwrap_err();
    let told = format!("{error} {error:#} {error:?}");
    assert!(told.to_lowercase().contains("refused") && told.contains(&address.to_string()), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}
