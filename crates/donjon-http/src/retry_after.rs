//! The field `Retry-After` (RFC 9110, section 10.2.3), in both of its forms.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

/// No wait is read as longer than this, about 136 years: so that adding it to a time does not overflow.
pub const MAX: Duration = Duration::from_secs(u32::MAX as u64);

/// How long the answer with these headers asks to wait, counted from `now`.
///
/// Both forms are read: seconds, and any of the three HTTP dates, whose distance is rounded up to whole seconds, so
/// that nobody comes back too early; a date in the past is a wait of zero. A value over [`MAX`] is [`MAX`]. What is
/// neither form is as if it were not there. If the field is there several times, the longest wait holds.
///
/// # Example
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use donjon_http::retry_after;
///
/// let mut headers = http::HeaderMap::new();
/// headers.insert("retry-after", "120".parse()?);
/// assert_eq!(retry_after::parse(&headers, SystemTime::UNIX_EPOCH), Some(Duration::from_secs(120)));
///
/// headers.insert("retry-after", "Thu, 01 Jan 1970 00:00:30 GMT".parse()?);
/// let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
/// assert_eq!(retry_after::parse(&headers, now), Some(Duration::from_secs(29)));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[must_use]
pub fn parse(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    headers.get_all(RETRY_AFTER).iter().filter_map(|value| parse_value(value, now)).max()
}

/// The value of a `Retry-After` that asks for a wait of at least `wait`: whole seconds, rounded up.
#[must_use]
pub fn format(wait: Duration) -> HeaderValue {
    HeaderValue::from(whole_seconds(wait).as_secs())
}

/// The least number of whole seconds that is not less than `duration`.
pub(crate) fn whole_seconds(duration: Duration) -> Duration {
    let seconds = duration.as_secs();
    Duration::from_secs(if duration.subsec_nanos() > 0 { seconds.saturating_add(1) } else { seconds })
}

fn parse_value(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only digits, so that the one way to fail is to be too large.
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(MAX));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(whole_seconds(date.duration_since(now).unwrap_or_default()).min(MAX))
}
