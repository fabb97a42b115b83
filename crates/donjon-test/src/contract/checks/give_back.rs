//! After a call has ended, in whatever way, the layer admits what a new one does.

use std::time::Duration;

use super::{Env, LONG, PATIENCE, Verdict, ensure, pass::describe};
use crate::{
    Readiness, Reply,
    contract::{
        call::{Call, Stage, Until},
        rig::{Rig, Through},
    },
};

/// Fails unless the layer admits what a new one does.
async fn is_as_new(env: &Env<'_>, rig: &mut Rig, after: &str) -> Verdict {
    let crowd = env.contract.crowd;
    rig.probe.set_readiness(Readiness::Ready);
    rig.elapse(&mut [], env.contract.forgets_in).await;
    let expected = env.rig().admits(crowd, Through::Clones).await;
    let admission = rig.admits(crowd, Through::Clones).await;
    ensure!(admission == expected, "{after}, of {crowd} calls {admission}; a new layer: {expected}");
    Ok(())
}

pub(super) async fn drop_gives_back(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    for polls in 0..12 {
        let mut rig = env.rig();
        rig.probe.set_readiness(Readiness::Slow);
        // Slow to begin, then failing, so that a layer that sends again is dropped in each of its phases.
        rig.probe.reply(Reply::fail().after_polls(2));
        let mut calls = rig.crowd(crowd);
        for call in &mut calls {
            let call = std::slice::from_mut(call);
            for _ in 0..polls {
                if !call[0].poll_if_woken() {
                    rig.elapse(call, Duration::from_millis(20)).await;
                }
            }
        }
        for call in calls {
            drop(call);
            rig.settle(&mut []).await;
        }
        let in_flight = rig.probe.stats().in_flight;
        ensure!(in_flight == 0, "after calls were dropped at poll {polls}, {in_flight} inner calls go on");
        is_as_new(env, &mut rig, &format!("after {crowd} calls were dropped at poll {polls}")).await?;
    }

    // Before the first poll, and before the response is read.
    for until in [Until::Called, Until::Responded] {
        let mut rig = env.rig();
        let mut calls: Vec<_> = rig.crowd(crowd).into_iter().map(|call| call.until(until)).collect();
        rig.settle(&mut calls).await;
        drop_in_order(calls);
        let when = if until == Until::Called { "before their first poll" } else { "with their responses unread" };
        is_as_new(env, &mut rig, &format!("after {crowd} calls were dropped {when}")).await?;
    }

    let mut rig = env.rig();
    drop_waiting_first(&mut rig, crowd).await;
    is_as_new(env, &mut rig, &format!("after {crowd} calls at once were dropped, those that waited first")).await?;

    // All at once, the first ones first, while some run and some wait.
    let mut rig = env.rig();
    let calls = rig.held(crowd, Through::Clones).await;
    drop_in_order(calls);
    is_as_new(env, &mut rig, &format!("after {crowd} calls at once were dropped")).await?;
    let mut rig = env.rig();
    let mut calls = rig.held(crowd, Through::Clones).await;
    calls.reverse();
    drop_in_order(calls);
    is_as_new(env, &mut rig, &format!("after {crowd} calls at once were dropped, the last first")).await
}

/// Those who wait are dropped, then those who run.
async fn drop_waiting_first(rig: &mut Rig, crowd: usize) {
    let mut calls = rig.held(crowd, Through::Clones).await;
    let in_flight = rig.probe.in_flight();
    calls.retain(|call| in_flight.contains(&call.id()));
    rig.settle(&mut calls).await;
    drop_in_order(calls);
}

fn drop_in_order<T>(values: Vec<T>) {
    for value in values {
        drop(value);
    }
}

pub(super) async fn drop_wakes(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    let mut rig = env.rig();
    let mut calls = rig.held(crowd, Through::Clones).await;
    let at_first = rig.admission(&calls);
    let mut left = at_first.admitted + at_first.waiting;
    while left > 0 {
        // Those who run, from the front: the front of the queue then moves up.
        let in_flight = rig.probe.in_flight();
        let Some(first) = calls.iter().position(|call| in_flight.contains(&call.id())) else {
            return Err(format!("{left} calls wait, and none runs"));
        };
        drop(calls.remove(first));
        left -= 1;
        rig.settle(&mut calls).await;
        let running = rig.admission(&calls).admitted;
        let expected = at_first.admitted.min(left);
        ensure!(
            running == expected,
            "of {crowd} calls {at_first}; when all but {left} of them had been dropped, {running} run and not {expected}"
        );
    }
    Ok(())
}

pub(super) async fn drop_fails_nobody(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    // Where even calls that have nothing to do with each other wait for ever, it is another check's business.
    let unrelated = all_dropped_but_last(&mut env.rig(), crowd, false).await;
    match all_dropped_but_last(&mut env.rig(), crowd, true).await {
        Left::Failed(how) => {
            Err(format!("of {crowd} calls with the same request one was dropped, and another one {how}"))
        }
        Left::Waiting if matches!(unrelated, Left::Answered) => Err(format!(
            "of {crowd} calls with the same request all but the last were dropped, and that one waits for ever"
        )),
        Left::Waiting | Left::Answered => Ok(()),
    }
}

/// What becomes of a call when those before it have been dropped.
enum Left {
    Answered,
    Waiting,
    Failed(String),
}

async fn all_dropped_but_last(rig: &mut Rig, crowd: usize, same: bool) -> Left {
    rig.probe.reply(Reply::answer().held());
    let first = rig.call();
    let id = first.id();
    let mut calls = vec![first];
    calls.extend((1..crowd).map(|_| if same { rig.same(id) } else { rig.call() }));
    rig.settle(&mut calls).await;
    // Those that were refused have their answer; the others have a right to one.
    calls.retain(|call| !call.has_ended());
    while calls.len() > 1 {
        drop(calls.remove(0));
        rig.settle(&mut calls).await;
        if let Some(call) = calls.iter().find(|call| call.has_ended()) {
            return Left::Failed(describe(call.stage()));
        }
    }
    rig.probe.reply(Reply::answer());
    rig.probe.release_all();
    rig.settle(&mut calls).await;
    match calls.first().map(Call::stage) {
        None | Some(Stage::Answered(_)) => Left::Answered,
        Some(stage @ (Stage::Failed(_) | Stage::Panicked)) => Left::Failed(describe(stage)),
        Some(_) => Left::Waiting,
    }
}

pub(super) async fn panic_in_call(env: &Env<'_>) -> Verdict {
    panics(env, Reply::panic_in_call(), "panics of the inner `call`").await
}

pub(super) async fn panic_in_future(env: &Env<'_>) -> Verdict {
    panics(env, Reply::panic(), "panics of the inner future").await?;
    panics(env, Reply::panic().after_polls(1), "panics of the inner future").await
}

async fn panics(env: &Env<'_>, reply: Reply, what: &str) -> Verdict {
    let crowd = env.contract.crowd;
    let mut rig = env.rig();
    rig.probe.reply(reply);
    for _ in 0..crowd {
        // What an executor does with a task that panicked: the future goes, and its service with it.
        let mut call = [rig.call()];
        rig.settle(&mut call).await;
    }
    is_as_new(env, &mut rig, &format!("after {crowd} {what}")).await?;

    // The same request once more, which a layer may remember.
    let mut rig = env.rig();
    rig.probe.reply_next([reply]);
    let mut call = [rig.call()];
    rig.settle(&mut call).await;
    if rig.probe.stats().panicked == 0 {
        // It never came so far.
        return Ok(());
    }
    let mut call = [rig.same(call[0].id())];
    rig.elapse(&mut call, LONG).await;
    match call[0].stage() {
        Stage::Answered(_) => Ok(()),
        stage => Err(format!("after the first of {what}, the same request, sent again: {}", describe(stage))),
    }
}

pub(super) async fn completion(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    let ends = [
        (Reply::answer(), "answered"),
        (Reply::unavailable(), "unavailable"),
        (Reply::truncated(), "truncated"),
        (Reply::fail(), "failed"),
    ];
    for (reply, end) in ends {
        let mut rig = env.rig();
        rig.probe.reply(reply);
        let mut calls = rig.crowd(crowd);
        for call in &mut calls {
            rig.elapse(std::slice::from_mut(call), LONG).await;
        }
        is_as_new(env, &mut rig, &format!("after {crowd} calls ended ({end}), their futures still alive")).await?;
        drop(calls);
    }
    completion_ends_inner(env).await?;
    completion_wakes(env).await
}

/// When a call has ended, its inner calls have, though its future stays alive: also those that it has given up.
async fn completion_ends_inner(env: &Env<'_>) -> Verdict {
    let mut rig = env.rig();
    rig.probe.reply(Reply::never());
    let mut calls = rig.crowd(env.contract.crowd);
    rig.elapse(&mut calls, PATIENCE).await;
    let in_flight = rig.probe.in_flight();
    match calls.iter().find(|call| call.has_ended() && in_flight.contains(&call.id())) {
        Some(call) => {
            let how = describe(call.stage());
            Err(format!("call {} {how}, and its inner call goes on for as long as its future lives", call.id()))
        }
        None => Ok(()),
    }
}

/// Those who wait go on when a call ends, though its future stays alive.
async fn completion_wakes(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    let mut rig = env.rig();
    let mut calls = rig.held(crowd, Through::Clones).await;
    let at_first = rig.admission(&calls);
    let mut left = at_first.admitted + at_first.waiting;
    while left > 0 && rig.probe.release(1) == 1 {
        left -= 1;
        // Whether those are woken whose inner calls go on is another check's business.
        let in_flight = rig.probe.in_flight();
        calls.iter_mut().filter(|call| in_flight.contains(&call.id())).for_each(Call::poll);
        rig.settle(&mut calls).await;
        let running = rig.probe.stats().in_flight;
        let expected = at_first.admitted.min(left);
        ensure!(
            running == expected,
            "of {crowd} calls {at_first}; when all but {left} of them had ended, their futures still alive, {running} \
             run and not {expected}"
        );
    }
    Ok(())
}

pub(super) async fn readiness_error(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    // Somebody waits and finds, when its turn comes, that the service is broken. Whether its turn comes at all is
    // another check's business.
    let admission = env.rig().admits(crowd, Through::Clones).await;
    if admission.waiting > 0 && turn_comes(&mut env.rig(), admission.admitted, Readiness::Ready).await.is_empty() {
        let mut rig = env.rig();
        let calls = turn_comes(&mut rig, admission.admitted, Readiness::Fail).await;
        ensure!(
            !calls.iter().any(|call| !call.has_ended()),
            "the inner service failed to become ready when it was a call's turn, and the call waits on"
        );
        is_as_new(env, &mut rig, "after a call ended with an error of readiness, its future still alive").await?;
        drop(calls);
    }

    // Those who were called, failed, and want to call again.
    let mut rig = env.rig();
    for _ in 0..crowd {
        rig.probe.set_readiness(Readiness::Ready);
        rig.probe.reply(Reply::fail().held());
        let mut call = [rig.call()];
        rig.settle(&mut call).await;
        rig.probe.set_readiness(Readiness::Fail);
        rig.probe.reply(Reply::fail());
        rig.probe.release_all();
        rig.elapse(&mut call, LONG).await;
        rig.insist(&mut call).await;
        ensure!(call[0].has_ended(), "the inner service failed to become ready again, and the call goes on");
    }
    is_as_new(env, &mut rig, "after calls ended with an error of readiness").await
}

/// One more call than are admitted, of which the others end. Gives what is left of them.
async fn turn_comes(rig: &mut Rig, admitted: usize, readiness: Readiness) -> Vec<Call> {
    let mut calls = rig.held(admitted + 1, Through::Clones).await;
    rig.probe.set_readiness(readiness);
    rig.probe.reply(Reply::answer());
    rig.probe.release_all();
    rig.insist(&mut calls).await;
    // What those hold that were answered is not what this is about: they are gone.
    calls.retain(|call| !matches!(call.stage(), Stage::Answered(_)));
    rig.elapse(&mut calls, LONG).await;
    rig.insist(&mut calls).await;
    calls.retain(|call| !matches!(call.stage(), Stage::Answered(_)));
    calls
}
