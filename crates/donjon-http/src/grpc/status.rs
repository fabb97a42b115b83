use std::time::Duration;

use http::{HeaderMap, HeaderName};

/// The field of headers or trailers that says how a call went: a number.
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The field of headers or trailers that says so to people, percent-encoded.
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The field of headers or trailers by which a server says when to call again, or not to (gRFC A6).
pub const GRPC_RETRY_PUSHBACK_MS: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// How a call of gRPC went. The numbers and their meaning are those of gRPC's "Status codes and their use".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Code {
    /// It worked.
    Ok = 0,
    /// The caller has given it up.
    Cancelled = 1,
    /// It failed in a way that has no code; also what any unknown number is read as.
    Unknown = 2,
    /// The caller's arguments are wrong, whatever the state of the system.
    InvalidArgument = 3,
    /// The deadline passed before it was done.
    DeadlineExceeded = 4,
    /// What was asked for is not there.
    NotFound = 5,
    /// What was to be made is there already.
    AlreadyExists = 6,
    /// The caller may not do this.
    PermissionDenied = 7,
    /// A quota, or the room on a disk, is used up.
    ResourceExhausted = 8,
    /// The system is not in the state that this needs.
    FailedPrecondition = 9,
    /// It conflicts with another call; to be tried again as a whole, further out.
    Aborted = 10,
    /// Beyond the end of a range.
    OutOfRange = 11,
    /// There is no such method.
    Unimplemented = 12,
    /// Something is broken.
    Internal = 13,
    /// The service is not there now.
    Unavailable = 14,
    /// Data are lost or damaged for good.
    DataLoss = 15,
    /// It is not known who calls.
    Unauthenticated = 16,
}

/// When a server wants to be called again (gRFC A6, "Pushback").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pushback {
    /// After exactly this long.
    After(Duration),
    /// Not at all: the number was negative, or not one, or there were several.
    Never,
}

/// The status of a call, wherever it stood. [`StatusLayer`](super::StatusLayer) leaves one in the extensions of a
/// response whose trailers say that the call has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct GrpcStatus {
    /// How it went.
    pub code: Code,
    /// When to call again, if the server said.
    pub pushback: Option<Pushback>,
}

// ===== impl Code =====

impl Code {
    const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The code of this number; [`Unknown`](Self::Unknown) if there is none.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        usize::try_from(number).ok().and_then(|at| Self::ALL.get(at).copied()).unwrap_or(Self::Unknown)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    fn parse(value: &[u8]) -> Self {
        let number = str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        number.and_then(|text| text.parse().ok()).map_or(Self::Unknown, Self::from_number)
    }
}

// ===== impl Pushback =====

impl Pushback {
    /// What these headers or trailers say; `None` if the field is not there.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(GRPC_RETRY_PUSHBACK_MS).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return Some(Self::Never);
        }
        // A 32-bit number, as gRPC's own libraries have it.
        let millis = value.to_str().ok().and_then(|text| text.parse::<i32>().ok());
        Some(match millis.and_then(|millis| u64::try_from(millis).ok()) {
            Some(millis) => Self::After(Duration::from_millis(millis)),
            None => Self::Never,
        })
    }

    /// As an outcome has it: [`Duration::MAX`] is never.
    #[must_use]
    pub const fn as_wait(self) -> Duration {
        match self {
            Self::After(wait) => wait,
            Self::Never => Duration::MAX,
        }
    }
}

// ===== impl GrpcStatus =====

impl GrpcStatus {
    /// This code, without a word about when to call again.
    #[must_use]
    pub const fn new(code: Code) -> Self {
        Self { code, pushback: None }
    }

    /// The status in these headers or trailers, if there is one. What is no number is [`Code::Unknown`].
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let code = Code::parse(headers.get(GRPC_STATUS)?.as_bytes());
        Some(Self { code, pushback: Pushback::read(headers) })
    }
}
