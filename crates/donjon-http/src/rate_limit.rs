//! The fields `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): how a limit stands for a caller.
//!
//! Where a response has `Retry-After` too, that one wins: it says when to come back, these say what will be there.

use donjon_core::Quota;
use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{Integer, KeyRef, ListSerializer, StringRef};

/// The name of the field that says what is left: `ratelimit`.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The name of the field that says what there is each window: `ratelimit-policy`.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Adds both fields for this quota. Those of other quotas stay: they are lists, over several lines too.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_core::Quota;
/// use donjon_http::rate_limit;
///
/// let mut headers = http::HeaderMap::new();
/// let quota = Quota::new("default", 100, Duration::from_secs(60)).left(50, Duration::from_secs(30));
/// rate_limit::append(&mut headers, &quota);
/// assert_eq!(headers["ratelimit-policy"], r#""default";q=100;w=60"#);
/// assert_eq!(headers["ratelimit"], r#""default";r=50;t=30"#);
/// ```
pub fn append(headers: &mut HeaderMap, quota: &Quota) {
    headers.append(RATE_LIMIT_POLICY, format_policy([quota]));
    headers.append(RATE_LIMIT, format([quota]));
}

/// The value of `RateLimit-Policy` for these quotas. A window that takes no time is left out.
#[must_use]
pub fn format_policy<'a>(quotas: impl IntoIterator<Item = &'a Quota>) -> HeaderValue {
    list(quotas, |quota| [(Q, Some(quota.limit())), (W, Some(quota.window_secs()).filter(|it| *it > 0))])
}

/// The value of `RateLimit` for these quotas.
#[must_use]
pub fn format<'a>(quotas: impl IntoIterator<Item = &'a Quota>) -> HeaderValue {
    list(quotas, |quota| [(R, Some(quota.remaining())), (T, Some(quota.reset_secs()))])
}

const Q: &KeyRef = KeyRef::constant("q");
const W: &KeyRef = KeyRef::constant("w");
const R: &KeyRef = KeyRef::constant("r");
const T: &KeyRef = KeyRef::constant("t");

fn list<'a>(
    quotas: impl IntoIterator<Item = &'a Quota>,
    parameters: impl Fn(&Quota) -> [(&'static KeyRef, Option<u32>); 2],
) -> HeaderValue {
    let mut list = ListSerializer::new();
    for quota in quotas {
        let name = printable(quota.policy());
        let name = StringRef::from_str(&name).expect("all of it is printable");
        let mut item = list.bare_item(name);
        for (key, value) in parameters(quota) {
            if let Some(value) = value {
                item = item.parameter(key, Integer::from(value));
            }
        }
        let _ = item.finish();
    }
    let text = list.finish().unwrap_or_default();
    HeaderValue::try_from(text).expect("a structured field is printable ASCII")
}

/// What a string of a structured field may have (RFC 9651, section 3.3.3).
fn printable(name: &str) -> std::borrow::Cow<'_, str> {
    let allowed = |c: char| matches!(c, ' '..='~');
    if name.chars().all(allowed) {
        name.into()
    } else {
        name.chars().filter(|c| allowed(*c)).collect::<String>().into()
    }
}
