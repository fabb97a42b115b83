//! Why the program ends without doing its work.

use std::{fmt, path::Path, process::ExitCode};

/// Wrong usage, or something that failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Status 2.
    Usage(String),
    /// Status 1.
    Failed(String),
}

// ===== impl Fault =====

impl Fault {
    /// This file was named, and it cannot be.
    pub(crate) fn usage(path: &Path, why: impl fmt::Display) -> Self {
        Self::Usage(format!("{}: {why}", path.display()))
    }

    /// This could not be done.
    pub(crate) fn failed(what: &str, why: impl fmt::Display) -> Self {
        Self::Failed(format!("{what}: {why}"))
    }

    /// With which status the program ends.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
