//! The recipe over its router; time stands still, and goes on when all wait.

use axum::{
    body::Body,
    http::{Request, Response},
};
use http_body_util::BodyExt;
use tokio::time::{Instant, advance};
use tower::ServiceExt;

use super::*;

async fn ask(app: &Router, method: &str, uri: &str, field: Option<(&str, &str)>) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(uri);
    if let Some((name, value)) = field {
        request = request.header(name, value);
    }
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    assert_eq!(response.status(), StatusCode::OK);
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

async fn get(app: &Router, uri: &str) -> String {
    text(ask(app, "GET", uri, None).await).await
}

fn rig() -> (Router, Articles) {
    let articles = Articles::default();
    (app(articles.clone()), articles)
}

#[tokio::test(start_paused = true)]
async fn each_path_has_its_own_answer_on_a_hit_too() {
    let (app, articles) = rig();
    for round in 0..3 {
        assert_eq!(get(&app, "/articles/7").await, "article 7, made by call 0\n");
        assert_eq!(get(&app, "/articles/8").await, "article 8, made by call 1\n");
        assert_eq!(articles.calls.load(Relaxed), 2, "round {round}");
    }
    let hit = ask(&app, "GET", "/articles/7", None).await;
    // Half a second on its way, and then as long as the other one took.
    assert_eq!(hit.headers()["age"], "1");
    // An extractor that says no is no answer to keep.
    assert_eq!(ask(&app, "GET", "/articles/x", None).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn extractors_outside_of_the_cache_work_on_a_hit() {
    async fn tagged(
        Path(id): Path<String>,
        request: axum::extract::Request,
        next: axum::middleware::Next,
    ) -> impl IntoResponse {
        ([("x-id", id)], next.run(request).await)
    }
    let (app, articles) = rig();
    let app = app.layer(axum::middleware::from_fn(tagged));
    for _ in 0..2 {
        assert_eq!(ask(&app, "GET", "/articles/7", None).await.headers()["x-id"], "7");
    }
    assert_eq!(articles.calls.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_misses_are_one_call() {
    let (app, articles) = rig();
    let start = Instant::now();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { get(&app, "/articles/7").await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "article 7, made by call 0\n");
    }
    assert_eq!(articles.calls.load(Relaxed), 1);
    assert!(start.elapsed() < Duration::from_millis(600));
}

#[tokio::test(start_paused = true)]
async fn a_first_caller_that_leaves_strands_nobody() {
    let (app, articles) = rig();
    let mut calls: Vec<_> = (0..10)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { get(&app, "/articles/7").await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    calls.remove(0).abort();
    let start = Instant::now();
    for call in calls {
        assert_eq!(call.await.unwrap(), "article 7, made by call 0\n");
    }
    assert_eq!(articles.calls.load(Relaxed), 1, "the call went on");
    assert!(start.elapsed() < Duration::from_millis(450));
}

#[tokio::test(start_paused = true)]
async fn what_may_be_one_users_is_never_shared() {
    let (app, articles) = rig();
    assert_eq!(get(&app, "/me").await, "visitor 0\n");
    assert_eq!(get(&app, "/me").await, "visitor 1\n", "it sets a cookie");
    for (n, user) in [(2, "Bearer ada"), (3, "Bearer bob"), (4, "Bearer ada")] {
        let answer = text(ask(&app, "GET", "/articles/7", Some(("authorization", user))).await).await;
        assert_eq!(answer, format!("article 7, made by call {n}\n"));
    }
    assert_eq!(get(&app, "/articles/7").await, "article 7, made by call 5\n", "nothing of it was kept");
    let with_cookie = text(ask(&app, "GET", "/articles/7", Some(("cookie", "visitor=1"))).await).await;
    assert_eq!(with_cookie, "article 7, made by call 6\n");
    assert_eq!(articles.calls.load(Relaxed), 7);
}

#[tokio::test(start_paused = true)]
async fn the_handle_removes_one_answer_or_all() {
    let (app, _) = rig();
    get(&app, "/articles/7").await;
    get(&app, "/articles/8").await;
    assert_eq!(ask(&app, "DELETE", "/refresh/7", None).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(get(&app, "/articles/7").await, "article 7, made by call 2\n");
    assert_eq!(get(&app, "/articles/8").await, "article 8, made by call 1\n");
    ask(&app, "DELETE", "/cache", None).await;
    assert_eq!(get(&app, "/articles/8").await, "article 8, made by call 3\n");
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_stands_in_for_a_failure_for_ten_minutes() {
    let (app, articles) = rig();
    get(&app, "/articles/7").await;
    articles.down.store(true, Relaxed);
    assert_eq!(ask(&app, "GET", "/articles/8", None).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    advance(Duration::from_secs(61)).await;
    assert_eq!(get(&app, "/articles/7").await, "article 7, made by call 0\n");
    assert_eq!(articles.calls.load(Relaxed), 3, "it was asked");
    advance(Duration::from_secs(600)).await;
    assert_eq!(ask(&app, "GET", "/articles/7", None).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    articles.down.store(false, Relaxed);
    assert_eq!(get(&app, "/articles/7").await, "article 7, made by call 4\n");
}
