//! Secrets are not shown.

use donjon_json::{Call, JsonClient};
use serde_json::json as value;

use crate::support::{answer, api, fixed, json};

const SECRET: &str = "s3cret";

#[track_caller]
fn shows_no_secret(text: &str) {
    assert!(!text.contains(SECRET), "{text}");
}

fn secret_call() -> Call<u8> {
    Call::post("/x/{id}")
        .path("id", 1)
        .query_pair("token", SECRET)
        .query([("key", SECRET)])
        .bearer(SECRET)
        .header("cookie", format!("session={SECRET}"))
        .header("x-api-key", SECRET)
        .header("x-auth-token", SECRET)
        .header("proxy-authorization", SECRET)
        .json(&value!({ "password": SECRET }))
}

#[test]
fn a_call_shows_none() {
    let call = secret_call();
    let text = format!("{call:?} {call:#?}");
    shows_no_secret(&text);
    assert!(text.contains("/x/1?token=***&key=***") && text.contains(r#""x-api-key": ***"#), "{text}");
    let (api, _) = api(|_| json("1"));
    shows_no_secret(&format!("{:?}", api.get("/x").bearer(SECRET).query_pair("a", SECRET)));
    shows_no_secret(&format!("{:?}", api.send(secret_call())));
    shows_no_secret(&format!("{:?}", Call::<()>::get(format!("https://me:{SECRET}@h/x?a={SECRET}"))));
}

#[test]
fn a_client_shows_none() {
    let api = JsonClient::new(fixed(json("1")))
        .base(format!("https://me:{SECRET}@h/v1"))
        .unwrap()
        .default_header("x-secret", SECRET)
        .unwrap();
    let text = format!("{api:?}");
    shows_no_secret(&text);
    assert!(text.contains("https://h/v1") && text.contains(r#""authorization": ***"#), "{text}");
}

#[tokio::test]
async fn no_error_and_no_reply_shows_any() {
    let problem = format!(r#"{{"title":"No","detail":"{SECRET}","key":"{SECRET}"}}"#);
    for response in [
        answer(401, "text/plain", SECRET),
        answer(200, "application/json", format!("{{\"a\":\"{SECRET}\"}}")),
        answer(200, "application/json", format!("\"{SECRET}\"")),
        answer(200, "application/json", SECRET),
        answer(200, "text/html", SECRET),
        answer(422, "application/problem+json", problem),
        answer(200, "application/json", "1"),
    ] {
        let (api, _) = api(move |_| {
            let mut response = response.clone();
            response.headers_mut().insert("set-cookie", format!("session={SECRET}").parse().unwrap());
            response.headers_mut().insert("location", format!("https://me:{SECRET}@h/?a={SECRET}").parse().unwrap());
            response
        });
        match api.send(secret_call()).await {
            Err(error) => {
                let text = format!("{error} {error:#} {error:?} {error:#?}");
                shows_no_secret(&text);
                assert!(text.contains("https://api.example.com/x/1?token=***&key=***"), "{text}");
                assert!(text.contains(r#""set-cookie": ***"#), "{text}");
                // They are there for whoever asks for them.
                assert!(error.url().unwrap().expose().to_string().contains(SECRET));
                assert!(error.headers().unwrap()["set-cookie"].to_str().unwrap().contains(SECRET));
            }
            Ok(one) => assert_eq!(one, 1),
        }
        if let Ok(reply) = api.send(secret_call().returning::<donjon_json::Reply<u8>>()).await {
            shows_no_secret(&format!("{reply:?} {reply:#?} {}", reply.url()));
        }
    }
}

#[tokio::test]
async fn an_error_of_a_call_that_was_never_sent_shows_none() {
    let (api, _) = api(|_| json("1"));
    for call in [
        Call::<u8>::get(format!("/x/{{id}}?key={SECRET}")),
        Call::get("/x/{id}").query_pair("key", SECRET),
        Call::get("/x").header("x-key", format!("{SECRET}\n")),
        Call::get(format!("ftp://me:{SECRET}@h/?a={SECRET}")),
        Call::get(format!("https://me:{SECRET}@h:99999/?a={SECRET}")),
        Call::get(format!("https://me:{SECRET}@h o/?a={SECRET}")),
        Call::get(format!("https://me:{SECRET}@{{host}}/")).path("host", SECRET),
        Call::get(format!("https://me:{SECRET}/word@h/")),
        Call::get(format!("https://me:{SECRET}?word@h/")),
        Call::get(format!("https://me:{SECRET}#word@h/")),
    ] {
        let error = api.send(call).await.unwrap_err();
        shows_no_secret(&format!("{error} {error:?}"));
    }
}

#[tokio::test]
async fn a_password_that_is_not_encoded_is_not_shown() {
    for url in
        [format!("https://me:{SECRET}/word@h/"), format!("https://me:pass/{SECRET}@h/"), format!("me:{SECRET}/w@h")]
    {
        let error = JsonClient::new(fixed(json("1"))).base(&url).unwrap_err();
        shows_no_secret(&format!("{error} {error:?}"));
        let (api, _) = api(move |_| {
            let mut response = answer(302, "text/plain", "");
            response.headers_mut().insert("location", url.parse().unwrap());
            response
        });
        for limit in [0, 1] {
            let error = api.get("/x").follow_redirects(limit).send::<u8>().await.unwrap_err();
            shows_no_secret(&format!("{error} {error:?}"));
        }
    }
}

#[tokio::test]
async fn an_error_stays_in_its_line() {
    let (api, _) = api(|_| json("1"));
    for call in [
        Call::<u8>::get("/x\n2026 all is well").header("bad name", "x"),
        Call::get("/x\n2026 all is well").path("a\nb", 1),
        Call::get("/x\u{1b}[2J{id}"),
    ] {
        let text = api.send(call).await.unwrap_err().to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

#[tokio::test]
async fn each_address_of_a_link_header_is_masked() {
    let link = format!("<https://a/?p=1>; rel=next, <https://me:{SECRET}@b/?t={SECRET}&u={SECRET}>; rel=\"last\"");
    let (api, _) = api(move |_| {
        let mut response = answer(404, "text/plain", "");
        response.headers_mut().insert("link", link.parse().unwrap());
        response.headers_mut().insert("refresh", format!("1; url=https://a/?t={SECRET}").parse().unwrap());
        response
    });
    let text = format!("{:?}", api.get("/x").send::<u8>().await.unwrap_err());
    shows_no_secret(&text);
    assert!(text.contains("<https://a/?p=***>; rel=next, <https://***@b/?t=***&u=***>; rel="), "{text}");
}
