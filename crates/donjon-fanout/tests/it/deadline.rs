//! One deadline for all: its own, the ambient one, and the earlier of both.

use std::time::Duration;

use donjon_core::{CallError, Outcome, Phase, Reject, RejectionKind, Scope, Sent};
use donjon_fanout::FanOutExt;
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use crate::scripted::{Act, Readiness, Scripted};

const MS: Duration = Duration::from_millis(1);

/// In which phase it was refused for the deadline.
fn phase(error: &CallError) -> Phase {
    let rejection = error.as_rejection().unwrap();
    assert_eq!((rejection.kind(), rejection.layer()), (RejectionKind::DeadlineExceeded, "fanout"));
    rejection.phase()
}

#[tokio::test(start_paused = true)]
async fn each_that_is_late_is_told_so_and_nothing_is_started_after_it() {
    let service = Scripted::new();
    let items = (0..20).map(|n| (n, if n % 2 == 0 { Act::Ok(10) } else { Act::Never }));
    let start = Instant::now();
    let all: Vec<_> = service.fan_out(items).at_once(4).deadline(100 * MS).collect().await;
    assert_eq!(start.elapsed(), 100 * MS);
    let told: Vec<_> = all.iter().map(|(_, result)| result.as_ref().map(|_| ()).map_err(phase)).collect();
    // 0 and 2 are done at 10 ms and make room for 4 and 5, 4 for 6, and 6 for 7; four that never end are in flight then.
    for (n, told) in told.iter().enumerate() {
        let expected = match n {
            0 | 2 | 4 | 6 => Ok(()),
            1 | 3 | 5 | 7 => Err(Phase::Attempt),
            _ => Err(Phase::Queue),
        };
        assert_eq!(*told, expected, "{n}");
    }
    assert_eq!((all.len(), service.called(), service.in_flight()), (20, 8, 0));
}

#[tokio::test(start_paused = true)]
async fn in_flight_calls_are_cancelled_when_it_passes_even_if_their_refusals_are_not_read() {
    let service = Scripted::new();
    let mut replies = service.fan_out((0..5).map(|n| (n, Act::Never))).deadline(10 * MS).as_completed();
    assert!(replies.next().await.unwrap().1.is_err());
    assert_eq!(service.in_flight(), 0);
    let mut rest = Vec::new();
    while let Some((n, _)) = replies.next().await {
        rest.push(n);
    }
    assert_eq!(rest, [1, 2, 3, 4], "in the order of the requests");
}

#[tokio::test(start_paused = true)]
async fn an_endless_source_does_not_keep_late_calls_alive() {
    let service = Scripted::new();
    let items = (0..).map(|n| (n, if n < 3 { Act::Never } else { Act::Ok(1) }));
    let mut replies = service.fan_out(items).at_once(5).deadline(10 * MS).as_completed();
    let mut late = 0;
    while late < 20 {
        let (_, result) = replies.next().await.unwrap();
        late += usize::from(result.is_err());
    }
    assert_eq!(service.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_readiness_have_not_been_sent() {
    let service = Scripted::with(Readiness::Never);
    let all: Vec<_> = service.fan_out([(0, Act::Ok(1))]).deadline(10 * MS).collect().await;
    let error = all[0].1.as_ref().unwrap_err();
    assert_eq!(phase(error), Phase::Ready);
    assert!(matches!(error.as_rejection().unwrap().outcome(), Outcome::Refused { .. }));
    let all: Vec<_> = Scripted::new().fan_out([(0, Act::Never)]).deadline(10 * MS).collect().await;
    let outcome = all[0].1.as_ref().unwrap_err().as_rejection().unwrap().outcome();
    assert!(matches!(outcome, Outcome::Transient { sent: Sent::Unknown, .. }));
}

#[tokio::test(start_paused = true)]
async fn the_ambient_deadline_holds_as_well() {
    let service = Scripted::new();
    for (own, ambient, at) in [(None, 50, 50), (Some(20), 50, 20), (Some(80), 50, 50)] {
        let mut fan_out = service.fan_out((0..20).map(|n| (n, Act::Never)));
        if let Some(own) = own {
            fan_out = fan_out.deadline(own * MS);
        }
        let start = Instant::now();
        let all: Vec<_> = Scope::current().with_timeout(ambient * MS).wrap(fan_out.collect()).await;
        assert_eq!(start.elapsed(), at * MS);
        assert_eq!(all.iter().filter(|(_, result)| phase(result.as_ref().unwrap_err()) == Phase::Attempt).count(), 10);
        assert_eq!((all.len(), service.in_flight()), (20, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_ambient_deadline_is_that_of_whoever_polls() {
    let service = Scripted::new();
    let fan_out = service.fan_out([(0, Act::Ok(30)), (1, Act::Never)]);
    let mut replies = Scope::current().with_timeout(10 * MS).wrap(async { fan_out.as_completed() }).await;
    // Made inside of a scope, polled outside of it.
    assert!(replies.next().await.unwrap().1.is_ok());
    let start = Instant::now();
    let (_, late) = Scope::current().with_timeout(5 * MS).wrap(replies.next()).await.unwrap();
    assert_eq!((phase(&late.unwrap_err()), start.elapsed()), (Phase::Attempt, 5 * MS));
}

#[tokio::test(start_paused = true)]
async fn another_ambient_deadline_replaces_the_one_before() {
    let service = Scripted::new();
    let mut replies = service.fan_out((0..2).map(|n| (n, Act::Never))).at_once(1).as_completed();
    let mut within = async |ms: u32, patience: u32| {
        let start = Instant::now();
        let next = Scope::current().with_timeout(ms * MS).wrap(replies.next());
        let result = tokio::time::timeout(patience * MS, next).await;
        (result.is_ok(), start.elapsed())
    };
    assert_eq!(within(50, 5).await, (false, 5 * MS));
    assert_eq!(within(10, 100).await, (true, 10 * MS), "an earlier one");
    assert_eq!(within(20, 5).await, (false, 5 * MS));
    assert_eq!(within(40, 100).await, (true, 40 * MS), "a later one");
}

#[tokio::test(start_paused = true)]
async fn the_calls_see_the_earlier_one() {
    let service = Scripted::new();
    let left = async |own: Option<u32>, ambient: Option<u32>| {
        let mut fan_out = service.fan_out([(0, Act::TimeLeft)]);
        if let Some(own) = own {
            fan_out = fan_out.deadline(own * MS);
        }
        let scope = ambient.map_or(Scope::current(), |ambient| Scope::current().with_timeout(ambient * MS));
        scope.wrap(fan_out.first_ok()).await.unwrap().1
    };
    assert_eq!(left(None, None).await, u64::MAX);
    assert_eq!(left(Some(70), None).await, 70);
    assert_eq!(left(None, Some(60)).await, 60);
    assert_eq!(left(Some(70), Some(60)).await, 60);
    assert_eq!(left(Some(50), Some(60)).await, 50);
}

#[tokio::test(start_paused = true)]
async fn zero_refuses_all_and_the_longest_none() {
    let service = Scripted::new();
    let items = || (0..5).map(|n| (n, Act::Ok(0)));
    let all: Vec<_> = service.fan_out(items()).deadline(Duration::ZERO).collect().await;
    assert!(all.iter().all(|(_, result)| phase(result.as_ref().unwrap_err()) == Phase::Queue));
    assert_eq!((all.len(), service.called()), (5, 0));
    let all: Vec<_> = service.fan_out(items()).deadline(Duration::MAX).collect().await;
    assert!(all.iter().all(|(_, result)| result.is_ok()));
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_there_at_the_deadline_is_given() {
    let service = Scripted::new();
    let all: Vec<_> = service.fan_out([(0, Act::Ok(10)), (1, Act::Ok(11))]).deadline(10 * MS).collect().await;
    assert!(all[0].1.is_ok());
    assert!(all[1].1.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_pending_is_not_waited_for() {
    let service = Scripted::new();
    let items = || stream::iter([(0, Act::Never), (1, Act::Ok(1))]).chain(stream::pending());
    let start = Instant::now();
    let all: Vec<_> = service.fan_out_stream(items()).deadline(10 * MS).collect().await;
    assert_eq!((all.len(), start.elapsed()), (2, 10 * MS));
    assert!(all[0].1.is_err() && all[1].1.is_ok());
    let failed = service.fan_out_stream(items()).deadline(10 * MS).quorum(2).await.unwrap_err();
    assert_eq!((failed.successes.len(), failed.failures.len()), (1, 1));
}

/// tokio's timers do not fire in a turn whose budget is used up, and here there is no other kind of turn.
#[tokio::test]
async fn calls_that_are_always_busy_end_too() {
    let busy = tower::service_fn(|(): ()| async {
        std::future::poll_fn(|cx| -> std::task::Poll<Result<(), CallError>> {
            loop {
                std::task::ready!(tokio::task::coop::poll_proceed(cx)).made_progress();
            }
        })
        .await
    });
    let start = Instant::now();
    let mut all = busy.fan_out((0..3).map(|n| (n, ()))).deadline(20 * MS).collect::<Vec<_>>();
    let all = std::future::poll_fn(|cx| {
        assert!(start.elapsed() < Duration::from_secs(5), "the deadline was not seen");
        std::pin::Pin::new(&mut all).poll(cx)
    });
    assert!(all.await.iter().all(|(_, result)| phase(result.as_ref().unwrap_err()) == Phase::Attempt));
}
