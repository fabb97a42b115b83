use std::{error::Error, fmt, sync::Arc, time::Duration};

use crate::{Outcome, Quota, Sent};

/// A layer refused this call, or gave it up: the one word that every donjon layer has for "no".
///
/// A rejection travels inside the error type of the stack (see [`Reject`](crate::Reject)), and turns into a status and
/// a `Retry-After` at the edge of a server. Making one allocates nothing, except [`Rejection::shared`],
/// [`Rejection::body_incomplete`] and [`Rejection::with_quota`].
#[derive(Clone)]
pub struct Rejection {
    kind: RejectionKind,
    phase: Phase,
    layer: &'static str,
    retry_after: Option<Duration>,
    /// What few refusals say, so that the others are small.
    more: Option<Arc<More>>,
}

/// Why a call was refused or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// Too much is in flight or queued, here or in the queue that the call waited in.
    Overloaded,
    /// More calls per time than allowed.
    RateLimited,
    /// A circuit breaker is open.
    CircuitOpen,
    /// The deadline of the whole request has passed, or passes before the work could be done.
    DeadlineExceeded,
    /// One attempt took longer than an attempt may; the deadline of the whole request may still be far.
    AttemptTimeout,
    /// No endpoint was there to be called.
    NoEndpoint,
    /// The request does not say whose it is, and a layer that keeps one state per key was told to refuse such requests.
    NoKey,
    /// A body was larger than its cap.
    BodyTooLarge,
    /// A body broke off before its end; the cause is in [`source`](Error::source).
    BodyIncomplete,
    /// The call that this one had joined failed; the cause is in [`source`](Error::source).
    Shared,
}

/// In which phase of its life a call was refused or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// At the door: before anything was waited for.
    Admission,
    /// While it waited for its turn.
    Queue,
    /// While the inner service was not yet ready.
    Ready,
    /// While an attempt was running.
    Attempt,
    /// While it slept between two attempts.
    Backoff,
    /// While a body was being sent or read.
    Body,
}

/// What few refusals say.
struct More {
    quota: Option<Quota>,
    shared: Option<Shared>,
}

#[derive(Clone)]
struct Shared {
    outcome: Outcome,
    cause: Arc<dyn Error + Send + Sync>,
}

// ===== impl Rejection =====

impl Rejection {
    /// A refusal by the layer of this name, at admission. Donjon's own names are those of the layers in small letters:
    /// `concurrency-limit`, `deadline`, `timeout`.
    #[must_use]
    pub const fn new(kind: RejectionKind, layer: &'static str) -> Self {
        Self { kind, phase: Phase::Admission, layer, retry_after: None, more: None }
    }

    /// The call that this one had joined failed: with this outcome, for this cause. Allocates.
    #[must_use]
    pub fn shared(layer: &'static str, outcome: Outcome, cause: Arc<dyn Error + Send + Sync>) -> Self {
        let mut this = Self::new(RejectionKind::Shared, layer);
        this.phase = Phase::Attempt;
        // For good is no time to come back: the outcome says it, and nobody is told to wait for it.
        this.retry_after = outcome.retry_after().filter(|after| *after != Duration::MAX);
        this.more = Some(Arc::new(More { quota: None, shared: Some(Shared { outcome, cause }) }));
        this
    }

    /// The body of an answer broke off before its end, for this cause. Allocates.
    #[must_use]
    pub fn body_incomplete(layer: &'static str, cause: Arc<dyn Error + Send + Sync>) -> Self {
        let outcome = Outcome::Transient { sent: Sent::Answered, retry_after: None };
        let mut this = Self::new(RejectionKind::BodyIncomplete, layer);
        this.phase = Phase::Body;
        this.more = Some(Arc::new(More { quota: None, shared: Some(Shared { outcome, cause }) }));
        this
    }

    /// Says in which phase it happened; [`Phase::Admission`] unless said.
    #[must_use]
    pub const fn with_phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        self
    }

    /// Says after how long another call has a chance. None unless said.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Says how the limit that refused stands for the caller. None unless said. Allocates.
    #[must_use]
    pub fn with_quota(mut self, quota: Quota) -> Self {
        let shared = self.cause().cloned();
        self.more = Some(Arc::new(More { quota: Some(quota), shared }));
        self
    }

    /// Why.
    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// In which phase.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Which layer.
    #[must_use]
    pub const fn layer(&self) -> &'static str {
        self.layer
    }

    /// After how long another call has a chance, if the layer knows.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// How the limit that refused stands for the caller, if its layer tells: a server answers with it in the fields
    /// `RateLimit` and `RateLimit-Policy`.
    #[must_use]
    pub fn quota(&self) -> Option<&Quota> {
        self.more.as_ref()?.quota.as_ref()
    }

    /// What refused in the end: this layer, or the one that refused the call that was joined.
    #[must_use]
    pub fn origin(&self) -> RejectionKind {
        match self.cause().and_then(|shared| shared.cause.downcast_ref::<Self>()) {
            Some(cause) => cause.origin(),
            None => self.kind,
        }
    }

    /// What the call that this one had joined, or the body that broke off, came to.
    fn cause(&self) -> Option<&Shared> {
        self.more.as_ref()?.shared.as_ref()
    }

    /// Whether something may have been sent inward for this call before it was given up.
    #[must_use]
    pub const fn may_have_been_sent(&self) -> bool {
        matches!(self.phase, Phase::Attempt | Phase::Body)
    }

    /// The outcome that this rejection is, for every layer outside of the one that made it.
    ///
    /// | Kind | Outcome |
    /// |---|---|
    /// | `Overloaded`, `CircuitOpen`, `NoEndpoint` | `Refused`; a retry leaves what an open circuit refuses alone |
    /// | `RateLimited` | `Refused`; without a time to come back, after [`Duration::MAX`]: for good |
    /// | `DeadlineExceeded`, `AttemptTimeout` | `Transient`, `sent: Unknown` in phases attempt and body; else `Refused` |
    /// | `BodyTooLarge`, `NoKey` | `Permanent` |
    /// | `BodyIncomplete` | `Transient`, `sent: Answered` |
    /// | `Shared` | the outcome of the call that was joined |
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let retry_after = self.retry_after;
        match self.kind {
            // A rate knows when there will be room: one that says nothing refuses for good.
            RejectionKind::RateLimited => Outcome::Refused { retry_after: retry_after.or(Some(Duration::MAX)) },
            RejectionKind::Overloaded | RejectionKind::CircuitOpen | RejectionKind::NoEndpoint => {
                Outcome::Refused { retry_after }
            }
            RejectionKind::DeadlineExceeded | RejectionKind::AttemptTimeout => {
                if self.may_have_been_sent() {
                    Outcome::Transient { sent: Sent::Unknown, retry_after }
                } else {
                    Outcome::Refused { retry_after }
                }
            }
            RejectionKind::BodyTooLarge | RejectionKind::NoKey => Outcome::Permanent,
            RejectionKind::BodyIncomplete => Outcome::Transient { sent: Sent::Answered, retry_after },
            RejectionKind::Shared => match self.cause() {
                Some(shared) => shared.outcome,
                None => Outcome::Transient { sent: Sent::Unknown, retry_after },
            },
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Rejection");
        out.field("kind", &self.kind).field("layer", &self.layer).field("phase", &self.phase);
        if let Some(after) = self.retry_after {
            out.field("retry_after", &after);
        }
        if let Some(quota) = self.quota() {
            out.field("quota", quota);
        }
        if let Some(shared) = self.cause() {
            out.field("outcome", &shared.outcome).field("cause", &shared.cause);
        }
        out.finish()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused the call: {}", self.layer, self.kind)?;
        match self.phase {
            Phase::Admission => Ok(()),
            phase => write!(f, " ({phase})"),
        }
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause().map(|shared| &*shared.cause as &(dyn Error + 'static))
    }
}

// ===== impl RejectionKind =====

impl RejectionKind {
    /// A short stable name, for logs, metrics and problem documents: `overloaded`, `deadline-exceeded`, …
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate-limited",
            Self::CircuitOpen => "circuit-open",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::AttemptTimeout => "attempt-timeout",
            Self::NoEndpoint => "no-endpoint",
            Self::NoKey => "no-key",
            Self::BodyTooLarge => "body-too-large",
            Self::BodyIncomplete => "body-incomplete",
            Self::Shared => "shared-failure",
        }
    }

    /// The HTTP status that a server answers with: 429 for a rate, 413 for a body, 400 for a missing key, 504 for time,
    /// 502 for an answer that broke off and for a shared failure, 503 for the rest.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::RateLimited => 429,
            Self::BodyTooLarge => 413,
            Self::NoKey => 400,
            Self::DeadlineExceeded | Self::AttemptTimeout => 504,
            Self::BodyIncomplete | Self::Shared => 502,
            Self::Overloaded | Self::CircuitOpen | Self::NoEndpoint => 503,
        }
    }

    /// The gRPC status code that a server answers with: 8 (`RESOURCE_EXHAUSTED`) for a rate, a body or an overload,
    /// 4 (`DEADLINE_EXCEEDED`) for time, 3 (`INVALID_ARGUMENT`) for a missing key, 14 (`UNAVAILABLE`) for the rest.
    #[must_use]
    pub const fn grpc_code(self) -> u8 {
        match self {
            Self::Overloaded | Self::RateLimited | Self::BodyTooLarge => 8,
            Self::DeadlineExceeded | Self::AttemptTimeout => 4,
            Self::NoKey => 3,
            Self::CircuitOpen | Self::NoEndpoint | Self::BodyIncomplete | Self::Shared => 14,
        }
    }
}

impl fmt::Display for RejectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// ===== impl Phase =====

impl Phase {
    /// A short stable name, for logs, metrics and problem documents: `admission`, `queue`, …
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Queue => "queue",
            Self::Ready => "readiness",
            Self::Attempt => "attempt",
            Self::Backoff => "backoff",
            Self::Body => "body",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
