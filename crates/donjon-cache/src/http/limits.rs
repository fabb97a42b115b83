//! What an answer says of its own lifetime (RFC 9111, sections 4.2.1 and 5): it only ever shortens that of the layer.

use std::time::Duration;

use donjon_core::{Clock, SystemClock};
use http::{
    HeaderMap,
    header::{AGE, CACHE_CONTROL, DATE, EXPIRES},
};

use crate::Limits;

/// How long it may be kept as it came, by what it says: `s-maxage`, else `max-age`, else `Expires`, less its age. What
/// cannot be read counts as zero.
pub(super) fn limits(headers: &HeaderMap) -> Limits {
    let mut shared = None;
    let mut own = None;
    let mut never_stale = false;
    for (name, value) in directives(headers) {
        match &*name.to_ascii_lowercase() {
            "s-maxage" => shared = Some(seconds(value).min(shared.unwrap_or(Duration::MAX))),
            "max-age" => own = Some(seconds(value).min(own.unwrap_or(Duration::MAX))),
            "must-revalidate" | "proxy-revalidate" => never_stale = true,
            _ => {}
        }
    }
    // `s-maxage` says that a shared cache is not to serve it stale, either.
    never_stale |= shared.is_some();
    let limits = match shared.or(own).or_else(|| expires(headers)) {
        Some(fresh) => Limits::none().fresh_for(fresh.saturating_sub(age(headers))),
        None => Limits::none(),
    };
    if never_stale { limits.never_stale() } else { limits }
}

/// How old it says that it is: zero unless said.
pub(super) fn age(headers: &HeaderMap) -> Duration {
    seconds(headers.get(AGE).and_then(|value| value.to_str().ok()).map(str::trim))
}

/// The directives of `Cache-Control`, with their values.
fn directives(headers: &HeaderMap) -> impl Iterator<Item = (&str, Option<&str>)> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    // A semicolon does not belong there, and is taken for the comma that was meant.
    values.flat_map(|value| value.split([',', ';'])).map(|part| match part.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
        None => (part.trim(), None),
    })
}

fn seconds(value: Option<&str>) -> Duration {
    let value = value.filter(|value| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()));
    // More digits than a number has are a number that is larger.
    value.map_or(Duration::ZERO, |value| Duration::from_secs(value.parse().unwrap_or(u64::MAX)))
}

fn expires(headers: &HeaderMap) -> Option<Duration> {
    let expires = headers.get(EXPIRES)?;
    let parse = |value: &http::HeaderValue| httpdate::parse_http_date(value.to_str().ok()?).ok();
    let Some(expires) = parse(expires) else { return Some(Duration::ZERO) };
    let date = headers.get(DATE).and_then(parse).unwrap_or_else(|| SystemClock.now());
    Some(expires.duration_since(date).unwrap_or_default())
}
