//! The central check: after any script, the layer is as new.

use std::{fmt, time::Duration};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};

use super::{Env, Verdict, ensure, paused};
use crate::{
    Readiness, Reply,
    contract::{
        Check,
        call::{Call, Until},
        erase::Subject,
        rig::{Admission, Rig, Through},
    },
};

/// The longest script.
const STEPS: usize = 16;

/// One line of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A call, and how it goes.
    Call { reply: Reply, fate: Fate, service: Which },
    /// A clone is readied, and stays.
    Idle(Which),
    /// So many of the inner calls that are held end.
    Release(usize),
    /// The oldest call that has not ended is dropped.
    DropOldest,
    /// The newest call that has not ended is dropped.
    DropNewest,
    /// Time passes.
    Elapse(Duration),
    /// What the inner service says of its readiness, for the rest of the script.
    Readiness(Readiness),
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is polled whenever it is woken.
    Goes,
    /// It is dropped after so many polls.
    DroppedAt(usize),
    /// It is called and never polled, and stays so.
    NeverPolled,
    /// Its response is not read, and stays so.
    Unread,
}

/// One of two services that the layer value has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    First,
    Second,
}

pub(super) fn any_script(env: &Env<'_>) -> Verdict {
    let mut expected = Admission::default();
    paused(Box::pin(async {
        expected = env.rig().admits(env.contract.crowd, Through::Clones).await;
        Ok(())
    }))?;

    let config = Config { cases: env.contract.scripts, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result =
        runner.run(&script(), |steps| paused(Box::pin(play(env, &steps, expected))).map_err(TestCaseError::fail));
    match result {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, steps)) => Err(format!("{}\n{}", reason.message(), Script(&steps))),
        Err(TestError::Abort(reason)) => Err(format!("the scripts were given up: {}", reason.message())),
    }
}

async fn play(env: &Env<'_>, steps: &[Step], expected: Admission) -> Verdict {
    let idles = !env.contract.skips(Check::IdleHoldsNothing);
    let keeps_ended = !env.contract.skips(Check::CompletionGivesBack);
    let mut rig = env.rig();
    let second = rig.recipe.apply(&rig.probe);
    let mut calls: Vec<Call> = Vec::new();
    let mut kept: Vec<Call> = Vec::new();
    for step in steps {
        match *step {
            Step::Call { reply, fate, service } => {
                rig.probe.reply(reply);
                let service = service.of(&rig, &*second);
                let mut call = [rig.call_through(service)];
                match fate {
                    Fate::Goes => calls.extend(call),
                    Fate::DroppedAt(polls) => {
                        for _ in 0..polls {
                            if !call[0].poll_if_woken() {
                                rig.elapse(&mut call, Duration::from_millis(10)).await;
                            }
                        }
                    }
                    Fate::NeverPolled => calls.extend(call.map(|call| call.until(Until::Called))),
                    Fate::Unread => calls.extend(call.map(|call| call.until(Until::Responded))),
                }
            }
            Step::Idle(service) => {
                if idles {
                    let service = service.of(&rig, &*second);
                    kept.push(rig.idle(service).await);
                }
            }
            Step::Release(calls) => {
                rig.probe.release(calls);
            }
            Step::DropOldest => drop((!calls.is_empty()).then(|| calls.remove(0))),
            Step::DropNewest => drop(calls.pop()),
            Step::Elapse(time) => {
                rig.elapse(&mut calls, time).await;
            }
            Step::Readiness(readiness) => rig.probe.set_readiness(readiness),
        }
        rig.settle(&mut calls).await;
        if keeps_ended {
            kept.extend(calls.extract_if(.., |call| call.has_completed()));
        } else {
            calls.retain(|call| !call.has_completed());
        }
    }
    // What has not ended is dropped, from the front; what has ended and what is idle stays.
    while !calls.is_empty() {
        drop(calls.remove(0));
        rig.settle(&mut calls).await;
    }
    rig.probe.set_readiness(Readiness::Ready);
    rig.settle(&mut kept).await;
    rig.elapse(&mut [], env.contract.forgets_in).await;
    let in_flight = rig.probe.stats().in_flight;
    ensure!(in_flight == 0, "when all calls of a script had ended, {in_flight} inner calls went on");
    let idle = kept.iter().filter(|call| !call.has_completed()).count();
    let reserved = rig.probe.stats().reserved;
    ensure!(
        reserved <= idle,
        "after a script that left {idle} idle clones, {reserved} reservations of the inner service are held"
    );
    let crowd = env.contract.crowd;
    let admission = rig.admits(crowd, Through::Applications).await;
    ensure!(admission == expected, "after a script, of {crowd} calls {admission}; a new layer: {expected}");
    if let Some(violation) = rig.probe.violations().first() {
        return Err(format!("in a script, {violation}"));
    }
    Ok(())
}

fn script() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 0..STEPS)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (reply(), fate(), which()).prop_map(|(reply, fate, service)| Step::Call { reply, fate, service }),
        1 => which().prop_map(Step::Idle),
        2 => (1..4_usize).prop_map(Step::Release),
        1 => Just(Step::DropOldest),
        1 => Just(Step::DropNewest),
        1 => (1..400_u64).prop_map(|ms| Step::Elapse(Duration::from_millis(ms))),
        1 => prop_oneof![
            3 => Just(Readiness::Ready),
            2 => Just(Readiness::Slow),
            1 => Just(Readiness::Pending),
            1 => Just(Readiness::Fail),
        ]
        .prop_map(Step::Readiness),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let end = prop_oneof![
        4 => Just(Reply::answer()),
        2 => Just(Reply::fail()),
        1 => Just(Reply::unavailable()),
        1 => Just(Reply::truncated()),
        1 => Just(Reply::panic()),
    ];
    let wait = prop_oneof![
        2 => end.clone(),
        4 => end.clone().prop_map(Reply::held),
        1 => (end.clone(), 1..4_u32).prop_map(|(reply, polls)| reply.after_polls(polls)),
        1 => (end, 1..200_u64).prop_map(|(reply, ms)| reply.after(Duration::from_millis(ms))),
    ];
    prop_oneof![8 => wait, 1 => Just(Reply::panic_in_call()), 1 => Just(Reply::never())]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        5 => Just(Fate::Goes),
        3 => (0..6_usize).prop_map(Fate::DroppedAt),
        1 => Just(Fate::NeverPolled),
        1 => Just(Fate::Unread),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![3 => Just(Which::First), 1 => Just(Which::Second)]
}

// ===== impl Which =====

impl Which {
    fn of(self, rig: &Rig, second: &dyn Subject) -> Box<dyn Subject> {
        match self {
            Self::First => rig.service.duplicate(),
            Self::Second => second.duplicate(),
        }
    }
}

/// Shows a script as a numbered list.
struct Script<'a>(&'a [Step]);

impl fmt::Display for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("  the script:")?;
        for (n, step) in self.0.iter().enumerate() {
            write!(f, "\n  {}. {step}", n + 1)?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { reply, fate, service } => {
                write!(f, "a call {service}; inside, {reply}")?;
                match fate {
                    Fate::Goes => Ok(()),
                    Fate::DroppedAt(polls) => write!(f, "; it is dropped after {polls} polls"),
                    Fate::NeverPolled => f.write_str("; its future is kept and never polled"),
                    Fate::Unread => f.write_str("; its response is kept and never read"),
                }
            }
            Self::Idle(service) => write!(f, "a clone becomes ready {service}, and is kept without being called"),
            Self::Release(calls) => write!(f, "up to {calls} inner calls that were held go on"),
            Self::DropOldest => f.write_str("the oldest call that has not ended is dropped"),
            Self::DropNewest => f.write_str("the newest call that has not ended is dropped"),
            Self::Elapse(time) => write!(f, "{time:?} pass"),
            Self::Readiness(readiness) => write!(f, "the inner service's readiness is: {readiness:?}"),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "through the first service",
            Self::Second => "through the second service",
        })
    }
}
