//! Addresses without their secrets, for logs and messages.

use std::fmt;

use http::Uri;

/// A [`Uri`] to be shown: see [`uri`].
#[derive(Clone, Copy)]
pub struct RedactedUri<'a>(&'a Uri);

/// Shows this URI without user information and without the values of its query; their places are kept.
///
/// The path is shown: a secret in a path cannot be told from a path.
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

// ===== impl RedactedUri =====

impl fmt::Display for RedactedUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.0.scheme_str() {
            write!(f, "{scheme}://")?;
        }
        if let Some(authority) = self.0.authority() {
            match authority.as_str().rsplit_once('@') {
                Some((_, host)) => write!(f, "***@{host}")?,
                None => f.write_str(authority.as_str())?,
            }
        }
        f.write_str(self.0.path())?;
        let Some(query) = self.0.query() else { return Ok(()) };
        f.write_str("?")?;
        for (position, pair) in query.split('&').enumerate() {
            if position > 0 {
                f.write_str("&")?;
            }
            // Without a value it may be a secret as a whole: `?t0ps3cret`.
            match pair.split_once('=') {
                Some((name, _)) => write!(f, "{name}=***")?,
                None if pair.is_empty() => {}
                None => f.write_str("***")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RedactedUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
