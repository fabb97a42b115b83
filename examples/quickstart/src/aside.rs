//! What is said on stderr, beside the results.

use std::{
    fmt,
    io::{self, Write},
};

/// Says it, if anybody listens: results are not lost because stderr is closed.
pub(crate) fn say(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
