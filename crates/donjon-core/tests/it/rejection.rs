use std::{error::Error, io, sync::Arc, time::Duration};

use donjon_core::{Classify, ClassifyRejection, Outcome, Phase, Reject, Rejection, RejectionKind, Sent};

use crate::alloc;

const KINDS: [RejectionKind; 9] = [
    RejectionKind::Overloaded,
    RejectionKind::RateLimited,
    RejectionKind::CircuitOpen,
    RejectionKind::DeadlineExceeded,
    RejectionKind::AttemptTimeout,
    RejectionKind::NoEndpoint,
    RejectionKind::NoKey,
    RejectionKind::BodyTooLarge,
    RejectionKind::Shared,
];
const PHASES: [Phase; 6] = [Phase::Admission, Phase::Queue, Phase::Ready, Phase::Attempt, Phase::Backoff, Phase::Body];
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn making_one_allocates_nothing() {
    let allocations = alloc::count(|| {
        for kind in KINDS {
            let made = Rejection::new(kind, "test").with_phase(Phase::Queue).with_retry_after(SECOND);
            std::hint::black_box(Rejection::from_rejection(made.clone()).outcome());
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn it_is_small_enough_to_return() {
    assert!(size_of::<Rejection>() <= 48, "{}", size_of::<Rejection>());
    assert!(size_of::<Result<u64, Rejection>>() <= 48, "{}", size_of::<Result<u64, Rejection>>());
}

#[test]
fn it_says_what_was_put_in() {
    let plain = Rejection::new(RejectionKind::Overloaded, "test");
    assert_eq!((plain.kind(), plain.phase(), plain.layer()), (RejectionKind::Overloaded, Phase::Admission, "test"));
    assert_eq!(plain.retry_after(), None);
    assert!(plain.source().is_none());
    let full = plain.with_phase(Phase::Queue).with_retry_after(SECOND);
    assert_eq!((full.phase(), full.retry_after()), (Phase::Queue, Some(SECOND)));
}

#[test]
fn its_outcome_is_that_of_the_table() {
    for kind in KINDS {
        for phase in PHASES {
            for retry_after in [None, Some(SECOND)] {
                let mut rejection = Rejection::new(kind, "test").with_phase(phase);
                if let Some(after) = retry_after {
                    rejection = rejection.with_retry_after(after);
                }
                let sent = matches!(phase, Phase::Attempt | Phase::Body);
                assert_eq!(rejection.may_have_been_sent(), sent);
                let expected = match kind {
                    RejectionKind::DeadlineExceeded | RejectionKind::AttemptTimeout if sent => {
                        Outcome::Transient { sent: Sent::Unknown, retry_after }
                    }
                    RejectionKind::BodyTooLarge | RejectionKind::NoKey => Outcome::Permanent,
                    // It has not said when, so never.
                    RejectionKind::RateLimited => Outcome::Refused { retry_after: retry_after.or(Some(Duration::MAX)) },
                    RejectionKind::Shared => Outcome::Transient { sent: Sent::Unknown, retry_after },
                    _ => Outcome::Refused { retry_after },
                };
                assert_eq!(rejection.outcome(), expected, "{rejection:?}");
                assert_eq!(ClassifyRejection.classify(Err::<&u64, _>(&rejection)), expected);
                assert_eq!(rejection.outcome().is_unsent(), matches!(expected, Outcome::Refused { .. }));
            }
        }
    }
}

#[test]
fn a_shared_failure_has_the_outcome_of_the_call_that_was_joined() {
    for outcome in [
        Outcome::Transient { sent: Sent::NotSent, retry_after: Some(SECOND) },
        Outcome::Throttled { retry_after: Some(SECOND) },
        Outcome::Permanent,
    ] {
        let rejection = Rejection::shared("coalesce", outcome, Arc::new(io::Error::other("it failed")));
        assert_eq!(rejection.outcome(), outcome);
        assert_eq!(rejection.retry_after(), outcome.retry_after());
        assert_eq!(rejection.kind(), RejectionKind::Shared);
        let source = rejection.source().expect("the cause");
        assert_eq!(source.to_string(), "it failed");
        assert!(source.is::<io::Error>(), "the cause itself, and not the Arc around it");
        assert!(format!("{rejection:?}").contains("it failed"));
        assert!(!rejection.to_string().contains("it failed"), "the source is not repeated");
    }
}

#[test]
fn it_reads_as_a_sentence() {
    let plain = Rejection::new(RejectionKind::RateLimited, "rate-limit");
    assert_eq!(plain.to_string(), "rate-limit refused the call: rate-limited");
    let queued = Rejection::new(RejectionKind::Overloaded, "concurrency-limit").with_phase(Phase::Queue);
    assert_eq!(queued.to_string(), "concurrency-limit refused the call: overloaded (queue)");
    let debug = format!("{:?}", queued.with_retry_after(SECOND));
    assert_eq!(debug, "Rejection { kind: Overloaded, layer: \"concurrency-limit\", phase: Queue, retry_after: 1s }");
}

#[test]
fn each_kind_has_a_name_a_status_and_a_code() {
    let expected = [
        ("overloaded", 503, 8),
        ("rate-limited", 429, 8),
        ("circuit-open", 503, 14),
        ("deadline-exceeded", 504, 4),
        ("attempt-timeout", 504, 4),
        ("no-endpoint", 503, 14),
        ("no-key", 400, 3),
        ("body-too-large", 413, 8),
        ("shared-failure", 502, 14),
    ];
    for (kind, expected) in KINDS.into_iter().zip(expected) {
        assert_eq!((kind.as_str(), kind.http_status(), kind.grpc_code()), expected);
        assert_eq!(kind.to_string(), expected.0);
    }
    let names = PHASES.map(Phase::as_str);
    assert_eq!(names, ["admission", "queue", "readiness", "attempt", "backoff", "body"]);
}

#[test]
fn who_had_joined_a_call_that_was_refused_for_good_is_told_no_time() {
    let for_good = Rejection::new(RejectionKind::RateLimited, "rate-limit");
    let shared = Rejection::shared("coalesce", for_good.outcome(), Arc::new(for_good));
    assert_eq!(shared.retry_after(), None);
    assert_eq!(shared.outcome(), Outcome::Refused { retry_after: Some(Duration::MAX) });
}

#[test]
fn the_origin_of_a_shared_refusal_is_the_layer_that_refused() {
    let open = Rejection::new(RejectionKind::CircuitOpen, "breaker");
    assert_eq!(open.origin(), RejectionKind::CircuitOpen);
    let shared = Rejection::shared("coalesce", open.outcome(), Arc::new(open));
    let twice = Rejection::shared("cache", shared.outcome(), Arc::new(shared.clone()));
    assert_eq!((shared.kind(), shared.origin()), (RejectionKind::Shared, RejectionKind::CircuitOpen));
    assert_eq!(twice.origin(), RejectionKind::CircuitOpen);
    let failed = Rejection::shared("cache", twice.outcome(), Arc::new(io::Error::other("it broke")));
    assert_eq!(failed.origin(), RejectionKind::Shared);
}
