use std::{error::Error, fmt};

use super::Check;

/// The checks that a layer failed: what [`check`](super::check) gives when there are any.
///
/// Its `Debug` form is its `Display` form, so that `.unwrap()` in a test prints it readably.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    failures: Vec<Failure>,
}

/// One check that a layer failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    check: Check,
    reason: String,
}

// ===== impl Report =====

impl Report {
    pub(super) fn new(failures: Vec<Failure>) -> Self {
        Self { failures }
    }

    /// The checks that failed, in the order of [`Check::all`].
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Whether this check is among those that failed.
    #[must_use]
    pub fn failed(&self, check: Check) -> bool {
        self.failures.iter().any(|failure| failure.check == check)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks = if self.failures.len() == 1 { "check" } else { "checks" };
        write!(f, "{} {checks} of the contract failed", self.failures.len())?;
        for failure in &self.failures {
            write!(f, "\n{failure}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Report {}

// ===== impl Failure =====

impl Failure {
    pub(super) fn new(check: Check, reason: String) -> Self {
        Self { check, reason }
    }

    /// Which check.
    #[must_use]
    pub fn check(&self) -> Check {
        self.check
    }

    /// What was seen.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "- {}: {}\n  law: {}", self.check.name(), self.reason, self.check.law())
    }
}
