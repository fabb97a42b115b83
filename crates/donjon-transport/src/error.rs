use std::{error::Error, fmt, io, time::Duration};

use donjon_core::{Reject, Rejection, RejectionKind, error_chain};

use crate::origin::Origin;

/// A call did not bring a whole response.
///
/// [`source`](Error::source) holds hyper-util's or hyper's own error where there is one, so that a classifier can read
/// from it what was not sent. The message names the origin (scheme, host and port), never the path, the query or user
/// information.
pub struct TransportError {
    kind: TransportErrorKind,
    /// Boxed, so that a result that may hold the error is not large.
    origin: Option<Box<Origin>>,
    cause: Cause,
}

/// What happened, by the phase in which it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The URL is not absolute, has no host, or has a scheme that this transport does not speak. Nothing was sent; the
    /// same request will fail again.
    InvalidUrl,
    /// The request contradicts itself: its `Content-Length` is not that of its body. Nothing was sent; the same request
    /// will fail again.
    InvalidRequest,
    /// It waited in vain for its turn to open a connection, or no connection is allowed; see
    /// [`as_rejection`](Reject::as_rejection). Nothing was sent.
    Rejected,
    /// A connection could not be opened: the name did not resolve, the port refused, the TLS handshake failed. Nothing
    /// was sent.
    Connect,
    /// A connection could not be opened in time. Nothing was sent.
    ConnectTimeout,
    /// The connection closed before the request was written. Nothing was sent.
    NotWritten,
    /// The connection closed or failed before the whole response head had come. The peer may have acted. A client that
    /// follows redirects says so too of a method that is not idempotent when it could not connect, since the connection may
    /// have been to where a redirect led.
    Exchange,
    /// The response body broke off. The peer has answered.
    Body,
    /// The redirects that were followed lead nowhere, or too far. The peer has answered; the same request will fail
    /// again. Of clients that follow redirects; a [`Transport`](crate::Transport) does not.
    Redirect,
}

enum Cause {
    /// What is wrong with the request, and the same as classifiers know it.
    Invalid(&'static str, io::Error),
    /// Boxed: it is the rare one, and the largest.
    Rejected(Box<Rejection>),
    Client(hyper_util::client::legacy::Error),
    Body(hyper::Error),
    #[cfg(feature = "reqwest")]
    Reqwest(::reqwest::Error),
    /// In the wrapper by which classifiers know what it means.
    #[cfg(feature = "reqwest")]
    Wrapped(io::Error),
}

/// No connection was there in time. Inside of hyper-util's error.
#[derive(Debug)]
pub(crate) struct ConnectTimeout(pub(crate) Duration);

/// The caller was served by another connection while this one waited for its place; nobody sees it.
#[derive(Debug)]
pub(crate) struct Abandoned;

// ===== impl TransportError =====

impl TransportError {
    /// Of the kind `InvalidUrl` or `InvalidRequest`.
    pub(crate) fn invalid(kind: TransportErrorKind, origin: Option<Origin>, message: &'static str) -> Self {
        Self { kind, origin: origin.map(Box::new), cause: Cause::Invalid(message, io::ErrorKind::InvalidInput.into()) }
    }

    pub(crate) fn client(origin: Option<Origin>, error: hyper_util::client::legacy::Error) -> Self {
        let kind = if error.is_connect() {
            if find::<Rejection>(&error).is_some() {
                TransportErrorKind::Rejected
            } else if find::<ConnectTimeout>(&error).is_some()
                || find::<io::Error>(&error).is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
            {
                TransportErrorKind::ConnectTimeout
            } else {
                TransportErrorKind::Connect
            }
        } else if find::<hyper::Error>(&error).is_some_and(hyper::Error::is_canceled) {
            TransportErrorKind::NotWritten
        } else {
            TransportErrorKind::Exchange
        };
        Self { kind, origin: origin.map(Box::new), cause: Cause::Client(error) }
    }

    /// `error` shows no URL: the origin is enough. `redirected` says that it may be of another request than the call was
    /// made with, whose method must not be sent twice.
    #[cfg(feature = "reqwest")]
    pub(crate) fn reqwest(origin: Option<Origin>, redirected: bool, error: ::reqwest::Error) -> Self {
        let error = error.without_url();
        let kind = if error.is_builder() {
            TransportErrorKind::InvalidUrl
        } else if error.is_redirect() {
            TransportErrorKind::Redirect
        } else if error.is_connect() {
            if find::<Rejection>(&error).is_some() {
                TransportErrorKind::Rejected
            } else if error.is_timeout() {
                TransportErrorKind::ConnectTimeout
            } else {
                TransportErrorKind::Connect
            }
        } else if find::<hyper::Error>(&error).is_some_and(hyper::Error::is_canceled) {
            TransportErrorKind::NotWritten
        } else {
            TransportErrorKind::Exchange
        };
        let (kind, cause) = match kind {
            TransportErrorKind::InvalidUrl | TransportErrorKind::Redirect => {
                (kind, Cause::Wrapped(io::Error::new(io::ErrorKind::InvalidInput, error)))
            }
            // Somebody may have acted on the call by then. What the goal of a redirect has not seen must not be taken for a
            // call that was not sent, so nothing is kept of the cause but its words.
            TransportErrorKind::Connect
            | TransportErrorKind::ConnectTimeout
            | TransportErrorKind::NotWritten
            | TransportErrorKind::Rejected
                if redirected =>
            {
                let words: Vec<_> = error_chain(&error).map(ToString::to_string).collect();
                (TransportErrorKind::Exchange, Cause::Wrapped(io::Error::other(words.join(": "))))
            }
            _ => (kind, Cause::Reqwest(error)),
        };
        Self { kind, origin: origin.map(Box::new), cause }
    }

    #[cfg(feature = "reqwest")]
    pub(crate) fn reqwest_body(origin: Option<Origin>, error: ::reqwest::Error) -> Self {
        Self {
            kind: TransportErrorKind::Body,
            origin: origin.map(Box::new),
            cause: Cause::Reqwest(error.without_url()),
        }
    }

    pub(crate) fn body(origin: Option<Origin>, error: hyper::Error) -> Self {
        Self { kind: TransportErrorKind::Body, origin: origin.map(Box::new), cause: Cause::Body(error) }
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }
}

impl Reject for TransportError {
    fn from_rejection(rejection: Rejection) -> Self {
        Self { kind: TransportErrorKind::Rejected, origin: None, cause: Cause::Rejected(Box::new(rejection)) }
    }

    fn as_rejection(&self) -> Option<&Rejection> {
        find(self)
    }

    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("TransportError");
        out.field("kind", &self.kind);
        if let Some(origin) = &self.origin {
            out.field("origin", &format_args!("{origin}"));
        }
        match &self.cause {
            Cause::Invalid(message, _) => out.field("message", message),
            Cause::Rejected(rejection) => out.field("source", rejection),
            Cause::Client(error) => out.field("source", error),
            Cause::Body(error) => out.field("source", error),
            #[cfg(feature = "reqwest")]
            Cause::Reqwest(error) => out.field("source", error),
            #[cfg(feature = "reqwest")]
            Cause::Wrapped(error) => out.field("source", error),
        };
        out.finish()
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            TransportErrorKind::InvalidUrl => "cannot send to this url",
            TransportErrorKind::InvalidRequest => "cannot send this request",
            TransportErrorKind::Rejected => match find::<Rejection>(self).map(Rejection::kind) {
                Some(RejectionKind::DeadlineExceeded) => "no connection before the deadline",
                Some(RejectionKind::Overloaded) => "no connection is free",
                _ => "refused",
            },
            TransportErrorKind::Connect => "cannot connect",
            TransportErrorKind::ConnectTimeout => "cannot connect in time",
            TransportErrorKind::NotWritten => "the connection closed before the request was sent",
            TransportErrorKind::Exchange => "no response",
            TransportErrorKind::Body => "the response body broke off",
            TransportErrorKind::Redirect => "the redirects do not end",
        })?;
        if let Some(origin) = &self.origin {
            write!(f, " ({origin})")?;
        }
        match &self.cause {
            Cause::Invalid(message, _) => write!(f, ": {message}"),
            _ => Ok(()),
        }
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Invalid(_, error) => Some(error),
            Cause::Rejected(rejection) => Some(&**rejection),
            Cause::Client(error) => Some(error),
            Cause::Body(error) => Some(error),
            #[cfg(feature = "reqwest")]
            Cause::Reqwest(error) => Some(error),
            #[cfg(feature = "reqwest")]
            Cause::Wrapped(error) => Some(error),
        }
    }
}

/// The first error of this type in a chain.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    error_chain(error).find_map(|error| error.downcast_ref())
}

// ===== impl ConnectTimeout =====

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection within the connect timeout of {:?}", self.0)
    }
}

impl Error for ConnectTimeout {}

// ===== impl Abandoned =====

impl fmt::Display for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call was served by another connection")
    }
}

impl Error for Abandoned {}
