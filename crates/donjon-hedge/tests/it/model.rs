//! Any script of copies, against a plain model of what is sent when, and who answers.

use donjon_core::Reject;
use donjon_hedge::Delay;
use proptest::prelude::*;
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use crate::support::{Reply, Upstream, hedge, millis};

#[derive(Debug, PartialEq)]
struct Expected {
    arrivals: Vec<u128>,
    /// The number of the copy that decides, how it ends, and when.
    answer: (usize, End, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Answers,
    Fails,
    IsRefused,
}

/// `None` where two things happen in the same millisecond: their order is nobody's business.
fn model(delays: &[u64], replies: &[Reply]) -> Option<Expected> {
    let (mut arrivals, mut out, mut over, mut failed) = (Vec::new(), Vec::new(), 0, None);
    let send = |at: u64, arrivals: &mut Vec<u128>, out: &mut Vec<(u64, usize, End)>| {
        let (time, end) = match replies.get(arrivals.len()).copied().unwrap_or(Reply::OkAfter(1)) {
            Reply::OkAfter(time) => (time, End::Answers),
            Reply::FailAfter(time) => (time, End::Fails),
            Reply::RefuseAfter(time) => (time, End::IsRefused),
            Reply::UnsentAfter(_) | Reply::Never => (u64::MAX - at, End::Fails),
        };
        out.push((at + time, arrivals.len(), end));
        arrivals.push(u128::from(at));
    };
    send(0, &mut arrivals, &mut out);
    loop {
        out.sort_unstable();
        let (at, copy, end) = out[0];
        let due = delays.get(over).copied().unwrap_or(u64::MAX);
        if at == due || out.get(1).is_some_and(|other| other.0 == at) {
            return None;
        }
        let may_send = arrivals.len() <= delays.len();
        if due < at {
            over += 1;
            if may_send {
                send(due, &mut arrivals, &mut out);
            }
            continue;
        }
        out.remove(0);
        if end == End::Fails {
            failed = Some(copy);
        }
        match (end, out.is_empty()) {
            (End::Answers, _) => return Some(Expected { arrivals, answer: (copy, end, at) }),
            (End::Fails, true) if may_send => send(at, &mut arrivals, &mut out),
            (_, true) => {
                // The last one standing decides, but a refusal only if none has failed.
                let (copy, end) = failed.map_or((copy, end), |copy| (copy, End::Fails));
                return Some(Expected { arrivals, answer: (copy, end, at) });
            }
            (_, false) => {}
        }
    }
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        2 => (1_u64..200).prop_map(Reply::OkAfter),
        3 => (1_u64..200).prop_map(Reply::FailAfter),
        2 => (1_u64..200).prop_map(Reply::RefuseAfter),
        1 => Just(Reply::Never),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn copies_are_sent_and_answer_as_the_model_says(
        delays in prop::collection::btree_set(1_u64..150, 0..5), replies in prop::collection::vec(reply(), 1..6),
    ) {
        let delays: Vec<_> = delays.into_iter().collect();
        let expected = model(&delays, &replies);
        prop_assume!(expected.is_some());
        let expected = expected.unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let upstream = Upstream::new(move |n| replies.get(n).copied().unwrap_or(Reply::OkAfter(1)));
            let layer = hedge(Delay::several(delays.iter().copied().map(millis)));
            let began = Instant::now();
            let result = layer.layer(upstream.clone()).oneshot(1).await;
            let (copy, end, at) = expected.answer;
            match result {
                Ok(n) => prop_assert_eq!((n, End::Answers), (copy, end)),
                Err(error) if error.as_rejection().is_some() => prop_assert_eq!(end, End::IsRefused),
                Err(error) => prop_assert_eq!((error.to_string(), End::Fails), (format!("call {copy} failed"), end)),
            }
            prop_assert_eq!(began.elapsed().as_millis(), u128::from(at));
            prop_assert_eq!(upstream.millis(), expected.arrivals.clone());
            prop_assert_eq!(upstream.running(), 0);
            let stats = layer.handle().stats();
            let won = u64::from(end == End::Answers && copy > 0);
            prop_assert_eq!((stats.hedges, stats.won), (expected.arrivals.len() as u64 - 1, won));
            Ok(())
        })?;
    }
}
