//! What is sent.

use std::collections::BTreeMap;

use donjon_core::Replay;
use donjon_json::{Call, JsonClient, JsonErrorKind};
use http::{HeaderValue, Method, Uri};
use serde::Serialize;
use serde_json::Value;

use crate::support::{api, fixed, json};

/// The URL that a call is sent to.
async fn url_of(call: Call<Value>) -> String {
    let (api, log) = api(|_| json("1"));
    api.send(call).await.unwrap();
    log.one().uri().to_string()
}

/// What is wrong with a call that is never sent.
async fn fault_of(call: Call<Value>) -> String {
    let (api, log) = api(|_| json("1"));
    let error = api.send(call).await.unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::InvalidCall);
    assert!(log.all().is_empty());
    error.to_string()
}

#[tokio::test]
async fn a_template_is_filled_and_encoded() {
    let (api, log) = api(|_| json("1"));
    let one: u8 = api.get("/users/{id}/posts/{post}").path("id", "a/b?c").path("post", 7).send().await.unwrap();
    assert_eq!(one, 1);
    assert_eq!(log.one().uri(), "https://api.example.com/users/a%2Fb%3Fc/posts/7");
}

#[tokio::test]
async fn templates_make_these_urls() {
    for (call, url) in [
        (Call::get("/users"), "/users"),
        (Call::get("users"), "/users"),
        (Call::get(""), "/"),
        (Call::get("/"), "/"),
        (Call::get("?a=b"), "/?a=b"),
        (Call::get("/a b/\u{e4}"), "/a%20b/%C3%A4"),
        (Call::get("/100%/%41"), "/100%25/%41"),
        (Call::get("/{{x}}"), "/%7Bx%7D"),
        (Call::get("/x#fragment"), "/x"),
        (Call::get("/{a}-{b}").path("b", 2).path("a", 1), "/1-2"),
        (Call::get("/{id}/{id}").path("id", "x"), "/x/x"),
        (Call::get("/{id}").path("id", "{id}"), "/%7Bid%7D"),
        (Call::get("/{id}").path("id", "a.b-c_d~e"), "/a.b-c_d~e"),
        (Call::get("/{id}").path("id", "..."), "/..."),
        (Call::get("/v{n}.json").path("n", "."), "/v..json"),
        (Call::get("/{id}").path("id", "%2e%2e"), "/%252e%252e"),
        (Call::get("/find?q={q}").path("q", "a&b=c #"), "/find?q=a%26b%3Dc%20%23"),
        (Call::get("/find?q={q}").path("q", ""), "/find?q="),
        (Call::get("/find?a=1").query_pair("b", 2), "/find?a=1&b=2"),
        (Call::get("/find?").query_pair("b", 2), "/find?b=2"),
        (Call::get("/{id}").query_pair("b", "{id}").path("id", 1), "/1?b=%7Bid%7D"),
        (Call::get("//evil.example/x"), "//evil.example/x"),
        (Call::url(Method::GET, "/{x}?{y}"), "/%7Bx%7D?%7By%7D"),
    ] {
        assert_eq!(url_of(call).await, format!("https://api.example.com{url}"));
    }
}

#[tokio::test]
async fn the_path_of_the_base_comes_first() {
    let (api, log) = api(|_| json("1"));
    for (base, template, url) in [
        ("https://h/v1", "/users", "https://h/v1/users"),
        ("https://h/v1/", "users", "https://h/v1/users"),
        ("http://h:8080", "/users", "http://h:8080/users"),
        ("https://h/v1", "", "https://h/v1"),
        ("https://h/v1", "?a=b", "https://h/v1?a=b"),
        ("https://h/v1", "/", "https://h/v1/"),
        ("https://[::1]:1/v1", "/x", "https://[::1]:1/v1/x"),
        ("HTTPS://h", "/x", "https://h/x"),
    ] {
        api.clone().base(base).unwrap().get(template).send::<u8>().await.unwrap();
        assert_eq!(log.all().last().unwrap().uri(), url);
        api.clone().base(base).unwrap().get(template.to_owned()).query_pair("p", 1).send::<u8>().await.unwrap();
    }
}

#[tokio::test]
async fn an_absolute_url_needs_no_base() {
    let log = {
        let (api, log) = api(|_| json("1"));
        let api = JsonClient::new(api.into_service());
        for call in [
            Call::get("http://other.example:81/{id}").path("id", 1),
            Call::from(Uri::from_static("http://other.example:81/1")),
            Call::url(Method::GET, "http://other.example:81/1"),
        ] {
            let one: u8 = api.send(call).await.unwrap();
            assert_eq!(one, 1);
        }
        let error = api.get("/users").send::<u8>().await.unwrap_err();
        assert_eq!(error.to_string(), "GET /users: the URL is relative, and the client has no base URL");
        log
    };
    assert_eq!(log.all().len(), 3);
    assert!(log.all().iter().all(|seen| seen.uri() == "http://other.example:81/1"));
    assert_eq!(url_of(Call::get("https://h").query_pair("a", 1)).await, "https://h/?a=1");
    assert_eq!(url_of(Call::get("https://h?a=1")).await, "https://h/?a=1");
    assert_eq!(url_of(Call::get("https://[::1]/x")).await, "https://[::1]/x");
}

#[tokio::test]
async fn a_wrong_call_is_an_error_that_names_what_is_wrong_and_where() {
    let at = "GET https://api.example.com";
    for (call, fault) in [
        (Call::get("/users/{id}"), format!("{at}/users/{{id}}: path parameter `id` is missing")),
        (
            Call::get("/users/{id}/{post}").path("id", 1),
            format!("{at}/users/1/{{post}}: path parameter `post` is missing"),
        ),
        (
            Call::get("/users/{id}").path("ID", 1),
            format!("{at}/users/{{id}}: `/users/{{id}}` has no path parameter `ID`, or it was given before"),
        ),
        (
            Call::get("/users/{id}").path("id", 1).path("id", 2),
            format!("{at}/users/1: `/users/{{id}}` has no path parameter `id`, or it was given before"),
        ),
        (
            Call::get("/users/{id}").path("id", ""),
            format!("{at}/users/: path parameter `id` is empty, which would name another resource"),
        ),
        (
            Call::get("/users/{id}").path("id", ".."),
            format!("{at}/users/..: path parameter `id` makes a segment of dots, which would leave its place"),
        ),
        (
            Call::get("/{a}{b}/x").path("a", ".").path("b", "."),
            format!("{at}/../x: path parameter `b` makes a segment of dots, which would leave its place"),
        ),
        (
            Call::get("/%2E{a}").path("a", "."),
            format!("{at}/%2E.: path parameter `a` makes a segment of dots, which would leave its place"),
        ),
        (Call::get("/users/{id"), format!("{at}/users/{{id: the path template has a `{{` without its `}}`")),
        (Call::get("/users/id}"), format!("{at}/users/id}}: the path template has a `}}` without its `{{`")),
        (Call::get("/users/{}"), format!("{at}/users/{{}}: the path template has a parameter without a name")),
        (
            Call::get("https://{host}/x").path("host", "evil.example"),
            "GET https://{host}/x: path parameter `host` stands in the host, where no parameter may".into(),
        ),
        (Call::get("ftp://h/x"), "GET ftp://h/x: the scheme must be `http` or `https`, and is `ftp`".into()),
        (Call::get("https://h:99999/x"), "GET https://h:99999/x: the URL has a port that is no port number".into()),
        (Call::get("https://h o/x"), "GET https://h o/x: invalid authority".into()),
        (Call::get("/x").header("bad name", "v"), format!("{at}/x: `bad name` is no header name")),
        (
            Call::get("/x").header("x-key", "v\n"),
            format!("{at}/x: the value of the header `x-key` has a character that no header may have"),
        ),
        (
            Call::get("/x").bearer("s3cret\n"),
            format!("{at}/x: the value of the header `authorization` has a character that no header may have"),
        ),
        (Call::get("/x").query("q"), format!("{at}/x: the query is neither a struct, nor a map, nor a list of pairs")),
        (
            Call::get("/x").query([("q", [("deep", 1)])]),
            format!("{at}/x: the query value `q` is neither a scalar nor a list of them"),
        ),
        (
            Call::get("/x").query(BTreeMap::from([("q", BTreeMap::from([("deep", 1)]))])),
            format!("{at}/x: the query value `q` is neither a scalar nor a list of them"),
        ),
        (
            Call::post("/x").json(&BTreeMap::from([((1, 2), 3)])),
            "POST https://api.example.com/x: the body cannot be written as JSON".into(),
        ),
    ] {
        let text = fault_of(call).await;
        assert!(text.starts_with(&fault), "{text}\n{fault}");
        assert!(!text.contains("s3cret"));
    }
}

#[tokio::test]
async fn the_first_fault_counts() {
    let text = fault_of(Call::get("/x").path("a", 1).header("bad name", "v")).await;
    assert!(text.contains("path parameter `a`"), "{text}");
}

#[tokio::test]
async fn a_url_that_is_too_long_is_an_error() {
    let text = fault_of(Call::get("/{id}").path("id", "x".repeat(70_000))).await;
    assert!(text.ends_with("uri too long"), "{}", &text[text.len() - 40..]);
}

#[tokio::test]
async fn a_query_is_pairs_from_anything_with_names() {
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Newest,
    }
    #[derive(Serialize)]
    struct Page {
        page: u32,
        size: Option<u32>,
        tags: Vec<&'static str>,
        order: Order,
        exact: bool,
        #[serde(flatten)]
        rest: BTreeMap<&'static str, f64>,
    }
    let page = Page {
        page: 2,
        size: None,
        tags: vec!["a b", "c&d"],
        order: Order::Newest,
        exact: true,
        rest: BTreeMap::from([("min", 1.5)]),
    };
    assert_eq!(
        url_of(Call::get("/x").query(&page).query([("z", 1), ("z", 2)]).query_pair("\u{fc}", '=')).await,
        "https://api.example.com/x?page=2&tags=a%20b&tags=c%26d&order=newest&exact=true&min=1.5&z=1&z=2&%C3%BC=%3D",
    );
    assert_eq!(url_of(Call::get("/x").query(())).await, "https://api.example.com/x");
    assert_eq!(url_of(Call::get("/x").query(None::<Page>)).await, "https://api.example.com/x");
    assert_eq!(url_of(Call::get("/x").query(vec![(1, 'c')])).await, "https://api.example.com/x?1=c");
}

#[tokio::test]
async fn every_method_is_sent_as_itself() {
    let (api, log) = api(|_| json(""));
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PURGE"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        api.request(method.clone(), "/x").send::<()>().await.unwrap();
        api.send(Call::<()>::new(method.clone(), "/x")).await.unwrap();
        assert!(log.all()[log.all().len() - 2..].iter().all(|seen| seen.method() == method));
    }
    let from = log.all().len();
    let _: () = api.get("/x").send().await.unwrap();
    let _: () = api.post("/x").send().await.unwrap();
    let _: () = api.put("/x").send().await.unwrap();
    let _: () = api.patch("/x").send().await.unwrap();
    let _: () = api.delete("/x").send().await.unwrap();
    let _: () = api.head("/x").send().await.unwrap();
    let _: () = api.options("/x").send().await.unwrap();
    for call in [Call::<()>::get("/"), Call::post("/"), Call::put("/"), Call::patch("/"), Call::delete("/")] {
        api.send(call).await.unwrap();
    }
    for call in [Call::<()>::head("/"), Call::options("/")] {
        api.send(call).await.unwrap();
    }
    let methods: Vec<_> = log.all()[from..].iter().map(|seen| seen.method().to_string()).collect();
    let each = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    assert_eq!(methods, [each, each].concat());
}

#[tokio::test]
async fn a_body_is_json_and_says_so() {
    #[derive(Serialize)]
    struct New {
        name: &'static str,
    }
    let (api, log) = api(|_| json("{}"));
    api.post("/users").json(&New { name: "Ada" }).send::<Value>().await.unwrap();
    let seen = log.one();
    assert_eq!(seen.headers()["content-type"], "application/json");
    assert_eq!(seen.headers()["accept"], "application/json");
    assert_eq!(seen.body(), r#"{"name":"Ada"}"#);
}

#[tokio::test]
async fn a_body_of_another_type_is_sent_as_it_is() {
    let (api, log) = api(|_| json("1"));
    api.patch("/x").raw_body("application/merge-patch+json", r#"{"a":null}"#).send::<u8>().await.unwrap();
    assert_eq!(log.one().headers()["content-type"], "application/merge-patch+json");
    assert_eq!(log.one().body(), r#"{"a":null}"#);
    api.get("/x").send::<u8>().await.unwrap();
    assert!(!log.all()[1].headers().contains_key("content-type"), "no body, no type");
}

#[tokio::test]
async fn a_header_of_the_call_takes_the_place_of_the_client_s() {
    let (api, log) = api(|_| json("1"));
    let api = api.default_header("x-tenant", "one").unwrap().default_header("x-number", 7).unwrap();
    api.get("/x").header("X-Tenant", "two").header("accept", "text/json").send::<u8>().await.unwrap();
    let seen = log.one();
    assert_eq!(seen.headers()["x-tenant"], "two");
    assert_eq!(seen.headers()["x-number"], "7");
    assert_eq!(seen.headers().get_all("accept").iter().collect::<Vec<_>>(), ["text/json"]);
}

#[tokio::test]
async fn user_information_becomes_a_header_and_leaves_the_url() {
    let (api, log) = api(|_| json("1"));
    let api = api.base("https://me:p%40w@h/").unwrap();
    api.get("/x").send::<u8>().await.unwrap();
    api.get("https://you:pw@other/x").send::<u8>().await.unwrap();
    api.get("/x").basic_auth("a", "b").send::<u8>().await.unwrap();
    api.get("/x").bearer("t").send::<u8>().await.unwrap();
    let sent: Vec<_> = log.all().iter().map(|seen| seen.headers()["authorization"].clone()).collect();
    assert_eq!(sent, ["Basic bWU6cEB3", "Basic eW91OnB3", "Basic YTpi", "Bearer t"]);
    assert!(sent.iter().all(HeaderValue::is_sensitive));
    let urls: Vec<_> = log.all().iter().map(|seen| seen.uri().to_string()).collect();
    assert_eq!(urls, ["https://h/x", "https://other/x", "https://h/x", "https://h/x"]);
}

#[tokio::test]
async fn the_client_s_secrets_stay_with_its_own_host() {
    let (api, log) = api(|_| json("1"));
    let api =
        api.bearer("t").unwrap().default_header("x-api-key", "k").unwrap().default_header("x-plain", "p").unwrap();
    api.get("https://api.example.com:443/x").send::<u8>().await.unwrap();
    api.get("https://other.example/x").send::<u8>().await.unwrap();
    let [own, other] = &log.all()[..] else { panic!("two calls") };
    assert!(own.headers().contains_key("authorization") && own.headers().contains_key("x-api-key"));
    assert!(!other.headers().contains_key("authorization") && !other.headers().contains_key("x-api-key"));
    assert_eq!(other.headers()["x-plain"], "p");
}

/// RFC 7617: what stands behind the first colon is the password.
#[tokio::test]
async fn a_user_with_a_colon_is_an_error() {
    let (api, log) = api(|_| json("1"));
    let error = api.get("/x").basic_auth("a:b", "s3cret").send::<u8>().await.unwrap_err().to_string();
    assert!(error.contains("user") && error.contains("colon") && !error.contains("s3cret"), "{error}");
    api.get("/x").basic_auth("a", "b:c").send::<u8>().await.unwrap();
    assert_eq!(log.one().headers()["authorization"], "Basic YTpiOmM=");
}

#[tokio::test]
async fn a_call_says_whether_it_is_idempotent() {
    use donjon_http::idempotency::is_idempotent;

    let (api, log) = api(|_| json("1"));
    for (call, expected) in [
        (Call::<u8>::get("/x"), true),
        (Call::post("/x"), false),
        (Call::post("/x").idempotent(true), true),
        (Call::put("/x").idempotent(false), false),
        (Call::post("/x").idempotency_key("k1"), true),
    ] {
        assert_eq!(call.is_idempotent(), expected);
        api.send(call).await.unwrap();
        assert_eq!(is_idempotent(log.all().last().unwrap()), expected);
    }
}

#[tokio::test]
async fn a_copy_of_a_call_is_the_same_call() {
    let (api, log) = api(|_| json("1"));
    let call = Call::<u8>::post("/{id}").path("id", 1).query_pair("a", 2).header("x-a", "b").json(&[1]).extension(7_u8);
    api.send(call.replay().unwrap()).await.unwrap();
    api.send(call).await.unwrap();
    let [first, second] = &log.all()[..] else { panic!("two calls") };
    assert_eq!((first.uri(), first.headers(), first.body()), (second.uri(), second.headers(), second.body()));
    assert_eq!(first.extensions().get::<u8>(), second.extensions().get::<u8>());
    assert_eq!(first.extensions().get(), Some(&7_u8));
}

#[test]
fn a_wrong_setting_of_the_client_is_an_error_that_names_it() {
    for (url, fault) in [
        ("api.example.com", "api.example.com: it is no base URL: it must be absolute: `https://host` or `http://host`"),
        ("ftp://h", "ftp://h: it is no base URL: the scheme must be `http` or `https`, and is `ftp`"),
        ("https://me:s3cret@h/?token=s3cret", "https://***@h/?token=***: it is no base URL: it must have no query"),
        ("https://me:s3cret@h o", "https://***@h o: it is no base URL: "),
        ("https://", "https://: it is no base URL: it has no host"),
    ] {
        let error = JsonClient::new(fixed(json("1"))).base(url).unwrap_err();
        assert!(error.to_string().starts_with(fault), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"));
        assert_eq!(error.kind(), JsonErrorKind::InvalidCall);
    }
    let error = JsonClient::new(fixed(json("1"))).default_header("x y", "v").unwrap_err();
    assert_eq!(error.to_string(), "`x y` is no header name");
    let error = JsonClient::new(fixed(json("1"))).bearer("s3cret\0").unwrap_err();
    assert_eq!(error.to_string(), "the value of the header `authorization` has a character that no header may have");
}
