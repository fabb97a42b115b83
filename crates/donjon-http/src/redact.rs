//! Addresses without their secrets, for logs and messages.

use std::fmt;

use http::Uri;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// A [`Uri`] to be shown: see [`uri`].
#[derive(Clone, Copy)]
pub struct RedactedUri<'a>(&'a Uri);

/// A text to be shown: see [`text`].
#[derive(Clone, Copy)]
pub struct RedactedText<'a>(&'a str);

/// Shows this URI without user information and without the values of its query; their places are kept.
///
/// The path is shown: a secret in a path cannot be told from a path. But where the port is no number and an `@` comes
/// later, as in `https://me:pass/word@host/`, all before that `@` is taken as a password that was not encoded; without
/// an `@` such a port is masked.
///
/// # Example
///
/// ```
/// use donjon_http::redact;
///
/// let uri = "https://me:secret@example.com/users?token=t0ps3cret&page=2&flag".parse()?;
/// assert_eq!(redact::uri(&uri).to_string(), "https://***@example.com/users?token=***&page=***&***");
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
#[must_use]
pub const fn uri(uri: &Uri) -> RedactedUri<'_> {
    RedactedUri(uri)
}

/// Shows a text that is meant as a URL and may not be one, as [`uri`] shows a URL; without its fragment, and with
/// control characters escaped, so that it stays in its line.
///
/// ```
/// use donjon_http::redact;
///
/// assert_eq!(redact::text("me:pass/word@example.com/?token=1").to_string(), "***@example.com/?token=***");
/// ```
#[must_use]
pub const fn text(text: &str) -> RedactedText<'_> {
    RedactedText(text)
}

// ===== impl RedactedUri =====

impl fmt::Display for RedactedUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.0;
        if uri.authority().is_some_and(|authority| ends_inside_password(authority.as_str())) {
            return fmt::Display::fmt(&text(&uri.to_string()), f);
        }
        if let Some(scheme) = uri.scheme_str() {
            write!(f, "{scheme}://")?;
        }
        if let Some(authority) = uri.authority() {
            write_authority(f, authority.as_str())?;
        }
        f.write_str(uri.path())?;
        uri.query().map_or(Ok(()), |query| write_query(f, query))
    }
}

impl fmt::Debug for RedactedUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// ===== impl RedactedText =====

impl fmt::Display for RedactedText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path_end = self.0.find(['?', '#']).unwrap_or(self.0.len());
        let start = self.0[..path_end].find("//").map_or(0, |at| at + 2);
        let (scheme, mut rest) = self.0.split_at(start);
        write!(f, "{}", scheme.escape_debug())?;

        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        if ends_inside_password(authority) {
            if let Some((_, behind)) = rest.rsplit_once('@') {
                write!(f, "{MASK}@")?;
                rest = behind;
            } else if let (Some((host, port)), true) = (authority.rsplit_once(':'), start > 0) {
                // The parser of URLs has left out a fragment, and with it the `@`.
                write!(f, "{}:{}", host.escape_debug(), if port.is_empty() { "" } else { MASK })?;
                rest = &rest[authority.len()..];
            }
        }
        let rest = rest.split('#').next().unwrap_or(rest);
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let (authority, path) = path.split_at(path.find('/').unwrap_or(path.len()));
        // What stands before an `@` may be a password even where this is no URL: `user:pw@host`.
        write_authority(f, authority)?;
        write!(f, "{}", path.escape_debug())?;
        query.map_or(Ok(()), |query| write_query(f, query))
    }
}

impl fmt::Debug for RedactedText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether this looks as if a slash or the like in a password had cut it off: `me:pass`, and no port.
fn ends_inside_password(authority: &str) -> bool {
    match authority.rsplit_once(':') {
        Some((host, port)) if !authority.contains('@') => {
            let is_ipv6 = host.starts_with('[') && !host.ends_with(']');
            !is_ipv6 && (port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()))
        }
        _ => false,
    }
}

fn write_authority(f: &mut fmt::Formatter<'_>, authority: &str) -> fmt::Result {
    match authority.rsplit_once('@') {
        Some((_, host)) => write!(f, "{MASK}@{}", host.escape_debug()),
        None => write!(f, "{}", authority.escape_debug()),
    }
}

fn write_query(f: &mut fmt::Formatter<'_>, query: &str) -> fmt::Result {
    f.write_str("?")?;
    for (position, pair) in query.split('&').enumerate() {
        if position > 0 {
            f.write_str("&")?;
        }
        // Without a value it may be a secret as a whole: `?t0ps3cret`.
        match pair.split_once('=') {
            Some((name, _)) => write!(f, "{}={MASK}", name.escape_debug())?,
            None if pair.is_empty() => {}
            None => f.write_str(MASK)?,
        }
    }
    Ok(())
}
