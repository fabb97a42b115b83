use std::time::Duration;

use crate::gate::Verdict;

/// What a call says of the service that was dropped before it had answered.
///
/// A probe that is dropped gives its place to the next call in any case. One says nothing with [`Ignore`](Self::Ignore);
/// three in a row have failed, a lease ([`BreakerLayer::probe_lease`](crate::BreakerLayer::probe_lease)) after the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnCancel {
    /// Nothing: the caller left. The default. A timeout outside of the breaker cancels too, and then a service that hangs
    /// does not open it: put the timeout inside, or take one of the others.
    #[default]
    Ignore,
    /// It failed.
    Fail,
    /// It failed if it had run for at least so long: the caller's patience was over. The losers of a hedge, which are
    /// dropped early, say nothing. Reads the clock twice a call.
    FailAfter(Duration),
}

// ===== impl OnCancel =====

impl OnCancel {
    pub(crate) const fn times(self) -> bool {
        matches!(self, Self::FailAfter(_))
    }

    pub(crate) fn verdict(self, took: Option<Duration>) -> Verdict {
        let failed = match self {
            Self::Ignore => false,
            Self::Fail => true,
            Self::FailAfter(patience) => took.is_some_and(|took| took >= patience),
        };
        if failed { Verdict::Failure { retry_after: None } } else { Verdict::Dropped }
    }
}
