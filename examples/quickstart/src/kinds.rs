//! A short name for why a call failed, from the chain of its causes.

use std::{error::Error, io};

/// The kind of a failure of the transport, by the deepest cause that says something.
pub(crate) fn transport_kind(error: &(dyn Error + 'static)) -> &'static str {
    let mut kind = "transport";
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            kind = io_kind(io.kind()).unwrap_or(kind);
        } else if let Some(hyper) = error.downcast_ref::<hyper::Error>() {
            if hyper.is_incomplete_message() {
                kind = "connection-closed";
            } else if hyper.is_parse() {
                kind = "bad-http";
            }
        }
        next = error.source();
    }
    kind
}

fn io_kind(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::ConnectionRefused => "connection-refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            "connection-reset"
        }
        io::ErrorKind::UnexpectedEof => "truncated-body",
        io::ErrorKind::TimedOut => "connect-timeout",
        _ => return None,
    })
}
