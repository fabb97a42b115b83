use std::{
    future::{Future, pending, poll_fn, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use donjon_core::{Criticality, Deadline, Scope};
use futures_util::{StreamExt, future::join, join, select_biased, stream::FuturesUnordered};
use tokio::time::{Instant, advance, sleep};

use crate::alloc;

const SECOND: Duration = Duration::from_secs(1);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn left() -> Option<Duration> {
    Deadline::current().remaining()
}

/// Reads what is left now, and once more after being pending for `wait`.
async fn left_before_and_after(wait: Duration) -> (Option<Duration>, Option<Duration>) {
    let before = left();
    sleep(wait).await;
    (before, left())
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

// ===== what is ambient =====

#[test]
fn nothing_is_ambient_by_default() {
    let scope = Scope::current();
    assert!(!scope.has_deadline());
    assert_eq!((scope.attempt(), scope.criticality()), (1, Criticality::Critical));
    assert_eq!(Deadline::current(), Deadline::never());
}

#[test]
fn a_scope_is_read_inside_and_gone_outside() {
    let mut scope = Scope::root().with_attempt(3).with_criticality(Criticality::Sheddable);
    scope.enter(|| {
        assert_eq!((Scope::current().attempt(), Scope::current().criticality()), (3, Criticality::Sheddable));
        Scope::current().with_attempt(4).enter(|| {
            assert_eq!((Scope::current().attempt(), Scope::current().criticality()), (4, Criticality::Sheddable));
        });
        assert_eq!(Scope::current().attempt(), 3);
    });
    assert_eq!((Scope::current().attempt(), Scope::current().criticality()), (1, Criticality::Critical));
}

#[test]
fn criticality_orders_from_the_least_to_the_most_important() {
    use Criticality::{Critical, CriticalPlus, Sheddable, SheddablePlus};
    let mut all = [CriticalPlus, Sheddable, Critical, SheddablePlus];
    all.sort();
    assert_eq!(all, [Sheddable, SheddablePlus, Critical, CriticalPlus]);
    assert_eq!(Criticality::default(), Critical);
}

// ===== combinators =====

#[tokio::test(start_paused = true)]
async fn joined_futures_each_have_their_own_deadline() {
    let one = Scope::root().with_timeout(secs(10)).wrap(left_before_and_after(secs(1)));
    let two = Scope::root().with_timeout(secs(20)).wrap(left_before_and_after(secs(2)));
    let none = left_before_and_after(secs(3));
    let (one, two, none) = join!(one, two, none);
    assert_eq!(one, (Some(secs(10)), Some(secs(9))));
    assert_eq!(two, (Some(secs(20)), Some(secs(18))));
    assert_eq!(none, (None, None));
}

#[tokio::test(start_paused = true)]
async fn joined_futures_inherit_and_shorten() {
    let children = async { join!(Scope::current().with_timeout(secs(60)).wrap(async { left() }), async { left() }) };
    let outer = Scope::root().with_timeout(secs(5)).wrap(children);
    assert_eq!(outer.await, (Some(secs(5)), Some(secs(5))), "the longer inner one does not lengthen");
}

#[tokio::test(start_paused = true)]
async fn the_loser_of_a_select_leaves_no_scope_behind() {
    {
        let mut slow = pin!(futures_util::FutureExt::fuse(Scope::root().with_timeout(secs(1)).wrap(pending::<()>())));
        let mut quick = pin!(futures_util::FutureExt::fuse(async {
            sleep(Duration::from_millis(10)).await;
            left()
        }));
        let seen = select_biased! { () = slow => unreachable!(), seen = quick => seen };
        assert_eq!(seen, None, "polled after the other one, in the same task");
    }
    let seen = tokio::select! {
        biased;
        () = Scope::root().with_timeout(secs(1)).wrap(pending::<()>()) => unreachable!(),
        seen = async { left() } => seen,
    };
    assert_eq!(seen, None);
    assert_eq!(left(), None);
}

#[tokio::test(start_paused = true)]
async fn futures_in_one_set_do_not_mix_their_scopes() {
    let mut set: FuturesUnordered<_> = (1..=20_u32)
        .map(|n| {
            let work = async move {
                for _ in 0..n % 5 {
                    sleep(Duration::from_millis(u64::from(n))).await;
                    assert_eq!(Scope::current().attempt(), n);
                }
                (n, Scope::current().attempt(), Deadline::current())
            };
            let start = Instant::now();
            let timeout = secs(u64::from(n));
            let deadline = Deadline::at(start + timeout);
            Scope::root().with_attempt(n).with_timeout(timeout).wrap(async move { (work.await, deadline) })
        })
        .collect();
    let mut seen = 0;
    while let Some(((n, attempt, deadline), expected)) = set.next().await {
        assert_eq!((attempt, deadline), (n, expected));
        assert_eq!((Scope::current().attempt(), left()), (1, None));
        seen += 1;
    }
    assert_eq!(seen, 20);
}

// ===== tasks and threads =====

#[tokio::test(start_paused = true)]
async fn a_spawned_task_does_not_inherit() {
    let work = async { tokio::spawn(async { (left(), Scope::current().attempt()) }).await.expect("it runs") };
    assert_eq!(Scope::root().with_timeout(SECOND).with_attempt(2).wrap(work).await, (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_scope_is_carried_into_a_task_when_asked() {
    let work = async {
        sleep(secs(1)).await;
        let by_deadline = Deadline::current().scope(async { (left(), Scope::current().attempt()) });
        let by_scope = Scope::current().wrap(async { (left(), Scope::current().attempt()) });
        let (a, b) = join(tokio::spawn(by_deadline), tokio::spawn(by_scope)).await;
        (a.expect("it runs"), b.expect("it runs"))
    };
    let (a, b) = Scope::root().with_timeout(secs(5)).with_attempt(2).wrap(work).await;
    assert_eq!(a, (Some(secs(4)), 2));
    assert_eq!(b, (Some(secs(4)), 2));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_asks_late_has_no_more_time() {
    let work = async {
        // Nobody has asked yet, so what is carried is still open.
        let late = async {
            sleep(secs(3)).await;
            left()
        };
        tokio::spawn(Scope::current().wrap(late)).await.expect("it runs")
    };
    assert_eq!(Scope::root().with_timeout(secs(5)).wrap(work).await, Some(secs(2)));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_carried_into_another_scope_only_shortens() {
    let far = Deadline::after(secs(60));
    let near = Deadline::after(secs(1));
    let mut outer = Scope::root().with_timeout(secs(10));
    outer.enter(|| {
        assert_eq!(poll_once(far.scope(async { left() })), Poll::Ready(Some(secs(10))));
        assert_eq!(poll_once(near.scope(async { left() })), Poll::Ready(Some(secs(1))));
        assert_eq!(poll_once(Deadline::never().scope(async { left() })), Poll::Ready(Some(secs(10))));
    });
}

#[test]
fn a_scope_moves_between_threads() {
    let deadline = Deadline::after(secs(30));
    let mut work = Box::pin(Scope::root().with_attempt(7).with_deadline(deadline).wrap({
        let mut polls = 0;
        poll_fn(move |_| {
            assert_eq!((Scope::current().attempt(), Deadline::current()), (7, deadline));
            polls += 1;
            if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
        })
    }));
    for n in 1..=3 {
        let (back, done) = std::thread::spawn(move || {
            let done = work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
            assert_eq!(left(), None, "nothing stays on the thread");
            (work, done)
        })
        .join()
        .expect("no panic");
        assert_eq!(done, n == 3);
        work = back;
    }
    assert_eq!(left(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_on_two_workers_do_not_mix_their_scopes() {
    let tasks: Vec<_> = (1..=64_u32)
        .map(|n| {
            tokio::spawn(Scope::root().with_attempt(n).wrap(async move {
                for _ in 0..50 {
                    assert_eq!(Scope::current().attempt(), n);
                    tokio::task::yield_now().await;
                }
            }))
        })
        .collect();
    for task in tasks {
        task.await.expect("each sees its own");
    }
}

// ===== panics =====

#[test]
fn a_panic_in_a_call_puts_the_outer_scope_back() {
    let mut outer = Scope::root().with_attempt(2).with_deadline(Deadline::after(secs(9)));
    outer.enter(|| {
        let before = Deadline::current();
        let mut inner = Scope::current().with_attempt(3).with_deadline(Deadline::after(secs(1)));
        let panic = catch_unwind(AssertUnwindSafe(|| inner.enter(|| panic!("as planned"))));
        assert!(panic.is_err());
        assert_eq!((Scope::current().attempt(), Deadline::current()), (2, before));
    });
    assert_eq!((Scope::current().attempt(), left()), (1, None));
}

#[test]
fn a_panic_in_a_poll_puts_the_outer_scope_back() {
    let panics = Scope::root().with_timeout(SECOND).with_attempt(5).wrap(async {
        let _ = Deadline::current();
        panic!("as planned");
    });
    assert!(catch_unwind(AssertUnwindSafe(|| poll_once(panics))).is_err());
    assert_eq!((Scope::current().attempt(), left()), (1, None));
}

#[tokio::test(start_paused = true)]
async fn what_was_fixed_before_a_panic_stays_fixed() {
    let mut scope = Scope::root().with_timeout(secs(5));
    let panic = catch_unwind(AssertUnwindSafe(|| {
        scope.enter(|| {
            let _ = Deadline::current();
            panic!("as planned")
        })
    }));
    assert!(panic.is_err());
    advance(secs(2)).await;
    assert_eq!(scope.deadline().remaining(), Some(secs(3)));
}

// ===== nesting =====

#[tokio::test(start_paused = true)]
async fn nesting_only_shortens_in_both_orders() {
    type Make = fn(Scope, u64) -> Scope;
    let lazy: Make = |scope, n| scope.with_timeout(secs(n));
    let fixed: Make = |scope, n| scope.with_deadline(Deadline::after(secs(n)));
    for outer in [lazy, fixed] {
        for inner in [lazy, fixed] {
            for (a, b) in [(3, 8), (8, 3), (5, 5), (0, 4), (4, 0)] {
                let expected = Some(secs(a.min(b)));
                // Independent of each other, and derived from the current one.
                let seen = outer(Scope::root(), a).enter(|| inner(Scope::root(), b).enter(left));
                assert_eq!(seen, expected, "{a} around {b}");
                let seen = outer(Scope::root(), a).enter(|| inner(Scope::current(), b).enter(left));
                assert_eq!(seen, expected, "{a} around {b}, derived");
                // Both set on one scope.
                assert_eq!(inner(outer(Scope::root(), a), b).deadline().remaining(), expected, "{a} then {b}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_too_long_for_an_instant_is_never() {
    let max = Duration::MAX;
    assert_eq!(Scope::root().with_timeout(max).enter(left), None);
    assert_eq!(
        Scope::root().with_timeout(secs(5)).enter(|| Scope::root().with_timeout(max).enter(left)),
        Some(secs(5))
    );
    assert_eq!(
        Scope::root().with_timeout(max).enter(|| Scope::root().with_timeout(secs(5)).enter(left)),
        Some(secs(5))
    );
    assert_eq!(Scope::root().with_timeout(max).enter(|| Scope::root().with_timeout(max).enter(left)), None);
    assert_eq!(Scope::root().with_deadline(Deadline::after(secs(5))).with_timeout(max).enter(left), Some(secs(5)));
    assert_eq!(Scope::root().with_timeout(max).with_deadline(Deadline::after(secs(5))).enter(left), Some(secs(5)));
    assert!(Deadline::after(max).is_never());

    // Once it is known to be never, it is not asked for again.
    let mut scope = Scope::root().with_timeout(max);
    assert!(scope.has_deadline());
    assert!(scope.deadline().is_never());
    assert!(!scope.has_deadline());
}

#[test]
fn the_attempt_alone_changes_no_deadline() {
    let mut outer = Scope::root().with_deadline(Deadline::after(secs(5)));
    outer.enter(|| {
        let before = Deadline::current();
        Scope::current().without_deadline().with_attempt(2).enter(|| {
            assert_eq!((Deadline::current(), Scope::current().attempt()), (before, 2));
        });
    });
}

// ===== lazy fixing =====

#[tokio::test(start_paused = true)]
async fn making_and_entering_fixes_nothing() {
    let mut scope = Scope::root().with_timeout(secs(5));
    scope.enter(|| {
        assert!(Scope::current().has_deadline());
        assert!(!Scope::current().has_passed());
        Scope::current().without_deadline().with_attempt(2).enter(|| ());
    });
    advance(secs(60)).await;
    assert_eq!(scope.enter(left), Some(secs(5)), "still open after a minute: no clock was read");
}

#[tokio::test(start_paused = true)]
async fn the_first_reader_fixes_it_for_the_scope_that_was_entered() {
    let mut scope = Scope::root().with_timeout(secs(5));
    assert_eq!(scope.enter(left), Some(secs(5)));
    advance(secs(2)).await;
    assert_eq!(scope.enter(left), Some(secs(3)));
    assert_eq!(scope.deadline().remaining(), Some(secs(3)));
}

#[tokio::test(start_paused = true)]
async fn a_reader_inside_of_an_attempt_fixes_it_for_the_scope_around() {
    let mut scope = Scope::root().with_timeout(secs(5));
    let mut attempt = Scope::root().with_attempt(2);
    assert_eq!(scope.enter(|| attempt.enter(left)), Some(secs(5)));
    assert!(!attempt.has_deadline(), "it is the outer scope's");
    advance(secs(2)).await;
    assert_eq!(scope.enter(|| attempt.enter(left)), Some(secs(3)));
    assert_eq!(scope.enter(left), Some(secs(3)));
}

#[tokio::test(start_paused = true)]
async fn two_open_ones_are_fixed_at_the_same_instant() {
    let mut outer = Scope::root().with_timeout(secs(5));
    let mut inner = Scope::root().with_timeout(secs(8));
    outer.enter(|| inner.enter(|| ()));
    advance(secs(1)).await;
    assert_eq!(outer.deadline().remaining(), Some(secs(4)));
    assert_eq!(inner.deadline().remaining(), Some(secs(7)), "its own, not the shorter one of where it was entered");
}

#[tokio::test(start_paused = true)]
async fn entering_inside_of_another_does_not_take_over_its_deadline() {
    let mut inner = Scope::root().with_timeout(secs(8));
    Scope::root().with_timeout(secs(1)).enter(|| assert_eq!(inner.enter(left), Some(secs(1))));
    assert_eq!(inner.enter(left), Some(secs(8)));
}

#[tokio::test(start_paused = true)]
async fn a_wrapped_future_fixes_it_when_it_is_first_pending() {
    let mut work = pin!(Scope::root().with_timeout(secs(5)).wrap(async {
        sleep(secs(2)).await;
        left()
    }));
    advance(secs(60)).await;
    let mut cx = Context::from_waker(Waker::noop());
    assert!(work.as_mut().poll(&mut cx).is_pending());
    advance(secs(2)).await;
    assert_eq!(work.as_mut().poll(&mut cx), Poll::Ready(Some(secs(3))));
}

#[tokio::test(start_paused = true)]
async fn a_wrapped_future_that_is_ready_reads_no_clock() {
    let mut work = pin!(Scope::root().with_timeout(secs(5)).wrap(ready(())));
    assert!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    advance(secs(60)).await;
    assert_eq!(work.scope_mut().deadline().remaining(), Some(secs(5)));
}

#[tokio::test(start_paused = true)]
async fn has_passed_is_from_the_instant_on() {
    assert!(!Scope::root().has_passed());
    assert!(Scope::root().with_timeout(Duration::ZERO).has_passed());
    assert!(!Scope::root().with_timeout(Duration::from_nanos(1)).has_passed());
    let scope = Scope::root().with_deadline(Deadline::after(secs(1)));
    assert!(!scope.has_passed());
    advance(secs(1)).await;
    assert!(scope.has_passed());
}

// ===== the deadline itself =====

#[tokio::test(start_paused = true)]
async fn a_deadline_says_what_is_left() {
    let deadline = Deadline::after(secs(2));
    assert_eq!(deadline.remaining(), Some(secs(2)));
    assert!(deadline.allows(secs(2) - Duration::from_nanos(1)));
    assert!(!deadline.allows(secs(2)), "what ends at the deadline does not end before it");
    advance(secs(2)).await;
    assert!(deadline.has_passed());
    assert_eq!(deadline.remaining(), Some(Duration::ZERO));
    assert!(!deadline.allows(Duration::ZERO));
    advance(secs(2)).await;
    assert_eq!(deadline.remaining(), Some(Duration::ZERO));

    let never = Deadline::never();
    assert!(never.is_never() && !never.has_passed() && never.allows(Duration::MAX));
    assert_eq!((never.instant(), never.remaining()), (None, None));
    assert_eq!(never.earlier(deadline), deadline);
    assert_eq!(deadline.earlier(never), deadline);
    assert_eq!(never.earlier(never), never);
    assert_eq!(deadline.earlier(Deadline::after(secs(1))), deadline);
    assert_eq!(format!("{never:?}"), "Deadline(never)");
    assert!(format!("{deadline:?}").starts_with("Deadline(Instant"));
    assert_eq!(Deadline::from(deadline.instant().expect("it has one")), deadline);
}

// ===== cost =====

#[test]
fn a_scope_allocates_nothing() {
    let allocations = alloc::count(|| {
        for n in 0..100 {
            let mut scope = Scope::current().with_timeout(SECOND).with_attempt(n);
            scope.enter(|| {
                let mut attempt = Scope::current().without_deadline().with_attempt(n + 1);
                attempt.enter(|| assert!(!Deadline::current().is_never()));
                assert!(poll_once(Deadline::current().scope(ready(()))).is_ready());
            });
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn a_scope_is_small_enough_to_copy() {
    assert!(size_of::<Scope>() <= 32, "{}", size_of::<Scope>());
    assert!(size_of::<Deadline>() <= 16, "{}", size_of::<Deadline>());
}
