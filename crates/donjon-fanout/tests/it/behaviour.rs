//! How many, in which order, and what comes back.

use std::collections::HashMap;

use donjon_core::{CallError, Phase, Reject, RejectionKind};
use donjon_fanout::FanOutExt;
use tokio::time::Instant;

use crate::scripted::{Act, Failed, Scripted};

#[tokio::test(start_paused = true)]
async fn as_completed_gives_the_first_done_first() {
    let service = Scripted::new();
    let items = [("slow", Act::Ok(30)), ("fast", Act::Ok(10)), ("middle", Act::Ok(20))];
    let mut replies = service.fan_out(items).as_completed();
    let start = Instant::now();
    let mut seen = Vec::new();
    while let Some((key, reply)) = replies.next().await {
        seen.push((key, reply.unwrap(), start.elapsed().as_millis()));
    }
    assert_eq!(seen, [("fast", 10, 10), ("middle", 20, 20), ("slow", 30, 30)]);
}

#[tokio::test(start_paused = true)]
async fn in_order_gives_the_first_asked_first_and_all_run_at_once() {
    let service = Scripted::new();
    let items = [("slow", Act::Ok(30)), ("fast", Act::Ok(10)), ("middle", Act::Ok(20))];
    let mut replies = service.fan_out(items).in_order();
    let start = Instant::now();
    let mut seen = Vec::new();
    while let Some((key, reply)) = replies.next().await {
        seen.push((key, reply.unwrap(), start.elapsed().as_millis()));
    }
    assert_eq!(seen, [("slow", 30, 30), ("fast", 10, 30), ("middle", 20, 30)]);
}

#[tokio::test(start_paused = true)]
async fn one_failure_does_not_end_the_rest() {
    let service = Scripted::new();
    let items = || (0..20).map(|n| (n, if n % 3 == 0 { Act::Fail(n) } else { Act::Ok(n) }));
    let check = |seen: Vec<(u64, Result<u64, CallError>)>| {
        assert_eq!(seen.len(), 20);
        for (n, reply) in seen {
            match reply {
                Ok(answer) => assert_eq!((answer, n % 3 == 0), (n, false)),
                Err(error) => assert!(n % 3 == 0 && error.downcast_ref::<Failed>().is_some()),
            }
        }
    };
    let mut replies = service.fan_out(items()).at_once(4).as_completed();
    let mut seen = Vec::new();
    while let Some(reply) = replies.next().await {
        seen.push(reply);
    }
    check(seen);
    let mut replies = service.fan_out(items()).at_once(4).in_order();
    let mut seen = Vec::new();
    while let Some(reply) = replies.next().await {
        seen.push(reply);
    }
    check(seen);
    check(service.fan_out(items()).at_once(4).collect().await);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_in_flight_than_said_and_no_fewer() {
    for (at_once, most) in [(None, 10), (Some(1), 1), (Some(7), 7), (Some(1000), 60)] {
        let service = Scripted::new();
        let mut fan_out = service.fan_out((0..60).map(|n| (n, Act::Ok(10))));
        if let Some(at_once) = at_once {
            fan_out = fan_out.at_once(at_once);
        }
        let start = Instant::now();
        let all: Vec<_> = fan_out.collect().await;
        assert_eq!((all.len(), service.most()), (60, most));
        assert_eq!(start.elapsed().as_millis(), 10 * 60_u128.div_ceil(most as u128));
    }
}

#[tokio::test(start_paused = true)]
async fn zero_at_once_refuses_each_request() {
    let service = Scripted::new();
    let items = || (0..5).map(|n| (n, Act::Ok(0)));
    let refused: Vec<_> = service.fan_out(items()).at_once(0).collect().await;
    assert_eq!(refused.len(), 5);
    for (n, (key, result)) in refused.into_iter().enumerate() {
        let error = result.unwrap_err();
        let rejection = error.as_rejection().unwrap();
        assert_eq!((key, rejection.kind(), rejection.phase()), (n, RejectionKind::Overloaded, Phase::Admission));
        assert_eq!(rejection.layer(), "fanout");
    }
    let mut in_order = service.fan_out(items()).at_once(0).in_order();
    for n in 0..5 {
        let (key, result) = in_order.next().await.unwrap();
        assert_eq!((key, result.is_err()), (n, true));
    }
    assert!(in_order.next().await.is_none());
    assert_eq!(service.fan_out(items()).at_once(0).first_ok().await.unwrap_err().failures.len(), 5);
    assert_eq!(service.called(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_in_gives_nothing_out() {
    let service = Scripted::new();
    let none: [(u32, Act); 0] = [];
    assert!(service.fan_out(none).as_completed().next().await.is_none());
    assert!(service.fan_out(none).in_order().next().await.is_none());
    assert!(service.fan_out(none).collect::<Vec<_>>().await.is_empty());
    assert!(service.fan_out(none).first_ok().await.unwrap_err().failures.is_empty());
}

#[tokio::test(start_paused = true)]
async fn collect_keeps_the_order_of_the_requests_and_fills_any_collection() {
    let service = Scripted::new();
    let items = || (0..20_u64).map(|n| (n, Act::Ok(20 - n)));
    let list: Vec<(u64, Result<u64, CallError>)> = service.fan_out(items()).at_once(20).collect().await;
    assert!(list.iter().map(|(key, _)| *key).eq(0..20));
    let map: HashMap<_, _> = service.fan_out(items()).collect().await;
    assert_eq!(*map[&7].as_ref().unwrap(), 13);
}

#[tokio::test(start_paused = true)]
async fn keys_need_not_be_unique_and_each_gets_its_results() {
    let service = Scripted::new();
    let all: Vec<_> = service.fan_out([("a", Act::Ok(2)), ("a", Act::Ok(1))]).collect().await;
    assert_eq!(all.into_iter().map(|(key, reply)| (key, reply.unwrap())).collect::<Vec<_>>(), [("a", 2), ("a", 1)]);
}
