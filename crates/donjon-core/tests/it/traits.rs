//! What the types can do in a generic stack: Send, Sync, and a concrete one inside of a spawned task.

use std::{future::Future, marker::PhantomData, rc::Rc};

use donjon_core::{
    CallError, Classify, ClassifyRejection, Deadline, OutOfRange, Outcome, Ratio, Reject, Rejection, RejectionKind,
    Scope, Scoped, SystemClock, TokioClock,
};

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn copy<T: Copy + Send + Sync + 'static>() {}
fn unpin<T: Unpin>() {}

#[test]
fn the_types_follow_what_they_hold() {
    copy::<Scope>();
    copy::<Deadline>();
    copy::<Outcome>();
    copy::<Ratio>();
    copy::<RejectionKind>();
    copy::<ClassifyRejection>();
    copy::<SystemClock>();
    copy::<TokioClock>();
    send::<Rejection>();
    sync::<Rejection>();
    send::<CallError>();
    sync::<CallError>();
    send::<OutOfRange>();
    send::<Scoped<std::future::Ready<u64>>>();
    sync::<Scoped<std::future::Ready<u64>>>();
    unpin::<Scoped<std::future::Ready<u64>>>();
    // And no more than that: what is inside is not Send.
    const { assert!(Probe::<Scoped<std::future::Ready<u64>>>::SEND) };
    const { assert!(!Probe::<Scoped<std::future::Ready<Rc<u64>>>>::SEND) };
}

/// Whether `T` is Send: where it is, the inherent answer hides that of the trait.
struct Probe<T>(PhantomData<T>);

trait Otherwise {
    const SEND: bool = false;
}

impl<T> Otherwise for Probe<T> {}

impl<T: Send> Probe<T> {
    const SEND: bool = true;
}

/// A service in miniature: generic over its error, its classifier and the future inside.
async fn stack<E, C, F>(classify: C, call: impl Fn() -> F) -> Result<u64, E>
where
    E: Reject,
    C: Classify<u64, E>,
    F: Future<Output = Result<u64, E>>,
{
    let result = Scope::current().with_attempt(2).wrap(call()).await;
    if classify.classify(result.as_ref()).is_success() {
        result
    } else {
        Err(E::from_rejection(Rejection::new(RejectionKind::Overloaded, "test")))
    }
}

#[tokio::test]
async fn a_concrete_generic_stack_can_be_spawned() {
    let task = tokio::spawn(async {
        stack(ClassifyRejection, || async {
            tokio::task::yield_now().await;
            Ok::<_, CallError>(u64::from(Scope::current().attempt()))
        })
        .await
    });
    assert_eq!(task.await.expect("no panic").expect("a success"), 2);

    let task = tokio::spawn(
        Deadline::never()
            .scope(async { stack(ClassifyRejection, || async { Err::<u64, _>(CallError::new("no")) }).await }),
    );
    let error = task.await.expect("no panic").expect_err("a failure");
    assert!(error.as_rejection().is_some());
}
