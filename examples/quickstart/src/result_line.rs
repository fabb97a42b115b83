//! One result of `--urls`: a line of JSON.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::source::Source;

/// A result as it is written.
#[derive(Debug, Serialize)]
pub(crate) struct ResultLine<'a> {
    /// The number of its line in the input.
    pub(crate) line: u64,
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    /// Of the last answer; `null` if there was none.
    pub(crate) status: Option<u16>,
    /// The JSON of the answer, as it is; `null` if it was empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<&'a RawValue>,
    /// Instead of a body: why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<&'a str>,
    /// How often it was sent.
    pub(crate) attempts: u32,
    /// Where the answer came from.
    pub(crate) source: Source,
    /// From when it was taken from the input to its result.
    pub(crate) ms: f64,
}

/// The same JSON on one line.
///
/// A line break can only stand between two tokens, never inside of one, so a space in its place changes nothing.
pub(crate) fn on_one_line(json: Box<RawValue>) -> Box<RawValue> {
    if !json.get().contains(['\n', '\r']) {
        return json;
    }
    RawValue::from_string(json.get().replace(['\n', '\r'], " ")).unwrap_or(json)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::{ResultLine, on_one_line};
    use crate::source::Source;

    #[test]
    fn a_body_is_embedded_as_it_is_but_on_one_line() {
        let body = "{\n  \"price\": 1.10,\r\n  \"big\": 123456789012345678901234567890, \"text\": \"a\\nb\"\n}";
        let body = on_one_line(RawValue::from_string(body.to_owned()).unwrap());
        let line = ResultLine {
            line: 3,
            method: "GET",
            url: "http://a/",
            status: Some(200),
            body: Some(&body),
            error: None,
            attempts: 2,
            source: Source::Upstream,
            ms: 1.5,
        };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            concat!(
                r#"{"line":3,"method":"GET","url":"http://a/","status":200,"body":{   "price": 1.10,    "big": "#,
                r#"123456789012345678901234567890, "text": "a\nb" },"attempts":2,"source":"upstream","ms":1.5}"#
            )
        );
    }

    #[test]
    fn a_failure_has_an_error_and_no_body() {
        let line = ResultLine {
            line: 1,
            method: "GET",
            url: "http://a/",
            status: None,
            body: None,
            error: Some("connection refused"),
            attempts: 4,
            source: Source::Upstream,
            ms: 0.0,
        };
        let json: serde_json::Value = serde_json::to_value(&line).unwrap();
        assert_eq!(json["error"], "connection refused");
        assert!(json["status"].is_null());
        assert!(json.get("body").is_none());
    }
}
