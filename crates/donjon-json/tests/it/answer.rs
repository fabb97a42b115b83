//! What is read, and what an error says of it.

use std::{
    error::Error as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use donjon_core::{CallError, Classify, Outcome, Phase, Reject, Rejection, RejectionKind, Sent};
use donjon_json::{
    BoxHttpService, Call, DecodeCategory, Discard, JsonClassify, JsonClient, JsonError, JsonErrorKind, Reply,
};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::support::{always, answer, api, json};

#[derive(Debug, Deserialize, PartialEq)]
struct Item {
    id: u64,
    price: f64,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Page {
    items: Vec<Item>,
}

fn outcome(error: &JsonError) -> Outcome {
    JsonClassify::new().classify(Err::<&(), _>(error))
}

/// A client whose responses have this body.
fn over<F, B>(body: F) -> JsonClient<BoxHttpService>
where
    F: Fn() -> B + Clone + Send + Sync + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<donjon_core::BoxError>,
{
    let service = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let response = Response::builder().header("content-type", "application/json").body(body()).unwrap();
        async move { Ok::<_, io::Error>(response) }
    });
    JsonClient::new(BoxHttpService::new(service)).base("https://api.example.com").unwrap()
}

fn frames(frames: Vec<Result<&'static str, io::ErrorKind>>) -> impl Body<Data = Bytes, Error = io::Error> + Send {
    let frames = frames.into_iter().map(|frame| match frame {
        Ok(data) => Ok(Frame::data(Bytes::from(data))),
        Err(kind) => Err(io::Error::from(kind)),
    });
    StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>()))
}

// ===== what is an answer =====

#[tokio::test]
async fn an_empty_body_is_nothing_for_whoever_can_take_nothing() {
    for (status, body) in [(204, ""), (200, ""), (200, " \r\n"), (200, "null")] {
        let api = always(answer(status, "application/json", body));
        api.get("/x").send::<()>().await.unwrap();
        assert_eq!(api.get("/x").send::<Option<Item>>().await.unwrap(), None);
        assert_eq!(api.get("/x").send::<Value>().await.unwrap(), Value::Null);
        let reply = api.get("/x").send_full::<Option<Item>>().await.unwrap();
        assert_eq!(reply.status().as_u16(), status);
    }
}

#[tokio::test]
async fn an_empty_body_is_an_error_for_whoever_wants_something() {
    let error = always(answer(204, "text/plain", "")).get("/x").send::<Item>().await.unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::Decode);
    let text = error.to_string();
    assert!(text.starts_with("GET https://api.example.com/x: 204 No Content, but its body is empty, which is no `"));
    assert!(text.contains("Item"), "{text}");
    assert_eq!(error.decode_error().unwrap().category(), DecodeCategory::Empty);
}

#[tokio::test]
async fn a_reply_has_status_headers_extensions_and_url() {
    #[derive(Clone, Debug, PartialEq)]
    struct Attempts(u32);
    let (api, _) = api(|_| {
        let mut response = answer(201, "application/vnd.api+json; charset=utf-8", r#"{"id":1,"price":2.5}"#);
        response.headers_mut().insert("etag", "\"a\"".parse().unwrap());
        response.extensions_mut().insert(Attempts(3));
        response
    });
    let reply = api.post("/items").query_pair("q", "v").send_full::<Item>().await.unwrap();
    assert_eq!(reply.status(), StatusCode::CREATED);
    assert_eq!(reply.headers()["etag"], "\"a\"");
    assert_eq!(reply.extensions().get(), Some(&Attempts(3)));
    assert_eq!(reply.url().expose(), "https://api.example.com/items?q=v");
    assert_eq!(reply.body(), &Item { id: 1, price: 2.5 });
    let reply: Reply<u64> = reply.map(|item| item.id);
    assert_eq!(reply.clone().into_body(), 1);
    // A reply is also a type to be read.
    let reply: Reply<Item> = api.send(Call::get("/items")).await.unwrap();
    assert_eq!(reply.into_body().id, 1);
}

#[tokio::test]
async fn text_can_be_kept_as_it_is() {
    let raw: Box<RawValue> = always(json(r#" {"b" : 1.50, "a":[ ]} "#)).get("/x").send().await.unwrap();
    assert_eq!(raw.get(), r#"{"b" : 1.50, "a":[ ]}"#);
}

#[tokio::test]
async fn frames_are_put_together() {
    let api = over(|| frames(vec![Ok("{\"id\":"), Ok(""), Ok("7,\"pri"), Ok("ce\":1}")]));
    assert_eq!(api.get("/x").send::<Item>().await.unwrap(), Item { id: 7, price: 1.0 });
}

#[tokio::test]
async fn a_byte_order_mark_is_ignored() {
    assert_eq!(always(json("\u{feff}[1]")).get("/x").send::<Vec<u8>>().await.unwrap(), [1]);
}

// ===== content types =====

#[tokio::test]
async fn another_content_type_is_an_error_that_keeps_the_body() {
    let api = always(answer(200, "text/html; charset=utf-8", "<html>sign in</html>"));
    let error = api.get("/x").send::<Item>().await.unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::ContentType);
    assert_eq!(
        error.to_string(),
        "GET https://api.example.com/x: 200 OK, but its body is of the type `text/html; charset=utf-8`, which is not JSON"
    );
    assert_eq!(error.body(), "<html>sign in</html>");
    assert_eq!(outcome(&error), Outcome::Permanent);
    assert_eq!(api.get("/x").send::<Discard>().await.unwrap(), Discard);
}

#[tokio::test]
async fn the_content_types_that_are_read_can_be_changed() {
    let text = always(answer(200, "text/json", "1"));
    assert!(text.get("/x").send::<u8>().await.is_err());
    assert_eq!(text.clone().accept_content_type("text/json").get("/x").send::<u8>().await.unwrap(), 1);
    assert_eq!(text.accept_any_content_type().get("/x").send::<u8>().await.unwrap(), 1);
    let untyped = always(Response::new(Bytes::from("1")));
    assert_eq!(untyped.get("/x").send::<u8>().await.unwrap(), 1);
}

#[tokio::test]
async fn a_body_of_another_type_that_never_ends_is_read_to_the_cap_alone() {
    let service = tower::service_fn(|_: Request<Full<Bytes>>| async {
        let response = Response::builder().header("content-type", "text/html").body(Endless(1000)).unwrap();
        Ok::<_, io::Error>(response)
    });
    let api = JsonClient::new(service).base("https://api.example.com").unwrap();
    let error = api.get("/x").send::<Item>().await.unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::ContentType);
    assert_eq!((error.body().len(), error.is_body_truncated()), (64 * 1024, true));
}

// ===== errors of the service =====

#[tokio::test]
async fn a_failed_status_keeps_status_headers_extensions_body_and_url() {
    let (api, _) = api(|_| {
        let mut response = answer(503, "application/json", r#"{"code":17}"#);
        response.headers_mut().insert("retry-after", "2".parse().unwrap());
        response.extensions_mut().insert(4_u32);
        response
    });
    #[derive(Deserialize)]
    struct Fault {
        code: u32,
    }
    let error = api.put("/x/{id}").path("id", 9).send::<Item>().await.unwrap_err();
    assert_eq!(error.to_string(), "PUT https://api.example.com/x/9: 503 Service Unavailable");
    assert_eq!((error.kind(), error.status()), (JsonErrorKind::Status, Some(StatusCode::SERVICE_UNAVAILABLE)));
    assert_eq!(error.method().unwrap(), "PUT");
    assert_eq!(error.url().unwrap().expose(), "https://api.example.com/x/9");
    assert_eq!(error.headers().unwrap()["retry-after"], "2");
    assert_eq!(error.extensions().unwrap().get(), Some(&4_u32));
    assert_eq!(error.json::<Fault>().unwrap().code, 17);
    assert!(error.json::<Item>().is_err());
    assert!(!error.is_body_truncated() && error.problem().is_none() && error.decode_error().is_none());
    let retry_after = Some(Duration::from_secs(2));
    assert_eq!(outcome(&error), Outcome::Transient { sent: Sent::Answered, retry_after });
}

#[tokio::test]
async fn statuses_have_the_outcomes_of_http() {
    for (status, expected) in [
        (404, Outcome::Success),
        (422, Outcome::Success),
        (302, Outcome::Success),
        (429, Outcome::Throttled { retry_after: None }),
        (500, Outcome::Transient { sent: Sent::Answered, retry_after: None }),
        (501, Outcome::Permanent),
    ] {
        let error = always(answer(status, "text/plain", "")).get("/x").send::<()>().await.unwrap_err();
        assert_eq!(outcome(&error), expected, "{status}");
    }
    assert_eq!(JsonClassify::new().classify(Ok(&1)), Outcome::Success);
}

#[tokio::test]
async fn a_problem_document_is_typed() {
    let body = r#"{"type":"https://example.com/out-of-credit","title":"You do not have enough credit.","status":403,
        "detail":"Your current balance is 30, but that costs 50.","instance":"/account/12345/msgs/abc",
        "balance":30,"accounts":["/account/12345","/account/67890"]}"#;
    let api = always(answer(403, "application/problem+json; charset=utf-8", body));
    let error = api.get("/x").send::<()>().await.unwrap_err();
    assert_eq!(error.to_string(), "GET https://api.example.com/x: 403 Forbidden: You do not have enough credit.");
    let problem = error.problem().unwrap();
    assert_eq!(problem.type_uri(), "https://example.com/out-of-credit");
    assert_eq!(problem.status(), Some(StatusCode::FORBIDDEN));
    assert_eq!(problem.detail(), Some("Your current balance is 30, but that costs 50."));
    assert_eq!(problem.instance(), Some("/account/12345/msgs/abc"));
    assert_eq!(problem.extension::<u32>("balance"), Some(30));
    assert_eq!(problem.extension::<Vec<String>>("accounts").unwrap().len(), 2);
    assert_eq!(problem.extension::<u32>("accounts"), None);
    assert_eq!(problem.extensions().len(), 2);
}

#[tokio::test]
async fn a_problem_document_ignores_members_of_a_wrong_type() {
    let body = r#"{"type":7,"title":["x"],"status":"403","detail":null}"#;
    let error = always(answer(500, "application/problem+json", body)).get("/x").send::<()>().await.unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!((problem.type_uri(), problem.title(), problem.status()), ("about:blank", None, None));
    for (content_type, body) in [("application/problem+json", "[]"), ("application/json", r#"{"title":"x"}"#)] {
        let error = always(answer(500, content_type, body)).get("/x").send::<()>().await.unwrap_err();
        assert!(error.problem().is_none());
    }
}

#[tokio::test]
async fn a_redirect_that_nobody_asked_to_follow_says_where_it_led() {
    let (api, log) = api(|_| {
        let mut response = answer(302, "text/html", "");
        response.headers_mut().insert("location", "/y?token=s3cret".parse().unwrap());
        response
    });
    let error = api.get("/x").send::<()>().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "GET https://api.example.com/x: 302 Found, a redirect to /y?token=*** that was not followed"
    );
    assert_eq!(log.all().len(), 1);
}

#[tokio::test]
async fn the_body_of_an_error_is_cut_at_its_cap() {
    let api = always(answer(500, "text/plain", "x".repeat(100)));
    for (cap, len, truncated) in [(0, 0, true), (99, 99, true), (100, 100, false), (101, 100, false)] {
        let error = api.clone().max_error_body(cap).get("/x").send::<()>().await.unwrap_err();
        assert_eq!((error.body().len(), error.is_body_truncated()), (len, truncated));
    }
}

#[tokio::test]
async fn a_failed_status_stays_one_when_its_body_breaks_off() {
    let service = tower::service_fn(|_: Request<Full<Bytes>>| async {
        let body = frames(vec![Ok("half"), Err(io::ErrorKind::ConnectionReset)]);
        Ok::<_, io::Error>(Response::builder().status(500).body(body).unwrap())
    });
    let api = JsonClient::new(BoxHttpService::new(service)).base("https://api.example.com").unwrap();
    let error = api.get("/x").send::<()>().await.unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::Status);
    assert_eq!((&error.body()[..], error.is_body_truncated()), (&b"half"[..], true));
}

// ===== caps =====

/// Never ends: frames of this many bytes, always ready.
struct Endless(usize);

impl Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b' '; self.0])))))
    }
}

#[tokio::test]
async fn ten_gigabytes_end_at_the_cap() {
    let error = over(|| Endless(64 * 1024)).get("/big").send::<Value>().await.unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::BodyTooLarge);
    assert_eq!(error.to_string(), "GET https://api.example.com/big: 200 OK, but its body is larger than 8388608 bytes");
    assert_eq!(outcome(&error), Outcome::Permanent);
}

#[tokio::test]
async fn a_length_that_is_known_to_be_too_much_fails_before_reading() {
    /// A body that must not be read.
    struct Unread;

    impl Body for Unread {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            panic!("nobody wants this");
        }
    }
    let service = tower::service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, io::Error>(Response::builder().header("content-length", 10_000_000_000_u64).body(Unread).unwrap())
    });
    let api = JsonClient::new(service).base("https://api.example.com").unwrap();
    assert_eq!(api.get("/x").send::<Value>().await.unwrap_err().kind(), JsonErrorKind::BodyTooLarge);
}

#[tokio::test]
async fn the_cap_is_the_last_byte_that_fits() {
    let api = always(json("[1,2]"));
    for (cap, fits) in [(0, false), (4, false), (5, true), (u64::MAX, true)] {
        assert_eq!(api.clone().max_body(cap).get("/x").send::<Value>().await.is_ok(), fits, "{cap}");
        assert_eq!(api.get("/x").max_body(cap).send::<Value>().await.is_ok(), fits, "{cap}");
        let parts = over(|| frames(vec![Ok("[1,"), Ok("2]")])).max_body(cap);
        assert_eq!(parts.get("/x").send::<Value>().await.is_ok(), fits, "{cap}");
    }
    always(answer(200, "application/json", "")).max_body(0).get("/x").send::<()>().await.unwrap();
}

#[tokio::test]
async fn a_head_declares_the_length_of_a_body_that_it_does_not_have() {
    let (api, _) =
        api(|_| Response::builder().header("content-length", 10_000_000_000_u64).body(Bytes::new()).unwrap());
    let reply = api.head("/x").send_full::<()>().await.unwrap();
    assert_eq!(reply.headers()["content-length"], "10000000000");
}

/// Not every body says that it has ended before it is asked for a frame.
#[tokio::test]
async fn nor_does_a_body_of_nothing_have_to_say_so_first() {
    for (method, status) in [("HEAD", 200), ("HEAD", 206), ("GET", 204)] {
        let service = tower::service_fn(move |_: Request<Full<Bytes>>| async move {
            let response = Response::builder().status(status).header("content-length", 10_000_000_000_u64);
            Ok::<_, std::convert::Infallible>(response.body(frames(vec![])).unwrap())
        });
        let api = JsonClient::new(service).base("https://api.example.com").unwrap();
        api.request(method.parse().unwrap(), "/x").send::<()>().await.unwrap();
    }
}

// ===== bodies that are not what was asked for =====

#[tokio::test]
async fn a_body_that_is_still_encoded_says_so() {
    for (encoding, said) in [("gzip", true), ("identity", false), ("", false)] {
        let mut response = json(&b"\x1f\x8b\x08\x00"[..]);
        response.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        let text = always(response).get("/x").send::<u8>().await.unwrap_err().to_string();
        let end = "200 OK, but its body is not UTF-8 from byte 1 on";
        let hint = if said { format!(" (it is still encoded: `{encoding}`)") } else { String::new() };
        assert_eq!(text, format!("GET https://api.example.com/x: {end}{hint}"));
    }
}

#[tokio::test]
async fn a_wrong_shape_is_named_by_its_path() {
    let body = "{\"items\":[{\"id\":1,\"price\":1},\n{\"id\":2,\"price\":\"s3cret\"}]}";
    let error = always(json(body)).get("/items").send::<Page>().await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("GET https://api.example.com/items: 200 OK, but its body is no `"), "{text}");
    assert!(text.ends_with("Page` at `items[1].price`: found string, expected f64 (line 2, column 24)"), "{text}");
    let decode = error.decode_error().unwrap();
    assert_eq!((decode.path(), decode.line(), decode.column()), ("items[1].price", 2, 24));
    assert_eq!(decode.category(), DecodeCategory::Shape);
    assert!(decode.target().ends_with("Page"));
    assert!(decode.snippet().contains("\"price\":\"s3cret\""), "{}", decode.snippet());
    assert!(decode.serde().to_string().contains("s3cret"));
    assert_eq!(error.body(), body);
    assert_eq!(outcome(&error), Outcome::Permanent);
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said() {
    for (body, category, what) in [
        (
            &br#"{"id":1,"price":1} x"#[..],
            DecodeCategory::Syntax,
            "is not JSON: trailing characters (line 1, column 20)",
        ),
        (br#"{"id":1,"price":1}{}"#, DecodeCategory::Syntax, "is not JSON: trailing characters (line 1, column 19)"),
        (b"<html>", DecodeCategory::Syntax, "is not JSON: expected value (line 1, column 1)"),
        (br#"{"id":1,}"#, DecodeCategory::Syntax, "is not JSON: trailing comma (line 1, column 9)"),
        (br#"{"id":1,"pri"#, DecodeCategory::Truncated, "is JSON that was cut off: EOF while parsing a string"),
        (
            br#"{"id":1,"price":"#,
            DecodeCategory::Truncated,
            "is JSON that was cut off at `price`: EOF while parsing a value",
        ),
        (b"{\"id\":1,\"\xff\":1}", DecodeCategory::Utf8 { offset: 9 }, "is not UTF-8 from byte 9 on"),
        (b"\xff\xfe", DecodeCategory::Utf8 { offset: 0 }, "is not UTF-8 from byte 0 on"),
        (br#"{"id":1}"#, DecodeCategory::Shape, "Item`: missing field `price` (line 1, column 8)"),
        (br#"{"id":1,"id":2}"#, DecodeCategory::Shape, "Item`: duplicate field `id`"),
        (
            br#"{"id":-1,"price":1}"#,
            DecodeCategory::Shape,
            "Item` at `id`: found integer of a wrong value, expected u64",
        ),
        (b"null", DecodeCategory::Shape, "Item`: found null, expected struct Item"),
        (b"[1]", DecodeCategory::Shape, "invalid length 1, expected struct Item with 2 elements"),
    ] {
        let shown = String::from_utf8_lossy(body).into_owned();
        let error = always(json(Bytes::from_static(body))).get("/x").send::<Item>().await.unwrap_err();
        let decode = error.decode_error().unwrap();
        assert_eq!(decode.category(), category, "{shown}");
        let text = error.to_string();
        assert!(
            text.starts_with("GET https://api.example.com/x: 200 OK, but its body is ") && text.contains(what),
            "{text}"
        );
        let expected = match category {
            DecodeCategory::Truncated => Outcome::Transient { sent: Sent::Answered, retry_after: None },
            _ => Outcome::Permanent,
        };
        assert_eq!(outcome(&error), expected, "{shown}");
    }
}

#[tokio::test]
async fn deep_nesting_is_an_error() {
    let error = always(json("[".repeat(100_000))).get("/x").send::<Value>().await.unwrap_err();
    assert!(error.to_string().contains("recursion limit exceeded"), "{error}");
}

#[tokio::test]
async fn the_message_of_a_type_does_not_quote_the_body() {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase", deny_unknown_fields)]
    enum Kind {
        One,
    }
    #[derive(Debug)]
    struct Picky;

    impl<'de> Deserialize<'de> for Picky {
        fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
            let text = String::deserialize(json)?;
            Err(serde::de::Error::custom(format!("I do not like {text}")))
        }
    }
    #[derive(Debug)]
    struct Other;

    impl<'de> Deserialize<'de> for Other {
        fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
            let text = String::deserialize(json)?;
            Err(serde::de::Error::invalid_value(serde::de::Unexpected::Other(&text), &"a date"))
        }
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    let nothing = always(json("{\"a, expected s3cret\":1}")).get("/x").send::<Nothing>().await.unwrap_err();
    let reason = format!("{:?}", nothing.decode_error().unwrap());
    assert!(reason.contains("\"unknown field, there are no fields\""), "{reason}");
    let api = always(json("\"s3cret, expected \\\"x\\\"\""));
    let other = api.get("/x").send::<Other>().await.unwrap_err();
    assert!(other.to_string().contains("found something of a wrong value, expected a date"), "{other}");
    let kind = api.get("/x").send::<Kind>().await.unwrap_err();
    assert!(kind.to_string().contains("unknown variant, expected `one`"), "{kind}");
    let picky = api.get("/x").send::<Picky>().await.unwrap_err();
    assert!(picky.to_string().contains("the type refused the value"), "{picky}");
    let number = api.get("/x").send::<u8>().await.unwrap_err();
    assert!(number.to_string().contains("found string, expected u8"), "{number}");
    for error in [kind, picky, number, other] {
        assert!(!format!("{error} {error:?} {error:#} {error:#?}").contains("s3cret"), "{error:?}");
        assert!(error.decode_error().unwrap().snippet().contains("s3cret"));
    }
}

#[tokio::test]
async fn the_body_of_a_decoding_error_is_capped_and_does_not_keep_the_rest_alive() {
    let body = Bytes::from(format!("[{}x]", "1,".repeat(100_000)));
    let error = always(json(body)).get("/x").send::<Vec<u8>>().await.unwrap_err();
    assert_eq!((error.body().len(), error.is_body_truncated()), (64 * 1024, true));
    assert!(error.decode_error().unwrap().snippet().contains("1,x]"));
    assert!(error.json::<Vec<u8>>().is_err());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_with_its_cause() {
    let api = over(|| frames(vec![Ok("[1,"), Err(io::ErrorKind::UnexpectedEof)]));
    let error = api.get("/x").send::<Vec<u8>>().await.unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::Body);
    assert_eq!(
        error.to_string(),
        "GET https://api.example.com/x: 200 OK, but its body could not be read to its end: 3 bytes came: \
         unexpected end of file"
    );
    assert_eq!(error.source().unwrap().to_string(), "unexpected end of file");
    assert_eq!(error.body(), "[1,");
    assert_eq!(outcome(&error), Outcome::Transient { sent: Sent::Answered, retry_after: None });
}

// ===== errors of the stack =====

#[tokio::test]
async fn a_failure_below_keeps_its_source() {
    let service = tower::service_fn(|_: Request<Full<Bytes>>| async {
        Err::<Response<Full<Bytes>>, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
    });
    let api = JsonClient::new(service).base("https://api.example.com").unwrap();
    let error = api.get("/x").send::<()>().await.unwrap_err();
    assert_eq!(error.kind(), JsonErrorKind::Transport);
    // The reason is there with and without the sources, and once.
    for text in [error.to_string(), format!("{error:#}")] {
        assert_eq!(text, "GET https://api.example.com/x: the call failed without a response: connection refused");
    }
    assert!(error.source().unwrap().downcast_ref::<io::Error>().is_some());
    assert_eq!(outcome(&error), Outcome::Transient { sent: Sent::NotSent, retry_after: None });
    assert!(error.status().is_none() && error.headers().is_none() && error.body().is_empty());
}

/// Whoever prints `{}` at three in the morning learns why, however deep the reason is and whatever it contains.
#[tokio::test]
async fn a_failure_says_its_deepest_reason_in_one_line() {
    #[derive(Debug)]
    struct Outer(io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("cannot connect")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let service = tower::service_fn(|_: Request<Full<Bytes>>| async {
        Err::<Response<Full<Bytes>>, _>(Outer(io::Error::other("no\nroute")))
    });
    let api = JsonClient::new(service).base("https://api.example.com").unwrap();
    let error = api.get("/x").send::<()>().await.unwrap_err();
    let start = "GET https://api.example.com/x: the call failed without a response";
    assert_eq!(error.to_string(), format!("{start}: no\\nroute"));
    assert_eq!(format!("{error:#}"), format!("{start}: cannot connect: no\\nroute"), "and nothing twice");
}

#[tokio::test]
async fn a_refusal_below_comes_through_whatever_the_error_type() {
    let refusal = || {
        Rejection::new(RejectionKind::Overloaded, "limit")
            .with_phase(Phase::Queue)
            .with_retry_after(Duration::from_secs(1))
    };
    let boxed = tower::service_fn(move |_: Request<Full<Bytes>>| async move {
        Err::<Response<Full<Bytes>>, donjon_core::BoxError>(refusal().into())
    });
    let call_error = tower::service_fn(move |_: Request<Full<Bytes>>| async move {
        Err::<Response<Full<Bytes>>, _>(CallError::from_rejection(refusal()))
    });
    let bare =
        tower::service_fn(move |_: Request<Full<Bytes>>| async move { Err::<Response<Full<Bytes>>, _>(refusal()) });
    let base = "https://api.example.com";
    for error in [
        JsonClient::new(boxed).base(base).unwrap().get("/x").send::<()>().await.unwrap_err(),
        JsonClient::new(call_error).base(base).unwrap().get("/x").send::<()>().await.unwrap_err(),
        JsonClient::new(bare).base(base).unwrap().get("/x").send::<()>().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), JsonErrorKind::Refused);
        assert_eq!(error.to_string(), "GET https://api.example.com/x: the call was refused by limit: overloaded");
        assert_eq!(error.as_rejection().unwrap().phase(), Phase::Queue);
        assert_eq!(outcome(&error), Outcome::Refused { retry_after: Some(Duration::from_secs(1)) });
    }
    let own = JsonError::from_rejection(refusal());
    assert_eq!(own.kind(), JsonErrorKind::Refused);
    assert_eq!(own.to_string(), "the call was refused by limit: overloaded");
    assert!(own.as_error().downcast_ref::<JsonError>().is_some());
}

#[tokio::test]
async fn trailers_are_not_part_of_the_body() {
    let api = over(|| {
        let trailers = http::HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
        Full::new(Bytes::from("[1]"))
            .map_err(|never| match never {})
            .with_trailers(async { Some(Ok::<_, io::Error>(trailers)) })
    });
    assert_eq!(api.get("/x").send::<Vec<u8>>().await.unwrap(), [1]);
}
