//! `X-Forwarded-For` and `Forwarded`, read from the right, where the trusted proxies have written.
//!
//! The left part comes from strangers. Nothing in it (an open quote, a torn list) may change how the right part reads,
//! so the lists are taken apart from their ends.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, header::FORWARDED};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The `nth` address of `X-Forwarded-For`, counted from the right and from 1.
pub(super) fn x_forwarded_for(headers: &HeaderMap, nth: usize) -> Option<IpAddr> {
    let mut entries = lines_from_the_right(headers, X_FORWARDED_FOR).flat_map(|line| line.rsplit(|&byte| byte == b','));
    address(entries.nth(nth.checked_sub(1)?)?)
}

/// The `for` of the `nth` element of `Forwarded`, counted from the right and from 1.
pub(super) fn forwarded(headers: &HeaderMap, nth: usize) -> Option<IpAddr> {
    let mut elements = lines_from_the_right(headers, FORWARDED).flat_map(|line| FromTheRight::new(line, b','));
    let element = elements.nth(nth.checked_sub(1)?)?;
    // From the right, so that the last `for` would win; a proxy writes one.
    FromTheRight::new(element, b';').find_map(|pair| {
        let at = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
        name.eq_ignore_ascii_case(b"for").then(|| address(unquoted(value))).flatten()
    })
}

fn lines_from_the_right(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers.get_all(name).iter().rev().map(|value| value.as_bytes())
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text.trim_ascii()).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Some(bare) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return bare.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    text.parse::<SocketAddr>().ok().map(|address| address.ip())
}

/// Splits at a separator that is not inside of quotes, from the right. A quote that is escaped (an odd number of
/// backslashes before it) neither opens nor closes.
struct FromTheRight<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> FromTheRight<'a> {
    const fn new(line: &'a [u8], separator: u8) -> Self {
        Self { rest: Some(line), separator }
    }
}

impl<'a> Iterator for FromTheRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.rest.take()?;
        let mut quoted = false;
        for (at, &byte) in line.iter().enumerate().rev() {
            if byte == b'"' {
                let escapes = line[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
                // An even number of backslashes escape each other.
                quoted ^= escapes % 2 == 0;
            } else if byte == self.separator && !quoted {
                self.rest = Some(&line[..at]);
                return Some(&line[at + 1..]);
            }
        }
        Some(line)
    }
}
