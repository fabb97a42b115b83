//! Base URLs, user information, references and origins.

use bytes::Bytes;
use http::{
    HeaderValue, Uri,
    uri::{Authority, InvalidUri, Parts, PathAndQuery, Scheme},
};

use crate::target::Fault;

/// What every relative call of a client stands under, parsed once.
#[derive(Clone)]
pub(crate) struct Base {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end: empty, or `/v1`.
    pub(crate) path: String,
}

// ===== impl Base =====

impl Base {
    /// Parses a base URL; its user information becomes a header.
    pub(crate) fn parse(text: &str) -> Result<(Self, Option<HeaderValue>), Fault> {
        if text.is_empty() {
            return Err("it is empty".into());
        }
        if text.ends_with("://") {
            return Err("it has no host".into());
        }
        let uri = Uri::from_maybe_shared(Bytes::copy_from_slice(text.as_bytes())).map_err(|error| error.to_string())?;
        if uri.scheme().is_none() {
            return Err("it must be absolute: `https://host` or `http://host`".into());
        }
        let (uri, authorization) = take_userinfo(uri)?;
        check(&uri)?;
        if uri.query().is_some() || text.contains('#') {
            return Err("it must have no query and no fragment".into());
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        let parts = uri.into_parts();
        match (parts.scheme, parts.authority) {
            (Some(scheme), Some(authority)) => Ok((Self { scheme, authority, path }, authorization)),
            _ => Err("it must have a host".into()),
        }
    }

    /// This path and query on the host of the base.
    pub(crate) fn join(&self, path_and_query: Result<PathAndQuery, InvalidUri>) -> Result<Uri, Fault> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path_and_query.map_err(|error| error.to_string())?);
        Uri::from_parts(parts).map_err(|error| error.to_string().into())
    }

    /// The base as a URL; it has no secrets.
    pub(crate) fn to_uri(&self) -> Uri {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        self.join(PathAndQuery::try_from(path)).unwrap_or_default()
    }

    pub(crate) fn is_origin_of(&self, uri: &Uri) -> bool {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        Uri::from_parts(parts).is_ok_and(|own| same_origin(&own, uri))
    }
}

/// Whether an HTTP request can be sent there at all.
pub(crate) fn check(uri: &Uri) -> Result<(), Fault> {
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(other) => return Err(format!("the scheme must be `http` or `https`, and is `{other}`").into()),
        None => return Err("the URL has no scheme".into()),
    }
    let Some(authority) = uri.authority() else { return Err("the URL has no host".into()) };
    if authority.host().is_empty() {
        return Err("the URL has no host".into());
    }
    // The parser takes any digits.
    let rest = &authority.as_str()[authority.as_str().rfind('@').map_or(0, |at| at + 1)..];
    let port = rest.strip_prefix(authority.host()).unwrap_or_default();
    if !port.is_empty() && authority.port_u16().is_none() {
        return Err("the URL has a port that is no port number".into());
    }
    Ok(())
}

/// Takes `user:password@` out of a URL, and makes it the header that HTTP has for it.
pub(crate) fn take_userinfo(uri: Uri) -> Result<(Uri, Option<HeaderValue>), Fault> {
    let Some((userinfo, host)) = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')) else {
        return Ok((uri, None));
    };
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let (user, password) = (decode(user), decode(password));
    let authorization = basic(&user, &password);
    let authority = Authority::try_from(host).map_err(|error| error.to_string())?;
    let mut parts = uri.into_parts();
    parts.authority = Some(authority);
    let uri = Uri::from_parts(parts).map_err(|error| error.to_string())?;
    Ok((uri, Some(authorization)))
}

/// The value of `Authorization` for this user (RFC 7617).
pub(crate) fn basic(user: &[u8], password: &[u8]) -> HeaderValue {
    let mut pair = Vec::with_capacity(user.len() + password.len() + 1);
    pair.extend_from_slice(user);
    pair.push(b':');
    pair.extend_from_slice(password);
    let mut value =
        HeaderValue::try_from(format!("Basic {}", base64(&pair))).expect("base64 has only characters of a header");
    value.set_sensitive(true);
    value
}

fn decode(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            if index <= chunk.len() {
                out.push(char::from(ALPHABET[(group >> (18 - 6 * index)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

/// Whether scheme, host and port are the same, with the port that the scheme implies.
pub(crate) fn same_origin(a: &Uri, b: &Uri) -> bool {
    let port = |uri: &Uri| {
        uri.port_u16().or_else(|| match uri.scheme_str() {
            Some("http") => Some(80),
            Some("https") => Some(443),
            _ => None,
        })
    };
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    a.scheme() == b.scheme() && host(a) == host(b) && port(a) == port(b)
}

/// What a reference (the value of `Location`) means when it is found at `base` (RFC 3986, section 5.2).
pub(crate) fn resolve_reference(base: &Uri, reference: &str) -> Result<Uri, Fault> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let uri = if let Some(scheme) = scheme_of(path) {
        if !path[scheme.len()..].starts_with("://") {
            if ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
                return Err("the scheme has no `//` behind it".into());
            }
            return Err(format!("the scheme must be `http` or `https`, and is `{scheme}`").into());
        }
        Uri::try_from(reference).map_err(|error| error.to_string())?
    } else if reference.starts_with("//") {
        let scheme = base.scheme_str().unwrap_or("https");
        Uri::try_from(format!("{scheme}:{reference}")).map_err(|error| error.to_string())?
    } else {
        let (merged, query) = if path.is_empty() {
            (base.path().to_owned(), query.or_else(|| base.query()))
        } else if path.starts_with('/') {
            (remove_dots(path), query)
        } else {
            let directory = &base.path()[..base.path().rfind('/').map_or(0, |slash| slash + 1)];
            (remove_dots(&format!("{directory}{path}")), query)
        };
        let target = match query {
            Some(query) => format!("{merged}?{query}"),
            None => merged,
        };
        let mut parts = base.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|error| error.to_string())?);
        Uri::from_parts(parts).map_err(|error| error.to_string())?
    };
    // Whoever answers with user information in a URL does not choose our credentials.
    let (uri, _) = take_userinfo(uri)?;
    check(&uri)?;
    Ok(uri)
}

/// The scheme of a reference that has one.
fn scheme_of(path: &str) -> Option<&str> {
    let scheme = &path[..path.find(':')?];
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some(scheme)
}

/// RFC 3986, section 5.2.4, of a path that starts with a slash.
fn remove_dots(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    out.pop();
                }
                if is_last {
                    out.push("");
                }
            }
            segment => out.push(segment),
        }
    }
    format!("/{}", out.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    /// RFC 4648, section 10.
    #[test]
    fn base64_of_the_rfc() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    /// RFC 3986, section 5.4, where it makes an HTTP URL.
    #[test]
    fn references_of_the_rfc() {
        let base = uri("http://a/b/c/d;p?q");
        for (reference, target) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/../h", "http://a/b/c/h"),
            ("http://other/x", "http://other/x"),
        ] {
            assert_eq!(resolve_reference(&base, reference).unwrap(), uri(target), "{reference}");
        }
        for reference in ["g:h", "mailto:a@b", "ftp://a/b", "http://", "http://h:99999/", "a b"] {
            assert!(resolve_reference(&base, reference).is_err(), "{reference}");
        }
        assert_eq!(resolve_reference(&base, "http://u:p@h/").unwrap(), uri("http://h/"));
    }

    #[test]
    fn origins_know_the_ports_of_their_schemes() {
        assert!(same_origin(&uri("https://A.example/x"), &uri("https://a.example:443/y")));
        assert!(!same_origin(&uri("https://a.example/"), &uri("http://a.example/")));
        assert!(!same_origin(&uri("https://a.example/"), &uri("https://a.example:444/")));
        assert!(!same_origin(&uri("https://a.example/"), &uri("https://b.example/")));
    }

    #[test]
    fn a_base_says_what_is_wrong_with_it() {
        for (text, what) in [
            ("api.example.com", "absolute"),
            ("/v1", "absolute"),
            ("ftp://h", "scheme"),
            ("https://", "host"),
            ("https://h/?a=b", "query"),
            ("https://h/#f", "fragment"),
            ("https://h:99999", "port"),
            ("https://:80", "host"),
            ("https://h ost", "invalid"),
            ("", "empty"),
        ] {
            let fault = Base::parse(text).err().expect(text);
            assert!(fault.contains(what), "{text}: {fault}");
        }
        let (base, authorization) = Base::parse("https://me:p%40w@h:8443/v1/").unwrap();
        assert_eq!(base.to_uri(), uri("https://h:8443/v1"));
        let authorization = authorization.unwrap();
        assert_eq!(authorization, "Basic bWU6cEB3");
        assert!(authorization.is_sensitive());
    }
}
