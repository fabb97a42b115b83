use std::{error::Error, fmt, sync::Arc};

/// Why a request body cannot be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotReplayable {
    /// It is larger than what is kept of a body.
    TooLarge,
    /// The body that is being copied failed, or panicked.
    SourceFailed,
    /// It was sent, or begun, when no other copy was there, and so not recorded.
    Consumed,
}

/// A [`ReplayBody`](super::ReplayBody) cannot give the rest of its bytes.
#[derive(Clone, Debug)]
pub struct ReplayError {
    reason: NotReplayable,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

// ===== impl NotReplayable =====

impl NotReplayable {
    /// A short stable name, for logs and metrics: `too-large`, …
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::SourceFailed => "source-failed",
            Self::Consumed => "consumed",
        }
    }
}

impl fmt::Display for NotReplayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// ===== impl ReplayError =====

impl ReplayError {
    pub(super) const fn new(reason: NotReplayable) -> Self {
        Self { reason, source: None }
    }

    pub(super) fn caused(cause: Arc<dyn Error + Send + Sync>) -> Self {
        Self { reason: NotReplayable::SourceFailed, source: Some(cause) }
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> NotReplayable {
        self.reason
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            NotReplayable::TooLarge => {
                "the request body is larger than what is kept of it, and another copy has the rest"
            }
            NotReplayable::SourceFailed => "the request body failed",
            NotReplayable::Consumed => "the request body was not recorded, and another copy has read it",
        })
    }
}

impl Error for ReplayError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}
