//! The program, in the process.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

async fn fetch(app: &Router, path: &str) -> (StatusCode, String) {
    let response = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_figures_are_those_of_the_calls() {
    let app = app(PrometheusBuilder::new().install_recorder().unwrap());
    for _ in 0..3 {
        assert_eq!(fetch(&app, "/work").await, (StatusCode::OK, "done\n".to_owned()));
    }
    for _ in 0..2 {
        let (status, text) = fetch(&app, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        for line in [
            "# TYPE donjon_concurrency_limit_admitted_total counter",
            r#"donjon_concurrency_limit_admitted_total{stack="server"} 3"#,
            r#"donjon_concurrency_limit_max{stack="server"} 8"#,
            r#"donjon_concurrency_limit_in_flight{stack="server"} 0"#,
            r#"donjon_timeout_seconds{stack="server"} 2"#,
            r#"donjon_timeout_expired_total{stack="server",phase="attempt"} 0"#,
        ] {
            assert!(text.lines().any(|it| it == line), "no `{line}` in:\n{text}");
        }
    }
    let (status, page) = fetch(&app, "/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Figures of the layers"));
}
