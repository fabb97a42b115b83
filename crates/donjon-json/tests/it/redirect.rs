//! Redirects, where they are asked for.

use bytes::Bytes;
use donjon_core::{CallError, Classify, Outcome, Reject, Rejection, RejectionKind, Sent};
use donjon_json::{Call, JsonClassify, JsonClient, JsonErrorKind};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;

use crate::support::{Seen, api, json};

/// `301 /a` becomes a redirect, and any other path an answer.
fn to(status: u16, location: &str) -> Response<Bytes> {
    Response::builder().status(status).header("location", location).body(Bytes::from("moved")).unwrap()
}

fn route(routes: &'static [(&'static str, u16, &'static str)]) -> impl Fn(&Seen) -> Response<Bytes> + Clone {
    move |seen| {
        let found = routes.iter().find(|(path, ..)| seen.uri().to_string().ends_with(path));
        found.map_or_else(|| json("1"), |(_, status, location)| to(*status, location))
    }
}

#[tokio::test]
async fn redirects_are_followed_when_asked() {
    let (api, log) = api(route(&[("/a", 302, "b?x=1"), ("/b?x=1", 307, "/c/"), ("/c/", 308, "../d")]));
    let reply = api.get("/a").follow_redirects(3).send_full::<u8>().await.unwrap();
    assert_eq!(reply.url().expose(), "https://api.example.com/d");
    let paths: Vec<_> = log.all().iter().map(|seen| seen.uri().to_string()).collect();
    let expected = ["/a", "/b?x=1", "/c/", "/d"].map(|path| format!("https://api.example.com{path}"));
    assert_eq!(paths, expected);
}

#[tokio::test]
async fn at_most_so_many_are_followed() {
    let routes: &[_] = &[("/a", 302, "/b"), ("/b", 302, "/c?t=s3cret")];
    let (api, log) = api(route(routes));
    let error = api.clone().follow_redirects(1).get("/a").send::<u8>().await.unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::Redirect);
    assert_eq!(
        error.to_string(),
        "GET https://api.example.com/b: 302 Found to https://api.example.com/c?t=***, \
         after 1 redirects, the most to be followed"
    );
    assert_eq!(error.status().unwrap(), 302);
    assert_eq!(log.all().len(), 2);
    // The call's word counts, and 0 follows none.
    assert_eq!(api.clone().follow_redirects(1).get("/a").follow_redirects(2).send::<u8>().await.unwrap(), 1);
    let error = api.follow_redirects(2).get("/a").follow_redirects(0).send::<u8>().await.unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::Status);
}

#[tokio::test]
async fn a_loop_is_an_error_that_names_the_url() {
    for (routes, urls) in [
        (&[("/a", 302, "/a")][..], "GET https://api.example.com/a: 302 Found to https://api.example.com/a,"),
        (
            &[("/a", 301, "/b"), ("/b", 301, "https://API.example.com:443/a")],
            "GET https://api.example.com/b: 301 Moved Permanently to https://API.example.com:443/a,",
        ),
    ] {
        let (api, log) = api(route(routes));
        let error = api.get("/a").follow_redirects(u32::MAX).send::<u8>().await.unwrap_err();
        assert_eq!(error.kind(), JsonErrorKind::Redirect);
        let text = error.to_string();
        assert!(text.starts_with(urls) && text.ends_with("where this call has been before: a redirect loop"), "{text}");
        assert_eq!(log.all().len(), routes.len());
    }
}

#[tokio::test]
async fn the_method_and_the_body_change_as_the_status_says() {
    for (status, method, then, body) in [
        (301, "POST", "GET", ""),
        (302, "POST", "GET", ""),
        (303, "POST", "GET", ""),
        (303, "PUT", "GET", ""),
        (303, "HEAD", "HEAD", "[1]"),
        (301, "PUT", "PUT", "[1]"),
        (302, "DELETE", "DELETE", "[1]"),
        (307, "POST", "POST", "[1]"),
        (308, "PATCH", "PATCH", "[1]"),
    ] {
        let (api, log) = api(move |seen| if seen.uri().path() == "/a" { to(status, "/b") } else { json("1") });
        let call = Call::<u8>::new(method.parse().unwrap(), "/a").json(&[1]).follow_redirects(5);
        api.send(call).await.unwrap();
        let seen = &log.all()[1];
        assert_eq!((seen.method().as_str(), &seen.body()[..]), (then, body.as_bytes()), "{status} {method}");
        assert_eq!(seen.headers().contains_key("content-type"), !body.is_empty(), "{status} {method}");
    }
}

#[tokio::test]
async fn secrets_stay_with_the_origin() {
    let (api, log) = api(route(&[
        ("api.example.com/a", 307, "https://api.example.com:443/b"),
        ("/b", 307, "http://api.example.com/c"),
        ("/c", 307, "https://api.example.com/d"),
    ]));
    let call = Call::<u8>::get("/a").bearer("t").header("cookie", "c").header("x-api-key", "k").header("x-plain", "p");
    api.send(call.follow_redirects(9)).await.unwrap();
    let sent: Vec<_> = log
        .all()
        .iter()
        .map(|seen| ["authorization", "cookie", "x-api-key", "x-plain"].map(|name| seen.headers().contains_key(name)))
        .collect();
    let (all, plain) = ([true; 4], [false, false, false, true]);
    // A downgrade to plain HTTP is another origin, and what was dropped does not come back.
    assert_eq!(sent, [all, all, plain, plain]);
}

/// The server behind the redirect has not acted, and the one before it may have: no second `POST`.
#[tokio::test]
async fn what_fails_after_a_redirect_was_answered_before() {
    for fail in [
        || CallError::from_rejection(Rejection::new(RejectionKind::Overloaded, "test")),
        || CallError::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)),
    ] {
        let service = tower::service_fn(move |request: Request<Full<Bytes>>| async move {
            if request.uri().path() == "/b" {
                return Err(fail());
            }
            Ok(to(303, "/b").map(Full::new))
        });
        let api = JsonClient::new(service).base("https://api.example.com").unwrap();
        let first = api.post("/b").send::<u8>().await.unwrap_err();
        let second = api.post("/a").follow_redirects(1).send::<u8>().await.unwrap_err();
        let outcome = |error| JsonClassify::new().classify(Err::<&(), _>(error));
        assert!(matches!(outcome(&first), Outcome::Refused { .. } | Outcome::Transient { sent: Sent::NotSent, .. }));
        assert_eq!(outcome(&second), Outcome::Transient { sent: Sent::Answered, retry_after: None }, "{second:#}");
    }
}

#[tokio::test]
async fn headers_that_are_about_one_host_or_one_body_do_not_go_along() {
    let (api, log) = api(route(&[("/a", 307, "https://other.example/b"), ("/b", 303, "/c")]));
    let call = api.post("/a").follow_redirects(2).header("host", "virtual.example").header("content-length", "1");
    call.json(&1).send::<u8>().await.unwrap();
    let all = log.all();
    assert_eq!((&all[0].headers()["host"], all[0].headers().len()), (&"virtual.example".parse().unwrap(), 4));
    assert!(!all[1].headers().contains_key("host") && all[1].headers().contains_key("content-length"));
    assert!(!all[2].headers().contains_key("content-length"));
}

#[tokio::test]
async fn user_information_in_a_location_is_not_used() {
    let (api, log) = api(route(&[("/a", 302, "https://evil:pw@api.example.com/b")]));
    api.get("/a").follow_redirects(1).send::<u8>().await.unwrap();
    assert_eq!(log.all()[1].uri(), "https://api.example.com/b");
    assert!(!log.all()[1].headers().contains_key("authorization"));
}

#[tokio::test]
async fn a_location_that_leads_nowhere_is_an_error() {
    for location in ["ftp://h/x", "https://", "mailto:", "https:/x", "https://h:99999/", "https://h%20o/"] {
        let (api, log) = api(move |_| to(302, location));
        let error = api.get("/a").follow_redirects(5).send::<u8>().await.unwrap_err();
        assert_eq!(error.kind(), JsonErrorKind::Redirect);
        let text = error.to_string();
        let start = format!("GET https://api.example.com/a: 302 Found to `{location}`: ");
        assert!(text.starts_with(&start), "{text}");
        assert!(!text.contains("must be `http` or `https`, and is `https`"), "{text}");
        assert_eq!(log.all().len(), 1);
    }
}

#[tokio::test]
async fn a_body_that_was_encrypted_is_not_sent_on_in_clear() {
    let (api, log) = api(route(&[("/a", 307, "http://api.example.com/b"), ("/c", 303, "http://api.example.com/d")]));
    let error = api.put("/a").json(&"s3cret").follow_redirects(1).send::<u8>().await.unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::Redirect);
    assert!(error.to_string().ends_with("http://api.example.com/b, which would send the body in clear"), "{error}");
    assert_eq!(log.all().len(), 1);
    // Where the body is dropped, there is nothing to hide.
    assert_eq!(api.put("/c").json(&"s3cret").follow_redirects(1).send::<u8>().await.unwrap(), 1);
}

#[tokio::test]
async fn a_location_that_is_not_encoded_is_followed_as_browsers_do() {
    let (api, log) = api(|seen| match seen.uri().path() {
        "/a" => Response::builder()
            .status(302)
            .header("location", HeaderValue::from_bytes("/caf\u{e9} noir?q=\u{fc}".as_bytes()).unwrap())
            .body(Bytes::new())
            .unwrap(),
        _ => json("1"),
    });
    api.get("/a").follow_redirects(1).send::<u8>().await.unwrap();
    assert_eq!(log.all()[1].uri(), "https://api.example.com/caf%C3%A9%20noir?q=%C3%BC");
}

#[tokio::test]
async fn a_status_that_is_no_redirect_or_has_no_location_is_a_status() {
    for response in
        [to(300, "/b"), to(304, "/b"), to(305, "/b"), Response::builder().status(302).body(Bytes::new()).unwrap()]
    {
        let (api, log) = api(move |_| response.clone());
        let error = api.get("/a").follow_redirects(5).send::<u8>().await.unwrap_err();
        assert_eq!(error.kind(), JsonErrorKind::Status);
        assert_eq!(log.all().len(), 1);
    }
}
