use std::time::Duration;

/// How a limit per time stands for a caller: what the HTTP fields `RateLimit` and `RateLimit-Policy` say.
///
/// Whole seconds, rounded up, and counts up to 4,294,967,295: what is more is taken for that.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use donjon_core::Quota;
///
/// let quota = Quota::new("default", 60, Duration::from_secs(3)).left(12, Duration::from_millis(2400));
/// assert_eq!((quota.limit(), quota.window_secs()), (60, 3));
/// assert_eq!((quota.remaining(), quota.reset_secs()), (12, 3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Quota {
    policy: &'static str,
    limit: u32,
    window_secs: u32,
    remaining: u32,
    reset_secs: u32,
}

// ===== impl Quota =====

impl Quota {
    /// The policy of this name: so much each window. All of it is left, unless said.
    pub fn new(policy: &'static str, limit: u64, window: Duration) -> Self {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        Self { policy, limit, window_secs: seconds(window), remaining: limit, reset_secs: 0 }
    }

    /// So much is left, and after so long all of it is there again.
    pub fn left(mut self, remaining: u64, reset: Duration) -> Self {
        self.remaining = u32::try_from(remaining).unwrap_or(u32::MAX);
        self.reset_secs = seconds(reset);
        self
    }

    /// The name of the policy.
    #[must_use]
    pub const fn policy(&self) -> &'static str {
        self.policy
    }

    /// How much there is each window.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// The window, in seconds.
    #[must_use]
    pub const fn window_secs(&self) -> u32 {
        self.window_secs
    }

    /// How much is left.
    #[must_use]
    pub const fn remaining(&self) -> u32 {
        self.remaining
    }

    /// After how many seconds all of it is there again.
    #[must_use]
    pub const fn reset_secs(&self) -> u32 {
        self.reset_secs
    }
}

fn seconds(duration: Duration) -> u32 {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
