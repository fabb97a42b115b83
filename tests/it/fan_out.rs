//! Many JSON calls at once, through whole stacks and down to a socket.

use std::time::Duration;

use axum::{Json, Router, extract::Path, http::StatusCode, routing::get};
use donjon::{Call, DeadlineLayer, FanOutExt, JsonClient, JsonError, Reject, RejectionKind, Transport};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower::ServiceBuilder;

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct User {
    id: u64,
}

/// Answers `/users/{id}`, with a 404 for every tenth, and never for 13. Gives its URL.
async fn upstream() -> String {
    let user = async |Path(id): Path<u64>| match id {
        13 => std::future::pending().await,
        id if id % 10 == 0 => Err(StatusCode::NOT_FOUND),
        id => Ok(Json(User { id })),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback");
    let url = format!("http://{}", listener.local_addr().expect("a bound socket"));
    let app = Router::new().route("/users/{id}", get(user));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn check(id: u64, reply: Result<User, JsonError>) {
    match (id, reply) {
        (id, Ok(user)) => assert_eq!((user.id, id % 10 != 0 && id != 13), (id, true)),
        (13, Err(error)) => {
            let rejection = error.as_rejection().unwrap_or_else(|| panic!("{error}"));
            assert!(
                matches!(rejection.kind(), RejectionKind::DeadlineExceeded | RejectionKind::AttemptTimeout),
                "{error}"
            );
        }
        (id, Err(error)) => assert_eq!((error.status(), id % 10), (Some(StatusCode::NOT_FOUND), 0), "{error}"),
    }
}

#[tokio::test]
async fn each_call_through_the_standard_stack_has_its_result() {
    let api = donjon::client::standard(upstream().await).expect("a base URL");
    // Spawned as it is, generic in nothing and erased nowhere.
    let all = tokio::spawn(async move {
        let ids = 1..=100_u64;
        let calls = ids.map(|id| (id, Call::get(format!("/users/{id}"))));
        let mut replies = api.fan_out(calls).at_once(10).deadline(Duration::from_millis(700)).as_completed();
        let mut seen = Vec::new();
        while let Some((id, reply)) = replies.next().await {
            check(id, reply);
            seen.push(id);
        }
        seen.sort_unstable();
        seen
    });
    assert_eq!(all.await.expect("no panic"), (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_deadline_of_a_layer_around_holds_for_all() {
    let transport = Transport::builder().connections_per_host(4).build();
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_millis(500)))
        .map_err(donjon::CallError::from)
        .service(transport.clone());
    let api = JsonClient::new(stack).base(upstream().await).expect("a base URL");
    let calls = (1..=50_u64).map(|id| (id, Call::get("/users/{id}").path("id", id)));
    let all: Vec<_> = api.fan_out(calls).at_once(50).collect().await;
    assert_eq!(all.len(), 50);
    for (id, reply) in all {
        check(id, reply);
    }
    assert!(transport.open_connections() <= 4);
}
