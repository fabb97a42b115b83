//! The first success, and the first `k`.

use std::time::Duration;

use donjon_core::{CallError, Outcome, Reject, Sent};
use donjon_fanout::FanOutExt;
use futures_util::FutureExt;
use tokio::time::Instant;

use crate::scripted::{Act, Scripted};

#[tokio::test(start_paused = true)]
async fn the_first_success_cancels_the_rest() {
    let service = Scripted::new();
    let items = [("late", Act::Ok(30)), ("bad", Act::Fail(5)), ("first", Act::Ok(10)), ("never", Act::Never)];
    let start = Instant::now();
    let mut first_ok = service.fan_out(items).first_ok();
    assert_eq!((&mut first_ok).await.unwrap(), ("first", 10));
    assert_eq!(start.elapsed().as_millis(), 10);
    assert_eq!(service.in_flight(), 0, "though the finished future is still alive");
}

#[tokio::test(start_paused = true)]
async fn all_errors_come_back_when_there_is_no_success() {
    let service = Scripted::new();
    let items = (0..15).map(|n| (n, Act::Fail(15 - n)));
    let failed = service.fan_out(items).at_once(4).first_ok().await.unwrap_err();
    let mut keys: Vec<_> = failed.failures.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    assert_eq!(keys, (0..15).collect::<Vec<_>>());
    assert_eq!(failed.to_string(), "0 of 1 needed calls succeeded and 15 failed, the last: failed as scripted");
    assert!(format!("{failed:?}").contains("Failed"), "{failed:?}");
    let _: &dyn std::error::Error = &failed;
}

#[tokio::test(start_paused = true)]
async fn one_at_once_tries_one_after_the_other() {
    let service = Scripted::new();
    let items = [(0, Act::Fail(10)), (1, Act::Fail(10)), (2, Act::Ok(10)), (3, Act::Ok(10))];
    let start = Instant::now();
    assert_eq!(service.fan_out(items).at_once(1).first_ok().await.unwrap(), (2, 10));
    assert_eq!((service.called(), start.elapsed().as_millis()), (3, 30));
}

#[tokio::test(start_paused = true)]
async fn a_quorum_ends_with_the_last_that_it_needs() {
    let service = Scripted::new();
    let items = [(0, Act::Ok(30)), (1, Act::Ok(10)), (2, Act::Fail(1)), (3, Act::Never), (4, Act::Ok(20))];
    let mut quorum = service.fan_out(items).quorum(2);
    assert_eq!((&mut quorum).await.unwrap(), [(1, 10), (4, 20)]);
    assert_eq!(service.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_quorum_ends_as_soon_as_it_is_out_of_reach() {
    let service = Scripted::new();
    let items = [(0, Act::Ok(5)), (1, Act::Fail(10)), (2, Act::Never), (3, Act::Fail(20)), (4, Act::Never)];
    let start = Instant::now();
    let mut quorum = service.fan_out(items).quorum(4);
    let failed = (&mut quorum).await.unwrap_err();
    assert_eq!(start.elapsed().as_millis(), 20, "two failures of five leave three");
    assert_eq!(failed.needed, 4);
    assert_eq!(failed.successes, [(0, 5)]);
    assert_eq!(failed.failures.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(service.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_quorum_larger_than_its_source_sends_nothing() {
    let service = Scripted::new();
    let failed = service.fan_out((0..3).map(|n| (n, Act::Ok(0)))).quorum(4).await.unwrap_err();
    assert!(failed.successes.is_empty() && failed.failures.is_empty());
    assert_eq!(service.called(), 0);
    // A source that does not know how much it has is read to its end, and no further result is waited for.
    let items = (0..3).map(|n| (n, Act::Ok(5))).take_while(|_| true).chain(std::iter::from_fn(|| None));
    let start = Instant::now();
    let failed = service.fan_out(items).quorum(4).await.unwrap_err();
    assert_eq!((service.called(), failed.successes.len(), service.in_flight()), (3, 0, 0));
    assert_eq!(start.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_quorum_of_none_is_there_at_once() {
    let service = Scripted::new();
    let quorum = service.fan_out((0..3).map(|n| (n, Act::Never))).quorum(0);
    assert!(quorum.now_or_never().unwrap().unwrap().is_empty());
    assert_eq!(service.called(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_says_what_a_success_is() {
    let service = Scripted::new();
    // Anything faster than 10 ms is too good to be true.
    let slow = |result: Result<&u64, &CallError>| match result {
        Ok(ms) if *ms >= 10 => Outcome::Success,
        _ => Outcome::Transient { sent: Sent::Answered, retry_after: None },
    };
    let items = [(0, Act::Ok(5)), (1, Act::Ok(12)), (2, Act::Fail(1)), (3, Act::Ok(11))];
    assert_eq!(service.fan_out(items).first_ok_by(slow).await.unwrap(), (3, 11));
    assert_eq!(service.fan_out(items).quorum_by(2, slow).await.unwrap(), [(3, 11), (1, 12)]);
    let failed = service.fan_out(items).quorum_by(3, slow).await.unwrap_err();
    let kept: Vec<_> = failed.failures.iter().map(|(key, result)| (*key, result.as_ref().ok().copied())).collect();
    assert_eq!(kept, [(2, None), (0, Some(5))], "a response that is no success comes back as a response");
    let text = "0 of 3 needed calls succeeded and 2 failed, the last: the response was no success";
    assert_eq!(failed.to_string(), text);
    // What is an error is none either, whatever the classifier says.
    let all = |_: Result<&u64, &CallError>| Outcome::Success;
    assert_eq!(service.fan_out([(0, Act::Fail(1))]).first_ok_by(all).await.unwrap_err().failures.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_it_with_what_there_is() {
    let service = Scripted::new();
    let items = [(0, Act::Ok(5)), (1, Act::Never), (2, Act::Never)];
    let start = Instant::now();
    let failed = service.fan_out(items).deadline(Duration::from_millis(50)).quorum(2).await.unwrap_err();
    assert_eq!(start.elapsed().as_millis(), 50);
    assert_eq!((failed.successes.len(), failed.failures.len()), (1, 2));
}

/// A source without an end that panics long before it eats the machine.
fn endless(act: Act) -> impl Iterator<Item = (u32, Act)> {
    (0..).map(move |n| {
        assert!(n < 10_000, "it is read on and on");
        (n, act)
    })
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_it_though_its_source_never_ends() {
    let service = Scripted::new();
    let start = Instant::now();
    let tries = service.fan_out(endless(Act::Fail(10))).at_once(1).deadline(Duration::from_millis(95));
    let failed = tries.first_ok().await.unwrap_err();
    assert_eq!(start.elapsed().as_millis(), 95);
    assert_eq!((failed.failures.len(), service.called(), service.in_flight()), (10, 10, 0));
    assert!(failed.failures[9].1.as_rejection().is_some(), "the one that was in flight");
    let failed = service.fan_out(endless(Act::Never)).deadline(Duration::ZERO).quorum(3).await.unwrap_err();
    assert!(!failed.failures.is_empty() && failed.failures.iter().all(|(_, error)| error.as_rejection().is_some()));
    // Where none may be in flight there is no hope from the start.
    let failed = service.fan_out(endless(Act::Ok(0))).at_once(0).first_ok().await.unwrap_err();
    assert_eq!((failed.failures.len(), service.called()), (1, 10));
}

/// Otherwise no timeout around it could ever end it.
#[tokio::test]
async fn calls_that_are_done_at_once_share_their_thread() {
    let fails = tower::service_fn(|_: Act| async { Err::<u64, _>(CallError::new(crate::scripted::Failed)) });
    let mut tries = fails.fan_out(endless(Act::Never)).first_ok();
    assert!((&mut tries).now_or_never().is_none());
    let mut all = fails.fan_out(endless(Act::Never).take(9_000)).collect::<Vec<_>>();
    assert!((&mut all).now_or_never().is_none());
    assert_eq!(all.await.len(), 9_000);
}
