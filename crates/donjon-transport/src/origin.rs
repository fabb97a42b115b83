use std::fmt;

use http::{
    Uri,
    uri::{Authority, Scheme},
};

/// Scheme, host and port: what connections are pooled and bounded by, and what errors name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
}

// ===== impl Origin =====

impl Origin {
    /// The origin of an absolute URI.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        Some(Self { scheme: uri.scheme()?.clone(), authority: uri.authority()?.clone() })
    }

    /// The same authority as the pool and the `Host` header want it: without user information, without the default port
    /// of the scheme. `None` if it is that way already.
    pub(crate) fn simplified(uri: &Uri) -> Option<Authority> {
        let authority = uri.authority()?;
        let default_port = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return None,
        };
        let text = authority.as_str();
        let mut simple = text.rsplit_once('@').map_or(text, |(_, host)| host);
        if authority.port_u16() == Some(default_port) || Self::port_text(authority) == Some("") {
            simple = simple.rsplit_once(':').map_or(simple, |(host, _)| host);
        }
        if simple.len() == text.len() { None } else { simple.parse().ok() }
    }
}

impl Origin {
    /// What stands for a port, be it one or not; `None` without a colon.
    pub(crate) fn port_text(authority: &Authority) -> Option<&str> {
        let text = authority.as_str();
        let host_and_port = text.rsplit_once('@').map_or(text, |(_, host)| host);
        host_and_port.strip_prefix(authority.host())?.strip_prefix(':')
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.authority.as_str();
        // User information is a secret.
        match Self::port_text(&self.authority) {
            // And so may be what stands for a port, of a password that was not encoded.
            Some(port) if !port.bytes().all(|byte| byte.is_ascii_digit()) => {
                write!(f, "{}://{}:***", self.scheme, self.authority.host())
            }
            _ => write!(f, "{}://{}", self.scheme, text.rsplit_once('@').map_or(text, |(_, host)| host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simplified(uri: &str) -> Option<String> {
        Origin::simplified(&uri.parse().unwrap()).map(|authority| authority.to_string())
    }

    #[test]
    fn user_information_and_default_ports_are_taken_off() {
        assert_eq!(simplified("http://example.com/a"), None);
        assert_eq!(simplified("http://example.com:8080/a"), None);
        assert_eq!(simplified("https://example.com:80/a"), None);
        assert_eq!(simplified("http://example.com:80/a").as_deref(), Some("example.com"));
        assert_eq!(simplified("http://example.com:/a").as_deref(), Some("example.com"));
        assert_eq!(simplified("https://[::1]:443/a").as_deref(), Some("[::1]"));
        assert_eq!(simplified("https://me:secret@example.com/a").as_deref(), Some("example.com"));
        assert_eq!(simplified("https://me:secret@example.com:443/a").as_deref(), Some("example.com"));
    }

    #[test]
    fn an_origin_does_not_show_user_information() {
        let origin = Origin::of(&"https://me:secret@example.com:444/a?b=c".parse().unwrap()).unwrap();
        assert_eq!(origin.to_string(), "https://example.com:444");
    }
}
