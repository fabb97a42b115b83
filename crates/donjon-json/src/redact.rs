//! What may be shown: secrets stay out of `Debug` and `Display`.

use std::fmt;

use donjon_http::redact;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

/// What stands in the place of a secret.
const MASK: &str = "***";

/// Parts of header names that say that the value is a secret.
const SECRET_NAMES: [&str; 12] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "api-key",
    "apikey",
    "api_key",
    "password",
    "passwd",
    "credential",
    "session",
    "signature",
];

/// A URL as it may be shown: the user information and the values of the query are masked.
///
/// # Example
///
/// ```
/// use donjon_json::RedactedUrl;
///
/// let uri: http::Uri = "https://me:pw@api.example.com/users/42?token=abc&page=2".parse().unwrap();
/// let url = RedactedUrl::new(&uri);
/// assert_eq!(url.to_string(), "https://***@api.example.com/users/42?token=***&page=***");
/// assert_eq!(url.expose(), &uri);
/// ```
#[derive(Clone, Copy)]
pub struct RedactedUrl<'a>(&'a Uri);

/// Headers as they may be shown.
pub(crate) struct RedactedHeaders<'a>(pub(crate) &'a HeaderMap);

/// The value of a `Link` header (RFC 8288) as it may be shown: `<url>; rel=next, <url>`.
struct Links<'a>(&'a str);

/// A text of the peer as it may stand in a line: escaped, and at most 200 characters of it.
pub(crate) struct Short<'a>(pub(crate) &'a str);

// ===== impl Short =====

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(200).map_or(self.0.len(), |(at, _)| at);
        write!(f, "{}", self.0[..end].escape_debug())?;
        if end < self.0.len() { f.write_str("…") } else { Ok(()) }
    }
}

// ===== impl RedactedUrl =====

impl<'a> RedactedUrl<'a> {
    /// This URL, as it may be shown.
    #[must_use]
    pub const fn new(uri: &'a Uri) -> Self {
        Self(uri)
    }

    /// The whole URL, with its secrets.
    #[must_use]
    pub const fn expose(&self) -> &'a Uri {
        self.0
    }
}

impl fmt::Display for RedactedUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&redact::uri(self.0), f)
    }
}

impl fmt::Debug for RedactedUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// ===== impl RedactedHeaders =====

impl fmt::Debug for RedactedHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.0 {
            if is_secret(name, value) {
                map.entry(name, &format_args!("{MASK}"));
            } else if *name == header::LINK {
                map.entry(name, &Links(&String::from_utf8_lossy(value.as_bytes())));
            } else if is_url(name) {
                let text = String::from_utf8_lossy(value.as_bytes());
                map.entry(name, &redact::text(&text));
            } else {
                map.entry(name, value);
            }
        }
        map.finish()
    }
}

impl fmt::Debug for Links<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pieces = self.0.split('<');
        write!(f, "{}", pieces.next().unwrap_or_default().escape_debug())?;
        for piece in pieces {
            let (url, rest) = piece.split_at(piece.find('>').unwrap_or(piece.len()));
            write!(f, "<{}{}", redact::text(url), rest.escape_debug())?;
        }
        Ok(())
    }
}

/// Whether the value of this header must not be shown, nor be sent to another origin.
pub(crate) fn is_secret(name: &HeaderName, value: &HeaderValue) -> bool {
    value.is_sensitive() || is_secret_name(name)
}

/// Whether a header of this name is a secret whatever its value.
pub(crate) fn is_secret_name(name: &HeaderName) -> bool {
    // The names are lower case by construction.
    SECRET_NAMES.iter().any(|part| name.as_str().contains(part)) && *name != header::WWW_AUTHENTICATE
}

fn is_url(name: &HeaderName) -> bool {
    [header::LOCATION, header::CONTENT_LOCATION, header::REFERER, header::REFRESH].contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_headers_are_known_by_name_or_by_their_mark() {
        let plain = HeaderValue::from_static("v");
        let mut marked = plain.clone();
        marked.set_sensitive(true);
        for name in ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-csrf-token"] {
            assert!(is_secret(&HeaderName::from_static(name), &plain), "{name}");
        }
        assert!(is_secret(&header::ACCEPT, &marked));
        for name in ["accept", "content-type", "retry-after", "www-authenticate", "x-request-id"] {
            assert!(!is_secret(&HeaderName::from_static(name), &plain), "{name}");
        }
    }
}
