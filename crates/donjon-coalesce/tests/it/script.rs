//! Any script of calls, ends, drops and polls goes as in a plain model.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

use donjon_core::{Reject, RejectionKind};
use donjon_test::{ProbeError, Reply};
use proptest::{prelude::*, sample::Index};

use crate::support::{Call, Result, by_number, call, held};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A call of this key, that is polled at once; and how the inner call ends, if it makes one.
    Call(u64, End),
    /// The inner call that runs longest ends; then those who were woken are polled, from the front or from the back.
    End(bool),
    /// One of the calls that there are is dropped.
    Drop(Index),
    /// One of the calls that there are is polled, woken or not.
    Poll(Index),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answer,
    Fail,
    Panic,
}

/// What has to come of a call.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Answer,
    Failure,
    Shared,
    Panic,
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![3 => Just(End::Answer), 1 => Just(End::Fail), 1 => Just(End::Panic)];
    prop_oneof![
        6 => (0..3_u64, end).prop_map(|(key, end)| Step::Call(key, end)),
        2 => any::<bool>().prop_map(Step::End),
        3 => any::<Index>().prop_map(Step::Drop),
        2 => any::<Index>().prop_map(Step::Poll),
    ]
}

fn reply(end: End) -> Reply {
    match end {
        End::Answer => Reply::answer().held(),
        End::Fail => Reply::fail().held(),
        End::Panic => Reply::panic().held(),
    }
}

fn came(result: std::thread::Result<Poll<Result>>) -> Option<Came> {
    match result {
        Err(_) => Some(Came::Panic),
        Ok(Poll::Pending) => None,
        Ok(Poll::Ready(Ok(_))) => Some(Came::Answer),
        Ok(Poll::Ready(Err(error))) if error.downcast_ref::<ProbeError>().is_some() => Some(Came::Failure),
        Ok(Poll::Ready(Err(error))) => {
            assert_eq!(error.as_rejection().map(|it| it.kind()), Some(RejectionKind::Shared));
            Some(Came::Shared)
        }
    }
}

/// The call of one key.
struct Flight {
    key: u64,
    end: End,
    /// In the order in which they came; the first is the driver.
    callers: Vec<u64>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_script_goes_as_in_a_plain_model(steps in prop::collection::vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _inside = runtime.enter();
        let layer = by_number();
        let (service, probe) = held(&layer);
        let mut calls: BTreeMap<u64, Call> = BTreeMap::new();
        // In the order in which they have started.
        let mut flights: Vec<Flight> = Vec::new();
        let mut inner_calls = 0;
        let mut number = 0;
        for step in steps {
            match step {
                Step::Call(key, end) => {
                    number += 1;
                    probe.reply(reply(end));
                    let mut call = call(&service, key);
                    prop_assert!(call.poll().is_pending());
                    calls.insert(number, call);
                    match flights.iter_mut().find(|it| it.key == key) {
                        Some(flight) => flight.callers.push(number),
                        None => {
                            inner_calls += 1;
                            flights.push(Flight { key, end, callers: vec![number] });
                        }
                    }
                }
                Step::End(from_the_front) if !flights.is_empty() => {
                    // Whoever starts again is answered.
                    probe.reply(Reply::answer().held());
                    prop_assert_eq!(probe.release(1), 1);
                    let flight = flights.remove(0);
                    prop_assert!(calls[&flight.callers[0]].is_woken(), "the driver is told");
                    let mut again = Vec::new();
                    for _ in 0..2 {
                        let mut order = flight.callers.clone();
                        if !from_the_front {
                            order.reverse();
                        }
                        for caller in order {
                            let Some(call) = calls.get_mut(&caller).filter(|it| it.is_woken()) else { continue };
                            let Some(came) = came(catch_unwind(AssertUnwindSafe(|| call.poll()))) else {
                                // It has been polled, and may have started again.
                                if flight.end == End::Panic && caller != flight.callers[0] && !again.contains(&caller) {
                                    again.push(caller);
                                }
                                continue;
                            };
                            let drives = caller == flight.callers[0];
                            let expected = match flight.end {
                                End::Answer => Came::Answer,
                                End::Fail if drives => Came::Failure,
                                End::Fail => Came::Shared,
                                End::Panic => Came::Panic,
                            };
                            prop_assert_eq!(came, expected);
                            prop_assert!(drives || flight.end != End::Panic, "a panic is the driver's own");
                            calls.remove(&caller);
                        }
                    }
                    if !again.is_empty() {
                        inner_calls += 1;
                        flights.push(Flight { key: flight.key, end: End::Answer, callers: again });
                    }
                    for caller in &flight.callers {
                        let goes_on = flights.last().is_some_and(|it| it.callers.contains(caller));
                        prop_assert_eq!(calls.contains_key(caller), goes_on, "call {} has an end", caller);
                    }
                }
                Step::Drop(index) if !calls.is_empty() => {
                    let caller = *calls.keys().nth(index.index(calls.len())).unwrap();
                    drop(calls.remove(&caller));
                    let at = flights.iter().position(|it| it.callers.contains(&caller)).unwrap();
                    let drove = flights[at].callers[0] == caller;
                    flights[at].callers.retain(|it| *it != caller);
                    match flights[at].callers.first() {
                        None => drop(flights.remove(at)),
                        Some(next) => {
                            prop_assert!(!drove || calls[next].is_woken(), "the next one is promoted");
                            let woken = flights[at].callers.iter().filter(|it| calls[it].is_woken()).count();
                            prop_assert_eq!(woken, usize::from(drove), "and nobody else is woken");
                        }
                    }
                }
                Step::Poll(index) if !calls.is_empty() => {
                    let caller = *calls.keys().nth(index.index(calls.len())).unwrap();
                    prop_assert!(calls.get_mut(&caller).unwrap().poll().is_pending());
                }
                Step::End(_) | Step::Drop(_) | Step::Poll(_) => {}
            }
            for call in calls.values_mut().filter(|call| call.is_woken()) {
                prop_assert!(call.poll().is_pending());
            }
            prop_assert_eq!(probe.stats().calls, inner_calls);
            prop_assert_eq!(probe.stats().in_flight, flights.len());
            prop_assert_eq!(layer.handle().stats().in_flight, flights.len());
        }
        calls.clear();
        prop_assert_eq!((probe.stats().in_flight, layer.handle().stats().in_flight), (0, 0));
        prop_assert_eq!(probe.violations(), []);
    }
}
