//! What remains of a deadline, on the wire: `grpc-timeout` and a plain field in milliseconds.
//!
//! A deadline travels as the time that remains, since clocks differ between machines. Writing rounds down, so that it
//! never grows from hop to hop; what is too far away for the form is written as the furthest that the form can say.
//! Reading takes exactly what the form allows and refuses the rest.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use donjon_http::deadline_header;
//!
//! let mut headers = http::HeaderMap::new();
//! deadline_header::write_timeout_ms(&mut headers, Duration::from_micros(1_500_900));
//! assert_eq!(headers["x-request-timeout-ms"], "1500");
//! assert_eq!(deadline_header::read(&headers), Ok(Some(Duration::from_millis(1500))));
//!
//! headers.insert("grpc-timeout", "1S".parse()?);
//! assert_eq!(deadline_header::read(&headers), Ok(Some(Duration::from_secs(1))), "the earlier of the two");
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use std::{error::Error, fmt, io::Write, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The request field of gRPC: a number of at most 8 digits and a unit, such as `250m`.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The plain request field: whole milliseconds, such as `250`.
pub const REQUEST_TIMEOUT_MS: HeaderName = HeaderName::from_static("x-request-timeout-ms");

/// The largest number that `grpc-timeout` can say.
const MAX_GRPC: u128 = 99_999_999;

/// The units of `grpc-timeout` from the finest to the coarsest, in nanoseconds.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60 * 1_000_000_000),
    (b'H', 3_600 * 1_000_000_000),
];

/// A field that should say how long a request may take does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTimeout {
    field: HeaderName,
}

// ===== Reading =====

/// How long the sender of these headers still waits: the smallest of all that [`GRPC_TIMEOUT`] and
/// [`REQUEST_TIMEOUT_MS`] say, or `None` if neither is there. Zero says that the sender has given up.
///
/// # Errors
///
/// If one of them is there and says something else than a timeout.
pub fn read(headers: &HeaderMap) -> Result<Option<Duration>, InvalidTimeout> {
    let grpc = read_field(headers, GRPC_TIMEOUT, parse_grpc_timeout)?;
    let plain = read_field(headers, REQUEST_TIMEOUT_MS, parse_timeout_ms)?;
    Ok(match (grpc, plain) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    })
}

/// As [`read`], with what says something else than a timeout left out: for a receiver to whom a field that cannot be
/// understood is one that is not there. It does not hide the others.
#[must_use]
pub fn read_valid(headers: &HeaderMap) -> Option<Duration> {
    let grpc = headers.get_all(GRPC_TIMEOUT).iter().filter_map(|value| parse_grpc_timeout(value.as_bytes()));
    let plain = headers.get_all(REQUEST_TIMEOUT_MS).iter().filter_map(|value| parse_timeout_ms(value.as_bytes()));
    grpc.chain(plain).min()
}

/// The time that a value of `grpc-timeout` says: `1*8DIGIT` and one of `H`, `M`, `S`, `m`, `u`, `n` (hours, minutes,
/// seconds, milli-, micro- and nanoseconds), and nothing else. `None` if it is not of that form.
#[must_use]
pub fn parse_grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.len() > 8 {
        return None;
    }
    let (_, nanos) = UNITS.iter().find(|(name, _)| name == unit)?;
    let total = u128::from(number(digits)?) * nanos;
    // At most 99,999,999 hours, whose seconds fit.
    Some(Duration::new((total / 1_000_000_000) as u64, (total % 1_000_000_000) as u32))
}

/// The time that a value of [`REQUEST_TIMEOUT_MS`] says: whole milliseconds in decimal digits, and nothing else. `None`
/// if it is not of that form, or over 2^64 milliseconds.
#[must_use]
pub fn parse_timeout_ms(value: &[u8]) -> Option<Duration> {
    number(value).map(Duration::from_millis)
}

fn read_field(
    headers: &HeaderMap,
    field: HeaderName,
    parse: fn(&[u8]) -> Option<Duration>,
) -> Result<Option<Duration>, InvalidTimeout> {
    let mut least = None;
    for value in headers.get_all(&field) {
        let Some(timeout) = parse(value.as_bytes()) else { return Err(InvalidTimeout { field }) };
        least = Some(least.map_or(timeout, |least: Duration| least.min(timeout)));
    }
    Ok(least)
}

/// Decimal digits alone: `str::parse` would take a sign.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

// ===== Writing =====

/// Says in [`GRPC_TIMEOUT`] how long remains, in place of what the field said.
pub fn write_grpc_timeout(headers: &mut HeaderMap, remaining: Duration) {
    headers.insert(GRPC_TIMEOUT, format_grpc_timeout(remaining));
}

/// Says in [`REQUEST_TIMEOUT_MS`] how long remains, in place of what the field said.
pub fn write_timeout_ms(headers: &mut HeaderMap, remaining: Duration) {
    headers.insert(REQUEST_TIMEOUT_MS, format_timeout_ms(remaining));
}

/// The value of `grpc-timeout` for this remaining time: in the finest unit in which it has at most 8 digits, rounded
/// down; at most `99999999H`.
#[must_use]
pub fn format_grpc_timeout(remaining: Duration) -> HeaderValue {
    let nanos = remaining.as_nanos();
    let finest = UNITS.into_iter().map(|(name, unit)| (nanos / unit, name)).find(|&(count, _)| count <= MAX_GRPC);
    let (count, unit) = finest.unwrap_or((MAX_GRPC, b'H'));
    let mut text = [0; 9];
    let mut rest = &mut text[..];
    write!(rest, "{count}{}", char::from(unit)).expect("8 digits and a unit fit into 9 bytes");
    let unused = rest.len();
    HeaderValue::from_bytes(&text[..9 - unused]).expect("digits and a letter are a valid value")
}

/// The value of [`REQUEST_TIMEOUT_MS`] for this remaining time: whole milliseconds, rounded down.
#[must_use]
pub fn format_timeout_ms(remaining: Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX))
}

// ===== impl InvalidTimeout =====

impl InvalidTimeout {
    /// Which field it is.
    #[must_use]
    pub const fn field(&self) -> &HeaderName {
        &self.field
    }
}

impl fmt::Display for InvalidTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the field {} does not say a timeout", self.field)
    }
}

impl Error for InvalidTimeout {}
