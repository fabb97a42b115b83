//! What is sent.

use donjon_json::{Call, JsonErrorKind};
use http::Method;
use serde::Serialize;

use crate::support::{answer, api, json};

#[tokio::test]
async fn a_template_is_filled_and_encoded() {
    let (api, log) = api(|_| json("1"));
    let one: u8 = api.get("/users/{id}/posts/{post}").path("id", "a/b?c").path("post", 7).send().await.unwrap();
    assert_eq!(one, 1);
    assert_eq!(log.one().uri(), "https://api.example.com/users/a%2Fb%3Fc/posts/7");
}

#[tokio::test]
async fn every_method_is_sent_as_itself() {
    let (api, log) = api(|_| json(""));
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PURGE"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        api.request(method.clone(), "/x").send::<()>().await.unwrap();
        assert_eq!(log.all().last().unwrap().method(), method);
    }
    let _: () = api.get("/x").send().await.unwrap();
    let _: () = api.post("/x").send().await.unwrap();
    let _: () = api.put("/x").send().await.unwrap();
    let _: () = api.patch("/x").send().await.unwrap();
    let _: () = api.delete("/x").send().await.unwrap();
    let _: () = api.head("/x").send().await.unwrap();
    let _: () = api.options("/x").send().await.unwrap();
    let methods: Vec<_> = log.all()[8..].iter().map(|seen| seen.method().to_string()).collect();
    assert_eq!(methods, ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]);
}

#[tokio::test]
async fn a_body_is_json_and_says_so() {
    #[derive(Serialize)]
    struct New {
        name: &'static str,
    }
    let (api, log) = api(|_| json("{}"));
    api.post("/users").json(&New { name: "Ada" }).send::<serde_json::Value>().await.unwrap();
    let seen = log.one();
    assert_eq!(seen.headers()["content-type"], "application/json");
    assert_eq!(seen.headers()["accept"], "application/json");
    assert_eq!(seen.body(), r#"{"name":"Ada"}"#);
}

#[tokio::test]
async fn parameters_that_do_not_match_are_named_and_nothing_is_sent() {
    let (api, log) = api(|_| json("1"));
    for (call, what) in [
        (Call::get("/users/{id}"), "path parameter `id` is missing"),
        (Call::get("/users/{id}").path("ID", 1), "has no path parameter `ID`"),
        (Call::get("/users/{id}").path("id", ""), "path parameter `id` is empty"),
        (Call::get("/users/{id}").path("id", ".."), "path parameter `id` makes a segment of dots"),
    ] {
        let error = api.send::<u8>(call).await.unwrap_err();
        assert_eq!(error.kind(), JsonErrorKind::InvalidCall);
        let text = error.to_string();
        assert!(text.contains(what) && text.starts_with("GET https://api.example.com/users/"), "{text}");
    }
    assert!(log.all().is_empty());
}

#[tokio::test]
async fn a_failed_status_keeps_its_body() {
    let (api, _) = api(|_| answer(503, "text/plain", "busy"));
    let error = api.get("/x").send::<u8>().await.unwrap_err();
    assert_eq!(error.to_string(), "GET https://api.example.com/x: 503 Service Unavailable");
    assert_eq!(error.body(), "busy");
}
