use std::{fmt, time::Duration};

/// What a [`Probe`](crate::Probe) does with one call: when it ends, and how.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_test::Reply;
///
/// let slow_failure = Reply::fail().after(Duration::from_millis(50));
/// let until_told = Reply::answer().held();
/// # let _ = (slow_failure, until_told);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Reply {
    pub(crate) wait: Wait,
    pub(crate) end: End,
}

/// When a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// At the first poll.
    No,
    /// After this many polls, each of which wakes its task at once.
    Polls(u32),
    For(Duration),
    /// When the handle releases it.
    Held,
    Forever,
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Answer,
    Unavailable,
    Truncated,
    Fail,
    Panic,
    /// In `call` itself: there is no future, and no wait.
    PanicInCall,
}

impl Reply {
    /// The answer, at the first poll.
    pub const fn answer() -> Self {
        Self::new(End::Answer)
    }

    /// The response that says that the service failed ([`Exchange::unavailable`](crate::Exchange::unavailable)), at the
    /// first poll.
    pub const fn unavailable() -> Self {
        Self::new(End::Unavailable)
    }

    /// The response that ends too early ([`Exchange::truncated`](crate::Exchange::truncated)), at the first poll.
    pub const fn truncated() -> Self {
        Self::new(End::Truncated)
    }

    /// A [`ProbeError`](crate::ProbeError), at the first poll.
    pub const fn fail() -> Self {
        Self::new(End::Fail)
    }

    /// A panic, at the first poll. It unwinds without a word to the panic hook.
    pub const fn panic() -> Self {
        Self::new(End::Panic)
    }

    /// A panic in `call` itself. It unwinds without a word to the panic hook.
    pub const fn panic_in_call() -> Self {
        Self::new(End::PanicInCall)
    }

    /// The same, this long after the first poll.
    pub const fn after(mut self, wait: Duration) -> Self {
        self.wait = Wait::For(wait);
        self
    }

    /// The same, after it was pending this many times; it wakes its task each time.
    pub const fn after_polls(mut self, polls: u32) -> Self {
        self.wait = Wait::Polls(polls);
        self
    }

    /// The same, when [`ProbeHandle::release`](crate::ProbeHandle::release) says so.
    pub const fn held(mut self) -> Self {
        self.wait = Wait::Held;
        self
    }

    /// Never: the call is pending until it is dropped, and wakes nobody.
    pub const fn never() -> Self {
        Self { wait: Wait::Forever, end: End::Answer }
    }

    const fn new(end: End) -> Self {
        Self { wait: Wait::No, end }
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self::answer()
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match self.end {
            End::PanicInCall => return f.write_str("a panic in `call`"),
            _ if self.wait == Wait::Forever => return f.write_str("nothing, for ever"),
            End::Answer => "an answer",
            End::Unavailable => "an answer that says unavailable",
            End::Truncated => "an answer that ends too early",
            End::Fail => "an error",
            End::Panic => "a panic in the future",
        };
        match self.wait {
            Wait::No | Wait::Forever => f.write_str(end),
            Wait::Polls(polls) => write!(f, "{end} after {polls} more polls"),
            Wait::For(wait) => write!(f, "{end} after {wait:?}"),
            Wait::Held => write!(f, "{end} when it is let go"),
        }
    }
}
