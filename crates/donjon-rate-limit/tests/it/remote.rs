//! A limiter that answers later, behind the same layer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use donjon_core::{Answer, CallError, Deadline, Phase, RejectionKind};
use donjon_rate_limit::{Ask, Limiter, RateLimitLayer, Standing, Turn, Verdict};
use donjon_test::{Number, contract::Contract};
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::refusal;

const ROUND_TRIP: Duration = Duration::from_millis(20);

/// Admits the first, lets the second wait for 50 ms more, and refuses the rest; each after a round trip.
#[derive(Clone, Default)]
struct Remote {
    asked: Arc<AtomicU64>,
    given_back: Arc<AtomicU64>,
}

struct Place {
    at: Instant,
    given_back: Option<Arc<AtomicU64>>,
}

const STANDING: Standing = Standing { burst: 2, window: ROUND_TRIP, remaining: 0, reset: ROUND_TRIP };

impl Limiter for Remote {
    type Turn = Place;
    type Later = BoxFuture<'static, Verdict<Place>>;

    fn acquire(&self, ask: Ask) -> Answer<Self::Later> {
        let number = self.asked.fetch_add(ask.cost(), Ordering::Relaxed);
        let given_back = Some(Arc::clone(&self.given_back));
        Answer::Later(Box::pin(async move {
            sleep(ROUND_TRIP).await;
            match number {
                0 => Verdict::Admitted(STANDING),
                1 => Verdict::Wait(Place { at: Instant::now() + Duration::from_millis(50), given_back }),
                _ => Verdict::Refused { retry_after: Some(ROUND_TRIP), standing: None },
            }
        }))
    }
}

impl Turn for Place {
    fn at(&self) -> Instant {
        self.at
    }

    fn take(mut self) -> Option<Standing> {
        self.given_back = None;
        Some(STANDING)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(given_back) = &self.given_back {
            given_back.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_layer_waits_for_its_verdicts_and_does_as_they_say() {
    let remote = Remote::default();
    let service = RateLimitLayer::with_limiter(remote.clone()).layer(service_fn(async |n: u64| Ok::<_, CallError>(n)));
    let start = Instant::now();
    let call = |n| {
        let service = service.clone();
        async move { (service.oneshot(n).await, start.elapsed()) }
    };
    let ((first, at), (second, later), (third, _)) = tokio::join!(call(0), call(1), call(2));
    assert_eq!((first.unwrap(), at), (0, ROUND_TRIP));
    assert_eq!((second.unwrap(), later), (1, ROUND_TRIP + Duration::from_millis(50)));
    assert_eq!(refusal(third), (RejectionKind::RateLimited, Phase::Admission, Some(ROUND_TRIP)));
    assert_eq!(remote.given_back.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_asking_and_a_dropped_turn_is_given_back() {
    let remote = Remote::default();
    let service = RateLimitLayer::with_limiter(remote.clone()).layer(service_fn(async |n: u64| Ok::<_, CallError>(n)));
    let start = Instant::now();
    let result = Deadline::after(ROUND_TRIP / 2).scope(service.clone().oneshot(0)).await;
    assert_eq!(refusal(result), (RejectionKind::DeadlineExceeded, Phase::Admission, None));
    assert_eq!(start.elapsed(), ROUND_TRIP / 2);
    let waits = tokio::time::timeout(2 * ROUND_TRIP, service.oneshot(1)).await;
    assert!(waits.is_err());
    assert_eq!(remote.given_back.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_turn_beyond_the_deadline_is_waited_for_no_longer_than_that_and_given_back() {
    let remote = Remote::default();
    remote.asked.store(1, Ordering::Relaxed);
    let service = RateLimitLayer::with_limiter(remote.clone()).layer(service_fn(async |n: u64| Ok::<_, CallError>(n)));
    let start = Instant::now();
    let result = Deadline::after(2 * ROUND_TRIP).scope(service.oneshot(1)).await;
    assert_eq!(refusal(result), (RejectionKind::DeadlineExceeded, Phase::Queue, None));
    assert_eq!(start.elapsed(), 2 * ROUND_TRIP, "and not at the turn");
    assert_eq!(remote.given_back.load(Ordering::Relaxed), 1);
}

/// Admits everything, not at its first poll.
#[derive(Clone)]
struct Slow;

impl Limiter for Slow {
    type Turn = Place;
    type Later = BoxFuture<'static, Verdict<Place>>;

    fn acquire(&self, _: Ask) -> Answer<Self::Later> {
        Answer::Later(Box::pin(async {
            tokio::task::yield_now().await;
            Verdict::Admitted(STANDING)
        }))
    }
}

#[test]
fn a_layer_over_a_remote_limiter_keeps_the_laws() {
    Contract::new()
        .skip(
            donjon_test::contract::Check::NoTimerWhenReady,
            "a verdict that is still to come is waited for up to the deadline",
        )
        .check_over(Number, || RateLimitLayer::with_limiter(Slow))
        .unwrap();
}
