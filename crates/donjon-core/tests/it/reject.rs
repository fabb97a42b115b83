//! The trait on a user's own enum, and the classifiers that read it.

use std::{error::Error, io, time::Duration};

use donjon_core::{Classify, ClassifyRejection, Key, Outcome, Reject, Rejection, RejectionKind, Sent};

#[derive(Debug)]
enum AppError {
    Refused(Rejection),
    Io(io::Error),
}

impl Reject for AppError {
    fn from_rejection(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }

    fn as_rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Refused(rejection) => Some(rejection),
            Self::Io(_) => None,
        }
    }

    fn as_error(&self) -> &(dyn Error + 'static) {
        match self {
            Self::Refused(rejection) => rejection,
            Self::Io(error) => error,
        }
    }
}

#[test]
fn an_enum_of_the_user_carries_a_refusal() {
    let after = Duration::from_secs(2);
    let error = AppError::from_rejection(Rejection::new(RejectionKind::CircuitOpen, "b").with_retry_after(after));
    assert_eq!(error.as_rejection().expect("it is one").kind(), RejectionKind::CircuitOpen);
    assert!(error.as_error().is::<Rejection>());
    let outcome = ClassifyRejection.classify(Err::<&(), _>(&error));
    assert_eq!(outcome, Outcome::Refused { retry_after: Some(after) });
}

#[test]
fn another_error_is_transient_and_may_have_been_sent() {
    let error = AppError::Io(io::Error::other("reset"));
    assert!(error.as_rejection().is_none());
    assert!(error.as_error().is::<io::Error>());
    let outcome = ClassifyRejection.classify(Err::<&(), _>(&error));
    assert_eq!(outcome, Outcome::Transient { sent: Sent::Unknown, retry_after: None });
    assert_eq!(ClassifyRejection.classify(Ok::<_, &AppError>(&1)), Outcome::Success);
}

#[test]
fn closures_classify_and_extract_keys() {
    let classify = |result: Result<&u16, &AppError>| match result {
        Ok(status) if *status < 500 => Outcome::Success,
        _ => Outcome::Permanent,
    };
    assert_eq!(classify.classify(Ok(&200)), Outcome::Success);
    assert_eq!(classify.classify(Ok(&500)), Outcome::Permanent);
    let key = |req: &u64| (*req > 9).then_some(req % 10);
    assert_eq!((key.key(&12), key.key(&3)), (Some(2), None));
}

#[test]
fn an_outcome_says_what_may_be_repeated() {
    let after = Some(Duration::from_secs(1));
    let transient = |sent| Outcome::Transient { sent, retry_after: after };
    for (outcome, success, unsent, retry_after) in [
        (Outcome::Success, true, false, None),
        (transient(Sent::NotSent), false, true, after),
        (transient(Sent::Unknown), false, false, after),
        (transient(Sent::Answered), false, false, after),
        (Outcome::Throttled { retry_after: after }, false, false, after),
        (Outcome::Refused { retry_after: after }, false, true, after),
        (Outcome::Permanent, false, false, None),
        (Outcome::Cancelled, false, false, None),
    ] {
        assert_eq!(outcome.is_success(), success, "{outcome:?}");
        assert_eq!(outcome.is_unsent(), unsent, "{outcome:?}");
        assert_eq!(outcome.retry_after(), retry_after, "{outcome:?}");
    }
}
