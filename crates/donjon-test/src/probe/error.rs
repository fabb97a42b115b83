use std::{error::Error, fmt};

/// The error of a [`Probe`](crate::Probe) that was told to fail. Each one is different, so that a test can tell whether
/// the error that it got is the one that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProbeError {
    serial: u64,
    readiness: bool,
}

/// What the probe panics with.
pub(crate) struct ProbePanic;

impl ProbeError {
    pub(crate) const fn new(serial: u64, readiness: bool) -> Self {
        Self { serial, readiness }
    }

    /// Which of the probe's errors it is; the first one is 1.
    #[must_use]
    pub const fn serial(&self) -> u64 {
        self.serial
    }

    /// Whether it came from `poll_ready`.
    #[must_use]
    pub const fn is_readiness(&self) -> bool {
        self.readiness
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.readiness { "readiness" } else { "call" };
        write!(f, "the probe's {of} error number {}", self.serial)
    }
}

impl Error for ProbeError {}
