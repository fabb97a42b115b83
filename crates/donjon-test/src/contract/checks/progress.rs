//! Who is woken, who is polled, and what goes on by itself.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use donjon_core::{Deadline, Scope};
use tokio::{runtime::Handle, time::Instant};

use super::{Env, LONG, PATIENCE, Verdict, ensure, message, pass::describe, timeless};
use crate::{
    Readiness, Reply, Violation,
    contract::{
        call::{Call, Settled, Stage},
        rig::{Rig, Through},
    },
};

/// So often may a call be polled in one minute in which the inner service does nothing: for timeouts, attempts, sleeps.
const POLLS_A_MINUTE: usize = 100;

pub(super) async fn pending_registers_waker(env: &Env<'_>) -> Verdict {
    // The inner call ends.
    let mut rig = env.rig();
    let mut call = rig.held(1, Through::Clones).await;
    poll_again(&mut call);
    rig.settle(&mut call).await;
    let started = Instant::now();
    if rig.probe.release_all() > 0 {
        rig.settle(&mut call).await;
        went_on(&call[0], "its inner call has ended")?;
    }
    ensure!(started == Instant::now(), "time has passed while nobody waited for it");

    // The inner service becomes ready.
    let mut rig = env.rig();
    rig.probe.set_readiness(Readiness::Pending);
    let mut call = [rig.call()];
    rig.settle(&mut call).await;
    poll_again(&mut call);
    rig.settle(&mut call).await;
    rig.probe.set_readiness(Readiness::Ready);
    rig.settle(&mut call).await;
    went_on(&call[0], "the inner service has become ready")?;

    // Time passes: for the inner call, and for a layer that sleeps before it sends again.
    let mut rig = env.rig();
    rig.probe.reply_next([Reply::fail(), Reply::answer().after(Duration::from_millis(5))]);
    let mut call = [rig.call()];
    for _ in 0..16 {
        rig.elapse(&mut call, Duration::from_millis(1)).await;
        poll_again(&mut call);
    }
    rig.elapse(&mut call, LONG).await;
    went_on(&call[0], "an hour has passed")?;

    // It is somebody's turn. A layer that forgets those who wait even so is not this check's business.
    let ended = turns(&mut env.rig(), env.contract.crowd, false).await;
    let ended_after_polls = turns(&mut env.rig(), env.contract.crowd, true).await;
    ensure!(
        ended == ended_after_polls,
        "of {} calls {ended} came to their turn, and {ended_after_polls} when each was polled with another waker first",
        env.contract.crowd
    );

    // A layer gives up by itself.
    let ended = given_up(&mut env.rig(), env.contract.crowd, false).await;
    let ended_after_polls = given_up(&mut env.rig(), env.contract.crowd, true).await;
    ensure!(
        ended == ended_after_polls,
        "of {} calls {ended} were given up after a time, and {ended_after_polls} when each was polled with another \
         waker first",
        env.contract.crowd
    );
    Ok(())
}

/// How many of a crowd end by themselves, though the inner calls never do.
async fn given_up(rig: &mut Rig, crowd: usize, polled_again: bool) -> usize {
    rig.probe.reply(Reply::never());
    let mut calls = rig.crowd(crowd);
    rig.settle(&mut calls).await;
    if polled_again {
        poll_again(&mut calls);
    }
    rig.elapse(&mut calls, PATIENCE).await;
    calls.iter().filter(|call| call.has_ended()).count()
}

/// How many of a crowd end when those that run are let go one after the other.
async fn turns(rig: &mut Rig, crowd: usize, polled_again: bool) -> usize {
    let mut calls = rig.held(crowd, Through::Clones).await;
    if polled_again {
        poll_again(&mut calls);
        rig.settle(&mut calls).await;
    }
    while rig.probe.release(1) > 0 {
        rig.settle(&mut calls).await;
    }
    calls.iter().filter(|call| call.has_ended()).count()
}

/// As `select!` does when something else has woken the task; and from another task, for the waker is another.
fn poll_again(calls: &mut [Call]) {
    for call in calls {
        call.poll();
        call.poll();
    }
}

fn went_on(call: &Call, since: &str) -> Verdict {
    if call.has_ended() {
        return Ok(());
    }
    Err(format!(
        "{since}, and the call, which was polled with another waker meanwhile: {}; nobody woke the last one",
        describe(call.stage())
    ))
}

pub(super) async fn polls_bounded(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    for readiness in [Readiness::Ready, Readiness::Pending] {
        let what = match readiness {
            Readiness::Pending => "the inner service is not ready",
            _ => "the inner calls do not end",
        };
        let mut rig = env.rig();
        rig.probe.set_readiness(readiness);
        rig.probe.reply(Reply::never());
        let mut calls = rig.crowd(crowd);
        ensure!(rig.settle(&mut calls).await == Settled::Quiet, "while {what}, calls wake themselves on and on");
        let before = rig.probe.stats();
        let polls_before: usize = calls.iter().map(Call::polls).sum();
        let settled = rig.elapse(&mut calls, Duration::from_secs(60)).await;
        ensure!(settled == Settled::Quiet, "while {what}, calls wake themselves on and on");
        let polls = calls.iter().map(Call::polls).sum::<usize>() - polls_before;
        let after = rig.probe.stats();
        let inner = (after.polls - before.polls) + (after.ready_polls - before.ready_polls);
        let most = polls.max(inner);
        ensure!(
            most <= POLLS_A_MINUTE * crowd,
            "while {what}, {crowd} calls were polled {polls} times in a minute, and the inner service {inner} times"
        );
        no_spin(&rig)?;
    }

    let mut rig = env.rig();
    for reply in [Reply::answer().after_polls(3), Reply::fail().after_polls(1), Reply::unavailable()] {
        rig.probe.reply(reply);
        let mut call = [rig.call()];
        rig.elapse(&mut call, LONG).await;
    }
    no_spin(&rig)
}

fn no_spin(rig: &Rig) -> Verdict {
    let spun = |violation: &Violation| matches!(violation, Violation::Spun | Violation::PolledAfterEnd { .. });
    match rig.probe.violations().into_iter().find(spun) {
        Some(violation) => Err(violation.to_string()),
        None => Ok(()),
    }
}

pub(super) fn no_timer_when_ready(env: &Env<'_>) -> Verdict {
    for deadline in [Deadline::never(), Deadline::at(Instant::now() + LONG)] {
        let calls = async {
            let mut rig = env.prompt_rig();
            rig.scope = Scope::root().with_deadline(deadline);
            for _ in 0..4 {
                let mut call = [rig.call()];
                rig.settle(&mut call).await;
            }
            Ok(())
        };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| timeless(Box::pin(calls)))) {
            let message = message(&*payload);
            ensure!(!message.contains("timers are disabled"), "a call that was answered at once made a timer");
            return Err(format!("on a runtime without timers it panicked: {message}"));
        }
    }
    Ok(())
}

pub(super) async fn nothing_spawned(env: &Env<'_>) -> Verdict {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let mut rig = env.rig();
    let mut calls = rig.held(env.contract.crowd, Through::Clones).await;
    let spawned = tasks();
    ensure!(spawned == 0, "while {} calls run, there are {spawned} tasks that the caller has not spawned", calls.len());

    // Some have ended, the others are dropped.
    rig.probe.release(1);
    rig.settle(&mut calls).await;
    drop(calls);
    let Rig { probe, recipe, service, hub, .. } = rig;
    drop((service, recipe));
    hub.settle(&mut []).await;
    let (stats, spawned) = (probe.stats(), tasks());
    ensure!(
        stats.instances == 0 && stats.in_flight == 0 && spawned == 0,
        "with the layer, its services and their futures gone, there are still {} instances of the inner service, {} \
         calls and {spawned} tasks",
        stats.instances,
        stats.in_flight
    );
    Ok(())
}

pub(super) async fn progress_over_reservations(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    // Where none is answered or some wait for ever even so, it is another check's business.
    let (answered_at_best, stuck_at_best) = progress(env, None).await;
    for capacity in 1..=3 {
        let (answered, stuck) = progress(env, Some(capacity)).await;
        ensure!(
            (stuck == 0 || stuck_at_best > 0) && (answered > 0 || answered_at_best == 0),
            "over a service with {capacity} places, of {crowd} calls {answered} were answered and {stuck} wait for ever"
        );
    }
    Ok(())
}

/// How many of a crowd are answered, and how many never end, over a service with so many places.
async fn progress(env: &Env<'_>, capacity: Option<usize>) -> (usize, usize) {
    let mut rig = env.rig();
    rig.probe.set_capacity(capacity);
    rig.probe.reply(Reply::answer().after(Duration::from_millis(1)));
    let mut calls: Vec<_> = rig.crowd(env.contract.crowd).into_iter().map(Call::oneshot).collect();
    let mut answered = 0;
    loop {
        rig.elapse(&mut calls, Duration::from_secs(60)).await;
        rig.insist(&mut calls).await;
        let before = calls.len();
        answered += calls.iter().filter(|call| matches!(call.stage(), Stage::Answered(_))).count();
        // What ended futures still hold is not what this is about.
        calls.retain(|call| !call.has_ended());
        if calls.len() == before {
            return (answered, calls.len());
        }
    }
}
