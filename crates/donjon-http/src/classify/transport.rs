//! What an error below the HTTP layers says of whether the peer can have acted.

use std::{error::Error, io};

use donjon_core::{Outcome, Rejection, Sent, error_chain};

/// The [`Outcome`] of an error, from the [chain](error_chain) of its sources.
///
/// A [`Rejection`] anywhere in the chain speaks for itself. Else the outermost error that is known decides:
///
/// | Error | Outcome |
/// |---|---|
/// | hyper-util: could not connect | transient, not sent |
/// | the same, because TLS failed (`io::ErrorKind::InvalidData`: a certificate, a peer that does not speak it) | permanent |
/// | hyper-util: the request cannot be sent at all (no absolute URI, a method or version not supported) | permanent |
/// | hyper: cancelled before it was written | transient, not sent |
/// | hyper: the caller's own request or its body is at fault | permanent |
/// | hyper: the response could not be parsed | transient, answered |
/// | h2: the peer reset the stream with `REFUSED_STREAM` (RFC 9113, section 8.7) | transient, not sent |
/// | h2: the peer's `GOAWAY` excludes the stream (section 6.8) | transient, not sent |
/// | `io::ErrorKind::ConnectionRefused` | transient, not sent |
/// | `io::ErrorKind::InvalidInput` (what was asked for cannot be done: a URL that nothing can be sent to) | permanent |
/// | any other error | transient, unknown |
///
/// The errors of hyper, hyper-util and h2 need the feature `hyper`. An `io::Error` hides the error that it wraps from
/// [`source`](Error::source); the [chain](error_chain) has it.
#[must_use]
pub fn error_outcome(error: &(dyn Error + 'static)) -> Outcome {
    let mut verdict = None;
    for error in error_chain(error) {
        if let Some(rejection) = error.downcast_ref::<Rejection>() {
            return rejection.outcome();
        }
        if verdict.is_none() {
            verdict = known(error);
        }
    }
    verdict.unwrap_or(transient(Sent::Unknown))
}

/// The first error of type `E` in the chain.
pub(crate) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    error_chain(error).find_map(|error| error.downcast_ref())
}

const fn transient(sent: Sent) -> Outcome {
    Outcome::Transient { sent, retry_after: None }
}

fn known(error: &(dyn Error + 'static)) -> Option<Outcome> {
    #[cfg(feature = "hyper")]
    if let Some(outcome) = known_to_hyper(error) {
        return Some(outcome);
    }
    let error = error.downcast_ref::<io::Error>()?;
    // The other kinds of a failed connect (unreachable, timed out) also come from a connection that has carried bytes.
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(transient(Sent::NotSent)),
        io::ErrorKind::InvalidInput => Some(Outcome::Permanent),
        _ => None,
    }
}

#[cfg(feature = "hyper")]
fn known_to_hyper(error: &(dyn Error + 'static)) -> Option<Outcome> {
    if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
        return if error.is_connect() {
            Some(if tls_failed(error) { Outcome::Permanent } else { transient(Sent::NotSent) })
        } else if error.source().is_none() {
            // What comes from a connection has a source; what is left is the request itself.
            Some(Outcome::Permanent)
        } else {
            None
        };
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return if error.is_canceled() {
            Some(transient(Sent::NotSent))
        } else if error.is_user() {
            Some(Outcome::Permanent)
        } else if error.is_parse() {
            Some(transient(Sent::Answered))
        } else {
            None
        };
    }
    let error = error.downcast_ref::<h2::Error>()?;
    let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    // h2 ends with the peer's GOAWAY only the streams above its last identifier; the others go on, or break by I/O.
    (error.is_remote() && (refused || error.is_go_away())).then_some(transient(Sent::NotSent))
}

/// Whether a connection was made and the handshake failed in a way that has nothing to do with the moment.
#[cfg(feature = "hyper")]
fn tls_failed(error: &(dyn Error + 'static)) -> bool {
    error_chain(error)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::InvalidData)
}
