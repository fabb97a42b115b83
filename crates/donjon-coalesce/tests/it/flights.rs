//! The primitive, without a service.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use donjon_coalesce::{Flights, Joined, Landing, Role};
use donjon_core::{Deadline, Rejection, RejectionKind};
use tokio::{sync::oneshot, task::yield_now, time::sleep};
use tokio_test::{assert_pending, assert_ready, task::spawn};

type Numbers = Flights<u64, u64, Rejection>;

fn follow(flights: &Numbers, key: u64) -> Joined<u64, u64, Rejection> {
    match flights.enter(key) {
        Role::Follow(joined) => joined,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_lead_that_is_dropped_frees_the_key_for_those_who_have_joined() {
    let flights = Numbers::new();
    let Role::Lead(lead) = flights.enter(1) else { panic!("nobody is here") };
    assert_eq!(*lead.key(), 1);
    let mut first = spawn(follow(&flights, 1));
    let mut second = spawn(follow(&flights, 1));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    drop(lead);
    assert!(first.is_woken() && second.is_woken());
    let Landing::Again(again) = assert_ready!(first.poll()) else { panic!("nothing has come of it") };
    assert_eq!(*again.key(), 1);
    let Role::Lead(lead) = again.enter() else { panic!("it is the first to start again") };
    let Landing::Again(again) = assert_ready!(second.poll()) else { panic!("nothing has come of it") };
    let Role::Follow(second) = again.enter() else { panic!("the other one has started") };
    assert!(matches!(lead.start(async { Ok(42) }).await, Landing::Own(Ok(42))));
    assert!(matches!(second.await, Landing::Joined(42)));
    assert!(flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_joined_before_the_start_may_drive() {
    let flights = Numbers::new();
    let Role::Lead(lead) = flights.enter(1) else { panic!("nobody is here") };
    let mut follower = spawn(follow(&flights, 1));
    assert_pending!(follower.poll());
    // It is kept and never polled.
    let unpolled = lead.start(async { Ok(42) });
    assert!(follower.is_woken());
    assert!(matches!(assert_ready!(follower.poll()), Landing::Joined(42)));
    assert!(matches!(unpolled.await, Landing::Own(Ok(42))));
}

#[tokio::test(start_paused = true)]
async fn a_bound_on_followers_holds() {
    let flights = Numbers::new().max_followers(1);
    let Role::Lead(lead) = flights.enter(1) else { panic!("nobody is here") };
    let _follower = follow(&flights, 1);
    assert!(matches!(flights.enter(1), Role::Full));
    assert!(matches!(flights.enter(2), Role::Lead(_)));
    drop(lead);
    assert_eq!(flights.stats().refused, 1);
}

/// Notes how many hold on to something when it is woken.
struct Watches {
    held: Arc<()>,
    seen: AtomicUsize,
}

impl Wake for Watches {
    fn wake(self: Arc<Self>) {
        self.seen.store(Arc::strong_count(&self.held), Relaxed);
    }
}

/// Holds on to something for as long as it is there, its end included.
struct Holds {
    _held: Arc<()>,
    answered: oneshot::Receiver<u64>,
}

impl Future for Holds {
    type Output = Result<u64, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answered).poll(cx).map(|answer| Ok(answer.expect("it is sent")))
    }
}

#[tokio::test(start_paused = true)]
async fn the_future_is_dropped_before_anybody_is_told_of_its_end() {
    let flights = Numbers::new();
    let held = Arc::new(());
    let (answer, answered) = oneshot::channel();
    let Role::Lead(lead) = flights.enter(1) else { panic!("nobody is here") };
    let mut leader = spawn(lead.start(Holds { _held: Arc::clone(&held), answered }));
    assert_pending!(leader.poll());
    let watches = Arc::new(Watches { held, seen: AtomicUsize::new(0) });
    // With less time than the driver it is not woken to poll the call, but for its end alone.
    let mut follower = pin!(Deadline::after(Duration::from_secs(1)).scope(follow(&flights, 1)));
    let waker = Waker::from(Arc::clone(&watches));
    assert_pending!(follower.as_mut().poll(&mut Context::from_waker(&waker)));
    answer.send(42).unwrap();
    assert_eq!(watches.seen.load(Relaxed), 0);
    assert!(matches!(assert_ready!(leader.poll()), Landing::Own(Ok(42))));
    assert_eq!(watches.seen.load(Relaxed), 1, "the call is gone");
    assert!(matches!(follower.await, Landing::Joined(42)));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_its_own_ends_one_and_not_the_call() {
    let flights = Numbers::new();
    let Role::Lead(lead) = flights.enter(1) else { panic!("nobody is here") };
    let leader = tokio::spawn(lead.start(async {
        sleep(Duration::from_secs(1)).await;
        Ok(42)
    }));
    let deadline = Deadline::after(Duration::from_millis(50));
    let Landing::Refused(rejection) = deadline.scope(follow(&flights, 1)).await else { panic!("it is late") };
    assert_eq!(rejection.kind(), RejectionKind::DeadlineExceeded);
    assert!(matches!(leader.await.unwrap(), Landing::Own(Ok(42))));
}

/// Every caller that is not dropped has an answer, and an answer that is of its key and not older than itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_on_many_threads_that_come_and_go() {
    let flights = Numbers::new();
    let clock = Arc::new(AtomicU64::new(0));
    let calls = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..400)
        .map(|n: u64| {
            let (flights, clock, calls) = (flights.clone(), Arc::clone(&clock), Arc::clone(&calls));
            tokio::spawn(async move {
                let key = n % 3;
                for round in 0..20 {
                    let mut role = flights.enter(key);
                    let leaves_after = (n + round) % 5;
                    let answer = loop {
                        let joined = match role {
                            Role::Lead(lead) => {
                                calls.fetch_add(1, Relaxed);
                                let clock = Arc::clone(&clock);
                                lead.start(async move {
                                    for _ in 0..4 {
                                        yield_now().await;
                                    }
                                    Ok(clock.fetch_add(1, Relaxed) * 3 + key)
                                })
                            }
                            Role::Follow(joined) => joined,
                            Role::Full => panic!("there is room"),
                        };
                        let mut joined = pin!(joined);
                        let mut polls = 0;
                        let landing = std::future::poll_fn(|cx| {
                            polls += 1;
                            if polls > leaves_after && leaves_after > 0 {
                                return Poll::Ready(None);
                            }
                            joined.as_mut().poll(cx).map(Some)
                        });
                        match landing.await {
                            Some(Landing::Own(Ok(answer)) | Landing::Joined(answer)) => break Some(answer),
                            Some(Landing::Again(again)) => role = again.enter(),
                            Some(other) => panic!("{other:?}"),
                            None => break None,
                        }
                    };
                    assert!(answer.is_none_or(|answer| answer % 3 == key));
                }
            })
        })
        .collect();
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(30), task).await.expect("nobody hangs").unwrap();
    }
    assert!(flights.is_empty());
    assert!(calls.load(Relaxed) < 8000, "some were made once for many");
}

#[tokio::test(start_paused = true)]
async fn one_with_a_deadline_does_not_poll_for_a_driver_of_whom_nothing_is_known() {
    let flights = Numbers::new();
    let Role::Lead(lead) = flights.enter(1) else { panic!("nobody is here") };
    // It is kept for a while, and has all the time there is.
    let unpolled = lead.start(async {
        match Deadline::current().instant() {
            Some(_) => Err(Rejection::new(RejectionKind::DeadlineExceeded, "inner")),
            None => Ok(42),
        }
    });
    let mut follower = spawn(Deadline::after(Duration::from_millis(50)).scope(follow(&flights, 1)));
    assert_pending!(follower.poll());
    assert!(matches!(unpolled.await, Landing::Own(Ok(42))));
    assert!(follower.is_woken());
    assert!(matches!(assert_ready!(follower.poll()), Landing::Joined(42)));
}
