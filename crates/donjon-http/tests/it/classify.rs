//! What a response or an error means, without a network.

use std::{
    error::Error,
    fmt, io,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use donjon_core::{CallError, Classify, Clock, Outcome, Phase, Reject, Rejection, RejectionKind, Sent};
use donjon_http::{HttpClassify, error_outcome};
use http::{Response, StatusCode};

const UNKNOWN: Outcome = Outcome::Transient { sent: Sent::Unknown, retry_after: None };
const NOT_SENT: Outcome = Outcome::Transient { sent: Sent::NotSent, retry_after: None };

fn of(status: u16) -> Outcome {
    let response = Response::builder().status(status).body(()).unwrap();
    classify(Ok(&response))
}

fn classify(result: Result<&Response<()>, &CallError>) -> Outcome {
    HttpClassify::new().classify(result)
}

#[test]
fn every_status_has_the_outcome_of_the_table() {
    for status in 100..1000 {
        let expected = match status {
            429 => Outcome::Throttled { retry_after: None },
            501 | 505 => Outcome::Permanent,
            408 | 425 | 500..=599 => Outcome::Transient { sent: Sent::Answered, retry_after: None },
            _ => Outcome::Success,
        };
        assert_eq!(of(status), expected, "{status}");
    }
}

#[test]
fn an_answer_that_says_when_to_come_back_is_heard() {
    let after = Some(Duration::from_secs(7));
    for (status, expected) in [
        (503, Outcome::Transient { sent: Sent::Answered, retry_after: after }),
        (429, Outcome::Throttled { retry_after: after }),
        (408, Outcome::Transient { sent: Sent::Answered, retry_after: after }),
        (200, Outcome::Success),
        (301, Outcome::Success),
    ] {
        let response = Response::builder().status(status).header("retry-after", "7").body(()).unwrap();
        assert_eq!(classify(Ok(&response)), expected, "{status}");
    }
}

#[test]
fn the_clock_is_read_only_for_the_field() {
    struct Counting<'a>(&'a AtomicU32);
    impl Clock for Counting<'_> {
        fn now(&self) -> SystemTime {
            self.0.fetch_add(1, Ordering::Relaxed);
            SystemTime::UNIX_EPOCH
        }
    }
    let reads = AtomicU32::new(0);
    let classify = HttpClassify::new().with_clock(Counting(&reads));
    let mut headers = http::HeaderMap::new();
    assert_eq!(classify.head(StatusCode::SERVICE_UNAVAILABLE, &headers).retry_after(), None);
    assert_eq!(reads.load(Ordering::Relaxed), 0);

    headers.insert("retry-after", "Thu, 01 Jan 1970 00:01:00 GMT".parse().unwrap());
    assert!(classify.head(StatusCode::OK, &headers).is_success());
    assert_eq!(reads.load(Ordering::Relaxed), 0);
    let outcome = classify.head(StatusCode::SERVICE_UNAVAILABLE, &headers);
    assert_eq!(outcome.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(reads.load(Ordering::Relaxed), 1);
}

#[test]
fn a_rejection_speaks_for_itself_wherever_it_is() {
    let rejection = || Rejection::new(RejectionKind::Overloaded, "test").with_retry_after(Duration::from_secs(1));
    let expected = rejection().outcome();
    assert_eq!(classify(Err(&CallError::from_rejection(rejection()))), expected);
    assert_eq!(classify(Err(&CallError::from(Wrap(Box::new(rejection()))))), expected);
    // `io::Error::source` skips what the error was made from.
    assert_eq!(classify(Err(&CallError::from(io::Error::other(rejection())))), expected);
    let refused = io::Error::new(io::ErrorKind::ConnectionRefused, rejection());
    assert_eq!(error_outcome(&refused), expected, "before anything that it is wrapped in");

    let cut = Rejection::new(RejectionKind::AttemptTimeout, "timeout").with_phase(Phase::Attempt);
    assert_eq!(classify(Err(&CallError::from_rejection(cut))), UNKNOWN);
}

#[test]
fn an_unknown_error_may_have_been_sent() {
    assert_eq!(classify(Err(&CallError::new("anything"))), UNKNOWN);
    for kind in [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset, io::ErrorKind::TimedOut] {
        assert_eq!(error_outcome(&io::Error::from(kind)), UNKNOWN, "{kind}");
    }
}

#[test]
fn a_refused_connection_was_not_sent() {
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    assert_eq!(error_outcome(&refused()), NOT_SENT);
    assert_eq!(error_outcome(&Wrap(Box::new(Wrap(Box::new(refused()))))), NOT_SENT);
    assert_eq!(error_outcome(&io::Error::other(refused())), NOT_SENT);
}

#[test]
fn what_cannot_be_done_is_permanent() {
    assert_eq!(error_outcome(&io::Error::from(io::ErrorKind::InvalidInput)), Outcome::Permanent);
    assert_eq!(error_outcome(&Wrap(Box::new(io::Error::from(io::ErrorKind::InvalidInput)))), Outcome::Permanent);
}

#[test]
fn a_chain_that_points_at_itself_ends() {
    #[derive(Debug)]
    struct Ring;
    impl fmt::Display for Ring {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("ring")
        }
    }
    impl Error for Ring {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }
    assert_eq!(error_outcome(&Ring), UNKNOWN);
}

#[test]
fn default_is_a_copy_without_annotations() {
    fn copied<T: Copy>(value: T) -> (T, T) {
        (value, value)
    }
    let (classify, _) = copied(HttpClassify::default());
    assert!(classify.head(StatusCode::OK, &http::HeaderMap::new()).is_success());
}

#[derive(Debug)]
struct Wrap(Box<dyn Error + Send + Sync>);

impl fmt::Display for Wrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrapped")
    }
}

impl Error for Wrap {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}
