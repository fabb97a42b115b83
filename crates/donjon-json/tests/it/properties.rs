//! Whatever comes, nothing panics, and nothing leaves its place.

use std::convert::Infallible;

use bytes::Bytes;
use donjon_json::{Call, JsonClient, JsonErrorKind, Reply};
use futures_util::FutureExt as _;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use percent_encoding::percent_decode_str;
use proptest::{collection::vec, option, prelude::*};
use serde::Deserialize;
use serde_json::Value;

use crate::support::{api, json};

/// Any text, with more of what has a meaning in a URL.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-c/?#%{}&=+.:@ \\\\]{0,12}", Just(".".to_owned()), Just("..".to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_value_comes_back_from_its_segment(first in text(), second in text(), page in text()) {
        let (api, log) = api(|_| json("1"));
        let call = Call::<u8>::get("/a/{first}/b-{second}/c").query_pair("page", &page);
        let result = api.send(call.path("second", &second).path("first", &first)).now_or_never().expect("it is at once");
        if ["", ".", ".."].contains(&first.as_str()) {
            prop_assert_eq!(result.unwrap_err().kind(), JsonErrorKind::InvalidCall);
            return Ok(());
        }
        prop_assert_eq!(result.unwrap(), 1);
        let uri = log.one().uri().clone();
        prop_assert_eq!(uri.host(), Some("api.example.com"));
        let segments: Vec<_> = uri.path().split('/').collect();
        prop_assert_eq!(segments.len(), 5);
        let decode = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        prop_assert_eq!(decode(segments[2]), first);
        prop_assert_eq!(decode(segments[3].strip_prefix("b-").unwrap()), second);
        let query = uri.query().unwrap();
        prop_assert_eq!(query.matches(['&', '=']).count(), 1);
        prop_assert_eq!(decode(query.strip_prefix("page=").unwrap()), page);
    }

    #[test]
    fn a_query_comes_back(pairs in vec((text(), option::of(text())), 0..5)) {
        let (api, log) = api(|_| json("1"));
        api.send(Call::<u8>::get("/x?z=1").query(&pairs)).now_or_never().unwrap().unwrap();
        let uri = log.one().uri().clone();
        let decode = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let back: Vec<_> = uri.query().unwrap().split('&').skip(1).map(|pair| pair.split_once('=').unwrap()).collect();
        let back: Vec<_> = back.iter().map(|(name, value)| (decode(name), decode(value))).collect();
        let sent: Vec<_> = pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        prop_assert_eq!(back, sent);
    }

    #[test]
    fn any_template_is_sent_to_its_host_or_is_an_error(template in text(), value in text(), literal: bool) {
        let (api, log) = api(|_| json("1"));
        let template = format!("/{template}");
        let call = if literal { Call::<u8>::url(http::Method::GET, template) } else { Call::get(template).path("a", value) };
        match api.send(call).now_or_never().unwrap() {
            Ok(_) => prop_assert_eq!(log.one().uri().host().map(str::to_owned), Some("api.example.com".to_owned())),
            Err(error) => {
                prop_assert_eq!(error.kind(), JsonErrorKind::InvalidCall);
                let text = error.to_string();
                prop_assert!(text.starts_with("GET https://api.example.com/"), "{}", text);
            }
        }
    }

    #[test]
    fn any_url_and_any_header_is_sent_or_is_an_error(url in text(), name in text(), value in text()) {
        let (api, _) = api(|_| json("1"));
        let _ = JsonClient::new(api.service().clone()).base(&url);
        let call = Call::<u8>::get(format!("http://{url}")).header(name, value);
        if let Err(error) = api.send(call).now_or_never().unwrap() {
            prop_assert_eq!(error.kind(), JsonErrorKind::InvalidCall);
        }
    }

    #[test]
    fn any_answer_is_a_value_or_an_error_that_names_the_url(
        status in 200_u16..600,
        content_type in option::of(prop_oneof![Just("application/json".to_owned()), Just("application/problem+json".into()), text()]),
        location in option::of(text()),
        frames in vec(
            prop_oneof![
                vec(any::<u8>(), 0..40),
                r#"[\[\]{}",:0-9a-z\\ ]{0,20}"#.prop_map(String::into_bytes),
                Just(br#"{"id":1,"name":["x"]}"#.to_vec()),
            ],
            0..4,
        ),
        cap in 0_u64..100,
    ) {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "it is only read")]
        struct Item {
            id: u64,
            name: Option<Vec<String>>,
        }
        let service = tower::service_fn(move |_: Request<Full<Bytes>>| {
            let frames: Vec<_> = frames.iter().map(|frame| Ok::<_, Infallible>(Frame::data(Bytes::from(frame.clone())))).collect();
            let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in [("content-type", &content_type), ("location", &location)] {
                if let Some(value) = value.as_ref().and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
                    response.headers_mut().insert(name, value);
                }
            }
            async move { Ok::<_, Infallible>(response) }
        });
        let api = JsonClient::new(service).base("https://api.example.com").unwrap().max_body(cap).follow_redirects(3);
        let errors = [
            api.get("/x").send::<Item>().now_or_never().unwrap().err(),
            api.get("/x").send::<Reply<Value>>().now_or_never().unwrap().err(),
            api.get("/x").send::<Vec<()>>().now_or_never().unwrap().err(),
        ];
        for error in errors.into_iter().flatten() {
            let text = format!("{error}");
            prop_assert!(text.starts_with("GET http") && text.len() < 1000, "{}", text);
            let debug = format!("{error:?}");
            prop_assert!(debug.starts_with("JsonError"), "{}", debug);
            let _ = error.json::<Item>();
            if let Some(decode) = error.decode_error() {
                prop_assert!(decode.snippet().len() < 1000);
            }
        }
    }
}
