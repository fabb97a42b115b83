//! One line of `--urls`: what to call.

use std::fmt;

use http::{Method, Uri};
use serde_json::value::RawValue;

/// A call that a line asks for.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) method: Method,
    /// As it stands in the line.
    pub(crate) url: String,
    /// The JSON to send, as it stands in the line.
    pub(crate) body: Option<Box<RawValue>>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadLine(String);

// ===== impl Job =====

impl Job {
    /// `URL`, or `METHOD URL`, or `METHOD URL JSON`; `None` for a blank line.
    pub(crate) fn parse(line: &str) -> Result<Option<Self>, BadLine> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(None);
        }
        let (first, rest) = word(line);
        if rest.is_empty() {
            return Ok(Some(Self { method: Method::GET, url: checked_url(first)?, body: None }));
        }
        let method = checked_method(first)?;
        let (url, json) = word(rest);
        let url = checked_url(url)?;
        let body = match json {
            "" => None,
            json => Some(RawValue::from_string(json.to_owned()).map_err(|e| BadLine(format!("not JSON: {e}")))?),
        };
        Ok(Some(Self { method, url, body }))
    }
}

/// The first word, and what comes after it.
fn word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

fn checked_method(word: &str) -> Result<Method, BadLine> {
    if word.contains("://") {
        return Err(BadLine("there is something after the URL; a line is URL or METHOD URL JSON".to_owned()));
    }
    // A tunnel is no JSON call, and lower case is another method than upper case.
    if word == "CONNECT" || word.chars().any(|c| c.is_ascii_lowercase()) {
        return Err(BadLine(format!("`{}` is not a method that can be called", shortened(word))));
    }
    Method::from_bytes(word.as_bytes()).map_err(|_| BadLine(format!("`{}` is not a method", shortened(word))))
}

fn checked_url(word: &str) -> Result<String, BadLine> {
    let bad = |what: &str| BadLine(format!("`{}` {what}", shortened(word)));
    let url: Uri = word.parse().map_err(|e| bad(&format!("is not a URL: {e}")))?;
    match url.scheme_str() {
        Some("http" | "https") => {}
        Some(_) => return Err(bad("is not a URL of http or https")),
        None => return Err(bad("is not a URL: it has no scheme (http:// or https://)")),
    }
    let authority = url.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        // Not repeated: it may be a password.
        return Err(BadLine("a URL with a user name or a password in it".to_owned()));
    }
    if url.host().is_none_or(str::is_empty) {
        return Err(bad("is not a URL: it has no host"));
    }
    let after_host = authority.strip_prefix(url.host().unwrap_or_default()).unwrap_or_default();
    if !after_host.is_empty() && url.port_u16().is_none() {
        return Err(bad("is not a URL: its port is not a number up to 65535"));
    }
    Ok(word.to_owned())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

// ===== impl BadLine =====

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Job;

    fn job(line: &str) -> Job {
        Job::parse(line).unwrap().unwrap()
    }

    fn wrong(line: &str) -> String {
        Job::parse(line).unwrap_err().to_string()
    }

    #[test]
    fn a_url_alone_is_a_get() {
        let job = job("  http://localhost:8080/a?b=c ");
        assert_eq!((job.method.as_str(), job.url.as_str()), ("GET", "http://localhost:8080/a?b=c"));
        assert!(job.body.is_none());
    }

    #[test]
    fn a_method_a_url_and_json_with_spaces() {
        let job = job("POST\thttps://[::1]/a  {\"a\": [1, 2.50] }");
        assert_eq!((job.method.as_str(), job.url.as_str()), ("POST", "https://[::1]/a"));
        assert_eq!(job.body.unwrap().get(), "{\"a\": [1, 2.50] }", "as it stands");
        assert!(self::job("DELETE http://a/1").body.is_none());
    }

    #[test]
    fn a_blank_line_is_nothing() {
        assert!(Job::parse(" \t").unwrap().is_none());
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(wrong("nonsense").contains("no scheme"));
        assert!(wrong("/path").contains("no scheme"));
        assert!(wrong("ftp://host/").contains("http or https"));
        assert!(wrong("http://").contains("not a URL"));
        assert!(wrong("http://:80/").contains("not a URL"));
        assert!(wrong("http://host:99999/").contains("not a URL"));
        assert!(wrong("http://host:x/").contains("not a URL"));
        assert!(wrong("http://ho st/").contains("after the URL"));
        assert!(wrong("GET http://ho\u{7f}st/").contains("not a URL"));
        assert!(wrong("get http://host/").contains("method"));
        assert!(wrong("G@T http://host/").contains("method"));
        assert!(wrong("CONNECT http://host/").contains("method"));
        assert!(wrong("POST http://host/ {\"a\":").contains("not JSON"));
        assert!(wrong("POST http://host/ {} {}").contains("not JSON"));
        assert!(wrong(&format!("http://{}", "x".repeat(70_000))).len() < 300);
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        assert!(!wrong("http://me:secret@host/").contains("secret"));
    }
}
