use std::{fmt, time::Duration};

use tokio::time::Instant;

/// Until when work may go on: one instant for a whole request, over queues, attempts, sleeps and bodies; or never.
///
/// A value is fixed and can be copied anywhere. The ambient one, [`Deadline::current`], belongs to the
/// [`Scope`](crate::Scope) of the work that is running.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_core::Deadline;
///
/// let deadline = Deadline::after(Duration::from_secs(5));
/// assert!(deadline.allows(Duration::from_secs(1)));
/// assert!(!deadline.allows(Duration::from_secs(6)));
/// assert!(Deadline::never().allows(Duration::MAX));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub struct Deadline(Option<Instant>);

// ===== impl Deadline =====

impl Deadline {
    /// No deadline.
    pub const fn never() -> Self {
        Self(None)
    }

    /// At this instant.
    pub const fn at(instant: Instant) -> Self {
        Self(Some(instant))
    }

    /// This long from now; never, if that is further away than an instant can say.
    #[inline]
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// The instant, or `None` for never. Reads no clock.
    #[must_use]
    pub const fn instant(self) -> Option<Instant> {
        self.0
    }

    /// Whether it is never.
    #[must_use]
    pub const fn is_never(self) -> bool {
        self.0.is_none()
    }

    /// How long is left: `None` without a deadline, zero once it has passed.
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it has passed: from the instant itself on.
    #[must_use]
    #[inline]
    pub fn has_passed(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }

    /// Whether something that takes this long from now would be done before it.
    #[must_use]
    pub fn allows(self, duration: Duration) -> bool {
        self.remaining().is_none_or(|left| duration < left)
    }

    /// The earlier of the two.
    #[inline]
    pub fn earlier(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Self(Some(a.min(b))),
            (a, b) => Self(a.or(b)),
        }
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(at) => f.debug_tuple("Deadline").field(&at).finish(),
            None => f.write_str("Deadline(never)"),
        }
    }
}

impl From<Instant> for Deadline {
    fn from(instant: Instant) -> Self {
        Self::at(instant)
    }
}
