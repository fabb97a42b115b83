//! Path templates: what a call is sent to, and how values enter it without leaving their place.

use std::{
    borrow::Cow,
    fmt::{self, Display, Write as _},
    mem,
};

use bytes::Bytes;
use donjon_http::redact;
use http::uri::{Parts, PathAndQuery, Uri};

use crate::url::Base;

/// A path template or URL with the parameters that were given so far.
///
/// A template that needs no work is sent from where it is; one with parameters or a query is built in one buffer.
#[derive(Clone)]
pub(crate) struct Target {
    text: Cow<'static, str>,
    /// Whether braces are only characters.
    literal: bool,
    /// The percent-encoded form with what was substituted; empty as long as nothing was.
    built: Vec<u8>,
    /// Where the path starts in `built`: behind the host of an absolute URL.
    path_start: usize,
}

/// Why a target cannot be made: a phrase that completes "GET /x: …".
pub(crate) type Fault = Cow<'static, str>;

/// Writes text so that it is one value: all but the unreserved characters of RFC 3986 is percent-encoded.
pub(crate) struct Encoder<'a>(pub(crate) &'a mut Vec<u8>);

const HEX: &[u8; 16] = b"0123456789ABCDEF";

// ===== impl Target =====

impl Target {
    /// A template: `{name}` is a parameter, `{{` and `}}` are braces.
    pub(crate) fn template(text: Cow<'static, str>) -> Self {
        Self { text, literal: false, built: Vec::new(), path_start: 0 }
    }

    /// A URL or path as it is: braces are only characters.
    pub(crate) fn literal(text: Cow<'static, str>) -> Self {
        Self { literal: true, ..Self::template(text) }
    }

    /// The template as it was given.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The template or what was made of it, as it may be shown.
    pub(crate) fn redacted(&self) -> String {
        let built = String::from_utf8_lossy(&self.built);
        redact::text(if self.built.is_empty() { &self.text } else { &built }).to_string()
    }

    /// Whether it names a host of its own.
    pub(crate) fn is_absolute(&self) -> bool {
        authority_start(&self.text).is_some()
    }

    /// Puts the value in the place of every `{name}`.
    pub(crate) fn set(&mut self, name: &str, value: &dyn Display) -> Result<(), Fault> {
        self.build()?;
        let mut found = false;
        while let Some((at, end)) = find(&self.built, name) {
            if at < self.path_start {
                return Err(format!("path parameter `{name}` stands in the host, where no parameter may be").into());
            }
            found = true;
            let tail = self.built.len();
            write!(Encoder(&mut self.built), "{value}")
                .map_err(|_| format!("the value of path parameter `{name}` cannot be displayed"))?;
            let written = self.built.len() - tail;
            self.built[end..].rotate_right(written);
            self.built.drain(at..end);
            self.check_segment(at, name)?;
        }
        if found {
            return Ok(());
        }
        let (text, name) = (redact::text(&self.text), name.escape_debug());
        Err(format!("`{text}` has no path parameter `{name}`, or it was given before").into())
    }

    /// The buffer at whose end query pairs are written; the first separator is there already.
    pub(crate) fn query(&mut self) -> Result<QueryWriter<'_>, Fault> {
        self.build()?;
        let started = self.built[self.path_start..].contains(&b'?');
        Ok(QueryWriter { out: &mut self.built, started })
    }

    /// The URL: under `base`, unless it is absolute.
    pub(crate) fn resolve(&mut self, base: Option<&Base>) -> Result<Uri, Fault> {
        if !self.is_absolute() {
            let Some(base) = base else {
                return Err("the URL is relative, and the client has no base URL".into());
            };
            if let Some(uri) = self.resolve_static(base) {
                return Ok(uri);
            }
        }
        self.build()?;
        self.check_complete()?;
        match base {
            Some(base) if !self.is_absolute() => {
                // `/v1` and `?a=b` make `/v1?a=b`; without a path of the base it is `/?a=b`.
                let rooted = self.built.first() == Some(&b'/') || !base.path.is_empty();
                let slash = if rooted { "" } else { "/" };
                self.built.splice(0..0, base.path.bytes().chain(slash.bytes()));
                base.join(PathAndQuery::from_maybe_shared(Bytes::from(mem::take(&mut self.built))))
            }
            _ => {
                let uri = Uri::from_maybe_shared(Bytes::from(mem::take(&mut self.built)))
                    .map_err(|error| error.to_string())?;
                let mut parts: Parts = uri.into_parts();
                if parts.path_and_query.is_none() {
                    parts.path_and_query = Some(PathAndQuery::from_static("/"));
                }
                Uri::from_parts(parts).map_err(|error| error.to_string().into())
            }
        }
    }

    /// A static template without parameters under a base without a path: nothing is copied.
    fn resolve_static(&self, base: &Base) -> Option<Uri> {
        let Cow::Borrowed(text) = self.text else { return None };
        let plain = self.built.is_empty()
            && base.path.is_empty()
            && text.starts_with('/')
            && text.bytes().all(|byte| is_literal(byte) && byte != b'%');
        if !plain {
            return None;
        }
        base.join(PathAndQuery::from_maybe_shared(Bytes::from_static(text.as_bytes()))).ok()
    }

    /// Copies the template into the buffer, percent-encoding what may not stand in a URL, without its fragment.
    fn build(&mut self) -> Result<(), Fault> {
        if !self.built.is_empty() {
            return Ok(());
        }
        // Room for a few values, so that most calls allocate once.
        let mut out = Vec::with_capacity(self.text.len() + 48);
        let mut rest = self.text.as_bytes();
        while let [byte, tail @ ..] = rest {
            match (*byte, tail) {
                (b'#', _) => break,
                (b'{', [b'{', after @ ..]) | (b'}', [b'}', after @ ..]) if !self.literal => {
                    percent(&mut out, *byte);
                    rest = after;
                    continue;
                }
                (b'{', _) if !self.literal => {
                    let end = tail.iter().position(|byte| matches!(byte, b'{' | b'}' | b'/' | b'?' | b'#'));
                    match end.filter(|&end| tail[end] == b'}') {
                        Some(0) => return Err("the path template has a parameter without a name".into()),
                        Some(end) => {
                            out.push(b'{');
                            out.extend_from_slice(&tail[..=end]);
                            rest = &tail[end + 1..];
                            continue;
                        }
                        None => return Err("the path template has a `{` without its `}`".into()),
                    }
                }
                (b'}', _) if !self.literal => return Err("the path template has a `}` without its `{`".into()),
                (b'%', [a, b, ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => out.push(b'%'),
                (b'%', _) => percent(&mut out, b'%'),
                // IPv6 hosts are written in brackets.
                (b'[' | b']', _) => out.push(*byte),
                (byte, _) if is_literal(byte) => out.push(byte),
                (byte, _) => percent(&mut out, byte),
            }
            rest = tail;
        }
        self.path_start = match std::str::from_utf8(&out).ok().and_then(authority_start) {
            Some(start) => {
                let len = out[start..].iter().position(|byte| matches!(byte, b'/' | b'?'));
                len.map_or(out.len(), |len| start + len)
            }
            None => 0,
        };
        if self.path_start == 0 && !matches!(out.first(), None | Some(b'/' | b'?')) {
            out.insert(0, b'/');
        }
        self.built = out;
        Ok(())
    }

    /// A segment into which a value was put must still be one segment, and name something.
    fn check_segment(&self, at: usize, name: &str) -> Result<(), Fault> {
        let path_end = self.built[self.path_start..].iter().position(|&byte| byte == b'?');
        let path_end = path_end.map_or(self.built.len(), |len| self.path_start + len);
        if at > path_end {
            return Ok(());
        }
        let path = &self.built[..path_end];
        let start = path[..at].iter().rposition(|&byte| byte == b'/').map_or(at, |slash| slash + 1);
        let end = path[at..].iter().position(|&byte| byte == b'/').map_or(path.len(), |len| at + len);
        let segment = &path[start..end];
        if segment.is_empty() {
            return Err(format!("path parameter `{name}` is empty, which would name another resource").into());
        }
        if is_dots(segment) {
            return Err(format!("path parameter `{name}` makes a segment of dots, which would leave its place").into());
        }
        Ok(())
    }

    fn check_complete(&self) -> Result<(), Fault> {
        // Values and literal braces are percent-encoded, so that only a parameter starts like this.
        let Some(at) = self.built.iter().position(|&byte| byte == b'{') else { return Ok(()) };
        let name = self.built[at + 1..].split(|&byte| byte == b'}').next().unwrap_or_default();
        Err(format!("path parameter `{}` is missing", String::from_utf8_lossy(name)).into())
    }
}

// ===== impl QueryWriter =====

/// Appends pairs to a query.
pub(crate) struct QueryWriter<'a> {
    out: &'a mut Vec<u8>,
    started: bool,
}

impl QueryWriter<'_> {
    /// Appends `name=value`.
    pub(crate) fn pair(&mut self, name: &dyn Display, value: &dyn Display) -> fmt::Result {
        match self.out.last() {
            _ if !self.started => self.out.push(b'?'),
            Some(b'?' | b'&') => {}
            _ => self.out.push(b'&'),
        }
        self.started = true;
        write!(Encoder(self.out), "{name}")?;
        self.out.push(b'=');
        write!(Encoder(self.out), "{value}")
    }
}

// ===== impl Encoder =====

impl fmt::Write for Encoder<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                self.0.push(byte);
            } else {
                percent(self.0, byte);
            }
        }
        Ok(())
    }
}

fn percent(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

/// What may stand in a path or a query as it is (RFC 3986, `pchar`, `/`, `?`), and the `%` of an escape.
fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte)
}

/// Where the authority starts in an absolute `http` or `https` URL (or one of any other scheme, to be refused).
fn authority_start(text: &str) -> Option<usize> {
    // Most are a path, and need no search.
    if !text.as_bytes().first()?.is_ascii_alphabetic() {
        return None;
    }
    let at = text.find("://")?;
    let is_scheme = text[..at].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some(at + 3)
}

/// Where `{name}` starts and ends.
fn find(built: &[u8], name: &str) -> Option<(usize, usize)> {
    let len = name.len();
    let at = built
        .windows(len + 2)
        .position(|window| window[0] == b'{' && window[len + 1] == b'}' && &window[1..=len] == name.as_bytes())?;
    Some((at, at + len + 2))
}

/// Whether a segment is `.` or `..`, encoded or not.
fn is_dots(mut segment: &[u8]) -> bool {
    let mut dots = 0;
    loop {
        segment = match segment {
            [] => return dots == 1 || dots == 2,
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return false,
        };
        dots += 1;
    }
}
