//! Rates that change while running.

use std::time::Duration;

use donjon_core::{Phase, RejectionKind};
use donjon_rate_limit::{Rate, RateLimitLayer};
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready, task::spawn};
use tower::ServiceExt;

use crate::support::{echo, passed, refusal};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_was_taken_stays_taken_and_comes_back_at_the_new_rate() {
    let limit = RateLimitLayer::new(Rate::per_second(10).burst(10));
    let service = echo(&limit);
    assert_eq!(passed(&service, 6).await, 6);
    limit.handle().set_rate(Rate::per_second(2).burst(10)).unwrap();
    assert_eq!(passed(&service, 20).await, 4, "six are missing still");
    advance(SECOND).await;
    assert_eq!(passed(&service, 20).await, 2, "at the new rate");
    assert_eq!(limit.handle().rate(), Rate::per_second(2).burst(10));
}

#[tokio::test(start_paused = true)]
async fn a_higher_burst_gives_the_difference_and_a_lower_one_takes_it() {
    let limit = RateLimitLayer::new(Rate::per_second(1).burst(10));
    let service = echo(&limit);
    assert_eq!(passed(&service, 20).await, 10);
    limit.handle().set_rate(Rate::per_second(1).burst(15)).unwrap();
    assert_eq!(passed(&service, 20).await, 5);
    limit.handle().set_rate(Rate::per_second(1).burst(2)).unwrap();
    assert_eq!(limit.handle().stats().available, 0);
    assert_eq!(refusal(service.clone().oneshot(1).await).2, Some(SECOND), "empty, and no emptier than that");
    advance(60 * SECOND).await;
    assert_eq!(passed(&service, 20).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_rate_that_becomes_a_fast_one_does_not_wait_for_the_slow_one() {
    let limit = RateLimitLayer::new(Rate::per_hour(1));
    let service = echo(&limit);
    assert_eq!(passed(&service, 2).await, 1);
    limit.handle().set_rate(Rate::per_second(10).burst(1)).unwrap();
    assert_eq!(refusal(service.clone().oneshot(1).await).2, Some(SECOND / 10));
    advance(SECOND / 10).await;
    assert_eq!(passed(&service, 2).await, 1);
}

#[tokio::test(start_paused = true)]
async fn nought_stops_everybody_and_those_who_wait_at_their_turn_and_time_stands_still() {
    let limit = RateLimitLayer::new(Rate::per_second(10).burst(4)).max_wait(SECOND);
    let service = echo(&limit);
    assert_eq!(passed(&service, 4).await, 4);
    let mut waits = spawn(service.clone().oneshot(1));
    assert_pending!(waits.poll());
    limit.handle().set_rate(Rate::per_second(0)).unwrap();
    assert_eq!(refusal(service.clone().oneshot(1).await), (RejectionKind::RateLimited, Phase::Admission, None));
    advance(SECOND / 10).await;
    assert_eq!(refusal(assert_ready!(waits.poll())), (RejectionKind::RateLimited, Phase::Queue, None));
    advance(60 * SECOND).await;
    assert_eq!(passed(&service, 4).await, 0);
    limit.handle().set_rate(Rate::per_second(10).burst(4)).unwrap();
    assert_eq!(limit.handle().stats().available, 0, "nothing has come back while nothing came back");
    advance(SECOND / 5).await;
    assert_eq!(limit.handle().stats().available, 2);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_keep_their_turns_and_newcomers_are_behind_them() {
    let limit = RateLimitLayer::new(Rate::per_second(1)).max_wait(10 * SECOND);
    let service = echo(&limit);
    assert_eq!(passed(&service, 1).await, 1);
    let start = Instant::now();
    let mut waits = [spawn(service.clone().oneshot(1)), spawn(service.clone().oneshot(2))];
    for call in &mut waits {
        assert_pending!(call.poll());
    }
    limit.handle().set_rate(Rate::per_second(100).burst(1)).unwrap();
    let newcomer = service.clone().oneshot(3);
    newcomer.await.unwrap();
    assert_eq!(start.elapsed(), 2 * SECOND + SECOND / 100, "the two have had their turns at 1 and 2 s");
    for call in &mut waits {
        assert!(call.is_woken());
        assert_ready!(call.poll()).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_starts_nobody_whom_the_rate_would_not() {
    const RATE: Rate = Rate::per_second(10).burst(1);
    for pause in [Rate::per_second(0), RATE.burst(0)] {
        let limit = RateLimitLayer::new(RATE).max_wait(10 * SECOND);
        let service = echo(&limit);
        let start = Instant::now();
        let call = |n| {
            let service = service.clone();
            async move {
                service.oneshot(n).await.unwrap();
                start.elapsed()
            }
        };
        let mut calls: Vec<_> = (0..21).map(|n| spawn(call(n))).collect();
        assert_ready!(calls[0].poll());
        calls[1..].iter_mut().for_each(|call| assert_pending!(call.poll()));
        limit.handle().set_rate(pause).unwrap();
        limit.handle().set_rate(RATE).unwrap();
        calls.extend((0..20).map(|n| spawn(call(n))));
        let starts = futures_util::future::join_all(calls.into_iter().skip(1)).await;
        let expected: Vec<_> = (1..=40).map(|n| n * SECOND / 10).collect();
        assert_eq!(starts, expected, "one each 100 ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_of_a_rate_that_is_over_gives_nothing_back() {
    let limit = RateLimitLayer::new(Rate::per_second(1)).max_wait(10 * SECOND);
    let service = echo(&limit);
    assert_eq!(passed(&service, 1).await, 1);
    let mut waits = spawn(service.clone().oneshot(1));
    assert_pending!(waits.poll());
    limit.handle().set_rate(Rate::per_second(2).burst(1)).unwrap();
    drop(waits);
    assert_eq!(limit.handle().stats().waiting, 0);
    assert_eq!(refusal(echo(&limit.clone().max_wait(Duration::ZERO)).oneshot(1).await).2, Some(SECOND + SECOND / 2));
}

/// The bucket's word has room for 64 numbers of terms; a place is told from one of other terms by more than that.
#[tokio::test(start_paused = true)]
async fn a_place_of_terms_that_changed_64_times_since_is_not_given_to_another() {
    const RATE: Rate = Rate::per_second(10).burst(1);
    let limit = RateLimitLayer::new(RATE).max_wait(10 * SECOND);
    let service = echo(&limit);
    let start = Instant::now();
    let call = |n| {
        let service = service.clone();
        async move { (service.oneshot(n).await.unwrap(), start.elapsed()) }
    };
    assert_eq!(passed(&service, 1).await, 1);
    let mut leaves = spawn(call(1));
    let mut stays = spawn(call(2));
    assert_pending!(leaves.poll());
    assert_pending!(stays.poll());
    advance(SECOND / 20).await;
    for _ in 0..64 {
        limit.handle().set_rate(RATE).unwrap();
    }
    drop(leaves);
    let mut comes = spawn(call(3));
    assert_pending!(comes.poll());
    let (stays, comes) = tokio::join!(stays, comes);
    assert_eq!((stays.1, comes.1), (SECOND / 5, SECOND * 3 / 10), "100 ms apart");
}

#[test]
fn the_burst_that_is_told_is_the_one_that_holds() {
    let years = Duration::from_secs(2 * 365 * 86_400);
    let stats = RateLimitLayer::new(Rate::per(1, years).burst(1000)).handle().stats();
    assert_eq!((stats.available, stats.burst), (1, 1), "a thousand would take two thousand years to come back");
    let limit = RateLimitLayer::new(Rate::per_second(7).burst(9));
    assert_eq!(limit.handle().stats().burst, 9);
    limit.handle().set_rate(Rate::per_second(0).burst(9)).unwrap();
    assert_eq!(limit.handle().stats().burst, 0);
}

#[test]
fn a_rate_that_means_nothing_is_not_set() {
    let limit = RateLimitLayer::new(Rate::per_second(7));
    let century = Duration::from_secs(100 * 365 * 86_400);
    let error = limit.handle().set_rate(Rate::per(1, century)).unwrap_err();
    assert!(error.to_string().starts_with("rate is 1 per"), "{error}");
    assert!(limit.handle().set_rate(Rate::per_second(1).burst(u64::MAX)).is_err());
    assert_eq!(limit.handle().rate(), Rate::per_second(7));
}
