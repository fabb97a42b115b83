//! The ambient scope: until when anybody may work, and what the inner service sees of it.

use std::time::Duration;

use donjon_core::{Criticality, Deadline, Scope};
use tokio::time::{Instant, advance};

use super::{Env, LONG, Verdict, ensure};
use crate::{
    Readiness, Reply,
    contract::{
        call::Call,
        rig::{Rig, Through},
    },
};

/// How far away the deadline is.
const SHORT: Duration = Duration::from_millis(50);
/// Timers have this resolution.
const TICK: Duration = Duration::from_millis(2);

pub(super) async fn deadline_respected(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;

    // Those who wait for their turn.
    let mut rig = due(env);
    let mut calls = rig.held(crowd, Through::Clones).await;
    rig.elapse(&mut calls, SHORT + TICK).await;
    none_waits(&rig, &calls, "waits for its turn")?;

    // It is their turn, and the deadline has passed at the same moment.
    let mut rig = due(env);
    let mut calls = rig.held(crowd, Through::Clones).await;
    forget_unready(&mut calls);
    rig.probe.reply(Reply::answer());
    advance(SHORT).await;
    rig.probe.release_all();
    rig.insist(&mut calls).await;
    rig.elapse(&mut calls, LONG).await;
    none_started_late(&rig, "whose turn came when the deadline passed")?;

    // It is their turn, and the inner service is not ready.
    let mut rig = due(env);
    let mut calls = rig.held(crowd, Through::Clones).await;
    rig.probe.set_readiness(Readiness::Pending);
    rig.probe.release_all();
    rig.elapse(&mut calls, SHORT + TICK).await;
    none_waits(&rig, &calls, "waits for the inner service to become ready at its turn")?;

    // Those who would send again: at once, too late, and when the inner service is not ready.
    let mut rig = due(env);
    rig.probe.reply(Reply::fail());
    let mut calls = rig.crowd(crowd);
    rig.settle(&mut calls).await;
    forget_unready(&mut calls);
    rig.elapse(&mut calls, SHORT + TICK).await;
    none_waits(&rig, &calls, "waits to send again")?;
    rig.elapse(&mut calls, LONG).await;
    none_started_late(&rig, "that had failed before")?;

    // One alone, again and again: in a crowd a budget may keep most from trying again.
    for deadline in [1, 3, 10, 30, 100, 300] {
        for _ in 0..3 {
            let mut rig = env.rig();
            let deadline = Duration::from_millis(deadline);
            rig.scope = Scope::root().with_deadline(Deadline::after(deadline));
            rig.probe.reply(Reply::fail());
            let mut call = [rig.call()];
            rig.elapse(&mut call, deadline + TICK).await;
            none_waits(&rig, &call, "waits to send again")?;
        }
    }

    let mut rig = due(env);
    rig.probe.reply(Reply::fail().after(SHORT));
    let mut calls = rig.crowd(crowd);
    rig.settle(&mut calls).await;
    forget_unready(&mut calls);
    rig.elapse(&mut calls, LONG).await;
    none_started_late(&rig, "that failed when the deadline passed")?;

    let mut rig = due(env);
    rig.probe.reply(Reply::fail().held());
    let mut calls = rig.crowd(crowd);
    rig.settle(&mut calls).await;
    rig.probe.set_readiness(Readiness::Pending);
    rig.probe.release_all();
    rig.elapse(&mut calls, SHORT + TICK).await;
    none_waits(&rig, &calls, "waits for the inner service to become ready again")?;

    // A service that is always ready waits for the inner one in the call: both the deadline and readiness come.
    let mut rig = due(env);
    rig.probe.set_readiness(Readiness::Pending);
    let mut calls = rig.crowd(crowd);
    rig.settle(&mut calls).await;
    forget_unready(&mut calls);
    advance(SHORT).await;
    rig.probe.set_readiness(Readiness::Ready);
    rig.insist(&mut calls).await;
    none_started_late(&rig, "that had waited for the inner service to become ready")?;

    let mut rig = due(env);
    rig.probe.set_readiness(Readiness::Pending);
    let mut calls = rig.crowd(crowd);
    rig.settle(&mut calls).await;
    rig.elapse(&mut calls, SHORT + TICK).await;
    none_waits(&rig, &calls, "waits for the inner service to become ready")?;

    // Late from the beginning.
    let mut rig = due(env);
    advance(SHORT).await;
    let mut calls = rig.held(crowd, Through::Clones).await;
    rig.elapse(&mut calls, TICK).await;
    none_waits(&rig, &calls, "came after the deadline and waits")
}

/// A new layer whose calls have a deadline soon.
fn due(env: &Env<'_>) -> Rig {
    let mut rig = env.rig();
    rig.scope = Scope::root().with_deadline(Deadline::after(SHORT));
    rig
}

/// Those whose service is not ready are not the layer's yet: it is their callers who wait, and who start them.
fn forget_unready(calls: &mut Vec<Call>) {
    calls.retain(|call| !call.is_unready());
}

fn none_waits(rig: &Rig, calls: &[Call], what: &str) -> Verdict {
    let in_flight = rig.probe.in_flight();
    let waits = |call: &&Call| !call.has_ended() && !call.is_unready() && !in_flight.contains(&call.id());
    match calls.iter().find(waits) {
        Some(call) => Err(format!("call {}, whose deadline has passed, {what}", call.id())),
        None => Ok(()),
    }
}

fn none_started_late(rig: &Rig, which: &str) -> Verdict {
    let deadline = rig.scope.clone().deadline().instant().unwrap_or_else(Instant::now);
    match rig.probe.started().iter().find(|started| started.at >= deadline) {
        Some(started) => {
            let late = started.at - deadline;
            Err(format!("an inner call was started {late:?} after the deadline, for a call {which}"))
        }
        None => Ok(()),
    }
}

pub(super) async fn scope_reaches_inner(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    let mut rig = env.rig();
    let mut ambient = Scope::root().with_criticality(Criticality::Sheddable).with_deadline(Deadline::after(LONG));
    rig.scope = ambient;

    rig.probe.reply_next([Reply::fail()]);
    let mut call = [rig.call()];
    rig.elapse(&mut call, Duration::from_secs(60)).await;
    let mut calls = rig.held(crowd, Through::Clones).await;
    while rig.probe.release(1) > 0 {
        rig.settle(&mut calls).await;
    }

    let deadline = ambient.deadline().instant();
    for started in rig.probe.started() {
        ensure!(
            started.criticality == ambient.criticality(),
            "the caller is {:?}, and the inner call ran as {:?}",
            ambient.criticality(),
            started.criticality
        );
        ensure!(
            started.deadline.instant().is_some_and(|inner| Some(inner) <= deadline),
            "the caller has a deadline, and that of the inner call is {}",
            if started.deadline.is_never() { "gone" } else { "later" }
        );
    }
    Ok(())
}
