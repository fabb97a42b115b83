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
        let default_port = if uri.scheme()? == &Scheme::HTTPS { 443 } else { 80 };
        let split = Split::of(authority);
        let drops_port = split.port.is_some_and(str::is_empty) || split.port_number() == Some(default_port);
        if split.has_user {
            let simple = if drops_port { split.host } else { split.host_and_port };
            simple.parse().ok()
        } else if drops_port {
            split.host.parse().ok()
        } else {
            None
        }
    }
}

/// The parts of an authority, found in one pass: each call needs them.
pub(crate) struct Split<'a> {
    has_user: bool,
    pub(crate) host: &'a str,
    /// What stands for a port, be it one or not; `None` without a colon.
    pub(crate) port: Option<&'a str>,
    host_and_port: &'a str,
}

impl<'a> Split<'a> {
    pub(crate) fn of(authority: &'a Authority) -> Self {
        let text = authority.as_str();
        let start = text.bytes().rposition(|byte| byte == b'@').map_or(0, |at| at + 1);
        let host_and_port = &text[start..];
        // A colon inside of the brackets of an IPv6 address is before the last bracket.
        let last = host_and_port.bytes().rposition(|byte| matches!(byte, b':' | b']'));
        let (host, port) = match last {
            Some(at) if host_and_port.as_bytes()[at] == b':' => (&host_and_port[..at], Some(&host_and_port[at + 1..])),
            _ => (host_and_port, None),
        };
        Self { has_user: start > 0, host, port, host_and_port }
    }

    /// The port, if what stands for it is one.
    pub(crate) fn port_number(&self) -> Option<u16> {
        self.port.filter(|port| is_digits(port))?.parse().ok()
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // User information is a secret, and so may be what stands for a port, of a password that was not encoded.
        let split = Split::of(&self.authority);
        match split.port {
            Some(port) if !is_digits(port) => write!(f, "{}://{}:***", self.scheme, split.host),
            _ => write!(f, "{}://{}", self.scheme, split.host_and_port),
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
