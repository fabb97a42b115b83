//! Which content types are JSON.

use http::{HeaderMap, header};

/// The content types that a client decodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct MediaTypes {
    any: bool,
    /// In lower case, without parameters.
    also: Vec<String>,
}

// ===== impl MediaTypes =====

impl MediaTypes {
    pub(crate) fn allow(&mut self, media_type: &str) {
        self.also.push(essence(media_type).to_ascii_lowercase());
    }

    pub(crate) fn allow_any(&mut self) {
        self.any = true;
    }

    /// Whether a body with these headers is to be read as JSON. One that does not say what it is, is.
    pub(crate) fn accepts(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
        if self.any {
            return true;
        }
        let Ok(value) = value.to_str() else { return false };
        let essence = essence(value);
        is_json(essence) || self.also.iter().any(|also| also.eq_ignore_ascii_case(essence))
    }
}

/// Whether these headers say that the body is a problem document (RFC 9457).
pub(crate) fn is_problem(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| essence(value).eq_ignore_ascii_case("application/problem+json"))
}

/// Type and subtype, without parameters.
fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// `application/json`, and whatever has the structured suffix `+json` (RFC 6839, section 3.1).
fn is_json(essence: &str) -> bool {
    if essence.eq_ignore_ascii_case("application/json") {
        return true;
    }
    let Some((_, subtype)) = essence.split_once('/') else { return false };
    let suffix = subtype.len().checked_sub(5).and_then(|at| subtype.get(at..));
    subtype.len() > 5 && suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn accepts(types: &MediaTypes, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        types.accepts(&headers)
    }

    #[test]
    fn json_and_its_suffix_are_json() {
        let types = MediaTypes::default();
        for value in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/problem+json",
            "application/vnd.api+JSON;v=1",
            "text/x+json",
        ] {
            assert!(accepts(&types, value), "{value}");
        }
        for value in ["text/html", "text/json", "application/+json", "json", "", "application/jsonp", "\u{e4}"] {
            assert!(!accepts(&types, value), "{value}");
        }
        assert!(types.accepts(&HeaderMap::new()), "a body that does not say what it is");
    }

    #[test]
    fn other_types_can_be_allowed() {
        let mut types = MediaTypes::default();
        types.allow("Text/JSON; charset=x");
        assert!(accepts(&types, "text/json"));
        assert!(!accepts(&types, "text/html"));
        types.allow_any();
        assert!(accepts(&types, "text/html"));
    }
}
