//! Any script of requests, beside a plain model: each request gets exactly one result, and nothing is left.

use std::{collections::BTreeMap, time::Duration};

use donjon_core::{Reject, RejectionKind};
use donjon_fanout::FanOutExt;
use proptest::prelude::*;
use tokio::time::{Instant, timeout};

use crate::scripted::{Act, Readiness, Scripted};

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![(0..50_u64).prop_map(Act::Ok), (0..50_u64).prop_map(Act::Fail), Just(Act::Never)]
}

#[derive(Clone, Debug)]
struct Script {
    acts: Vec<Act>,
    at_once: usize,
    deadline: u64,
    readiness: u64,
    in_order: bool,
    /// Ends by itself, or is dropped then.
    dropped: Option<u64>,
}

fn script() -> impl Strategy<Value = Script> {
    let acts = prop::collection::vec(act(), 0..30);
    (acts, 0..8_usize, 0..200_u64, 0..3_u64, any::<bool>(), prop::option::of(0..200_u64)).prop_map(
        |(acts, at_once, deadline, readiness, in_order, dropped)| Script {
            acts,
            at_once,
            deadline,
            readiness,
            in_order,
            dropped,
        },
    )
}

async fn run(script: Script) -> Result<(), TestCaseError> {
    let service = match script.readiness {
        0 => Scripted::new(),
        ms => Scripted::with(Readiness::After(ms)),
    };
    let acts = script.acts.clone();
    let fan_out = service.fan_out(acts.into_iter().enumerate()).at_once(script.at_once);
    let fan_out = fan_out.deadline(Duration::from_millis(script.deadline));
    let start = Instant::now();
    let mut seen = BTreeMap::new();
    let mut keys = Vec::new();
    let all = async {
        let mut record = |(key, result): (usize, _)| {
            keys.push(key);
            assert!(seen.insert(key, result).is_none(), "two results for {key}");
        };
        if script.in_order {
            let mut replies = fan_out.in_order();
            while let Some(reply) = replies.next().await {
                record(reply);
            }
        } else {
            let mut replies = fan_out.as_completed();
            while let Some(reply) = replies.next().await {
                record(reply);
            }
        }
    };
    let ended = match script.dropped {
        Some(ms) => timeout(Duration::from_millis(ms), all).await.is_ok(),
        None => {
            all.await;
            true
        }
    };
    prop_assert_eq!(service.in_flight(), 0, "nothing is left running");
    prop_assert!(service.most() <= script.at_once, "{} at once", service.most());
    prop_assert!(start.elapsed() <= Duration::from_millis(script.deadline + 1), "ends with the deadline");
    if script.in_order {
        prop_assert!(keys.is_sorted(), "in order: {:?}", keys);
    }
    if ended {
        prop_assert_eq!(seen.len(), script.acts.len(), "each request has its result");
    }
    for (key, result) in seen {
        match (script.acts[key], result) {
            (Act::Ok(ms), Ok(answer)) => prop_assert_eq!(ms, answer),
            (act, Err(error)) => match error.as_rejection().map(donjon_core::Rejection::kind) {
                Some(RejectionKind::Overloaded) => prop_assert_eq!(script.at_once, 0),
                Some(kind) => prop_assert_eq!(kind, RejectionKind::DeadlineExceeded),
                None => prop_assert!(matches!(act, Act::Fail(_)), "{:?} failed: {:?}", act, error),
            },
            (act, Ok(answer)) => prop_assert!(false, "{act:?} answered {answer}"),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_request_has_one_result_and_nothing_is_left(script in script()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(script))?;
    }
}
