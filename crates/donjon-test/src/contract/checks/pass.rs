//! What goes through a layer that has no reason to do anything.

use std::collections::BTreeMap;

use donjon_core::Reject;

use super::{Env, LONG, Verdict, ensure};
use crate::{
    ProbeError, Readiness, Reply, Violation,
    contract::call::{Call, Stage},
};

pub(super) async fn passes_through(env: &Env<'_>) -> Verdict {
    let mut rig = env.rig();
    for _ in 0..8 {
        let mut call = [rig.call()];
        rig.settle(&mut call).await;
        let id = call[0].id();
        match call[0].stage() {
            Stage::Answered(_) => {}
            stage => {
                return Err(format!("call {id}, alone, over a service that answers at once: {}", describe(stage)));
            }
        }
    }
    let mut sent = BTreeMap::<_, usize>::new();
    for started in rig.probe.started() {
        *sent.entry(started.id).or_default() += 1;
    }
    let calls = rig.probe.stats().calls;
    ensure!(calls == 8 && sent.values().all(|&n| n == 1), "8 calls made {calls} calls of the inner service");
    Ok(())
}

pub(super) async fn request_unchanged(env: &Env<'_>) -> Verdict {
    let mut rig = env.rig();
    // A failure first, so that what is sent again is looked at too.
    for reply in [Reply::answer(), Reply::fail(), Reply::unavailable(), Reply::answer().after_polls(2)] {
        rig.probe.reply_next([reply]);
        let mut call = [rig.call()];
        rig.elapse(&mut call, LONG).await;
    }
    let changed = |violation: &Violation| matches!(violation, Violation::RequestChanged { .. });
    match rig.probe.violations().into_iter().find(changed) {
        Some(violation) => Err(violation.to_string()),
        None => Ok(()),
    }
}

pub(super) async fn response_unchanged(env: &Env<'_>) -> Verdict {
    let mut rig = env.rig();
    for reply in [Reply::answer(), Reply::answer().after_polls(2), Reply::unavailable(), Reply::answer()] {
        rig.probe.reply(reply);
        let mut call = [rig.call()];
        rig.elapse(&mut call, LONG).await;
        if let Stage::Answered(Some(how)) = call[0].stage() {
            return Err(format!("the response to call {} arrived changed: {how}", call[0].id()));
        }
    }
    Ok(())
}

pub(super) async fn error_unchanged(env: &Env<'_>) -> Verdict {
    let mut rig = env.rig();
    rig.probe.reply(Reply::fail());
    let mut call = [rig.call()];
    rig.elapse(&mut call, LONG).await;
    is_the_probes(&call[0], "the inner call failed", false)?;

    let mut rig = env.rig();
    rig.probe.set_readiness(Readiness::Fail);
    let mut call = [rig.call()];
    rig.elapse(&mut call, LONG).await;
    is_the_probes(&call[0], "the inner service failed to become ready", true)?;

    // The readiness of a second call that a layer makes, or of one that has waited. Which of the errors is handed on is
    // the layer's choice.
    let mut rig = env.rig();
    rig.probe.reply(Reply::fail().held());
    let mut call = [rig.call()];
    rig.settle(&mut call).await;
    rig.probe.set_readiness(Readiness::Fail);
    rig.probe.reply(Reply::fail());
    if rig.probe.release_all() == 0 {
        // Given up, or refused.
        return Ok(());
    }
    rig.insist(&mut call).await;
    rig.elapse(&mut call, LONG).await;
    let failed = "the inner call failed, and its service to become ready again";
    match call[0].stage() {
        Stage::Failed(error) if error.downcast_ref::<ProbeError>().is_none() => {
            Err(format!("{failed}, and the caller got another error: {}", error.as_error()))
        }
        _ => Ok(()),
    }
}

fn is_the_probes(call: &Call, when: &str, readiness: bool) -> Verdict {
    let Stage::Failed(error) = call.stage() else {
        return Err(format!("{when}, and the call: {}", describe(call.stage())));
    };
    match error.downcast_ref::<ProbeError>() {
        Some(inner) if inner.is_readiness() == readiness => Ok(()),
        _ => Err(format!("{when}, and the caller got another error: {}", error.as_error())),
    }
}

pub(super) async fn same_instance(env: &Env<'_>) -> Verdict {
    for readiness in [Readiness::Ready, Readiness::Slow] {
        let mut rig = env.rig();
        rig.probe.set_readiness(readiness);
        let crowd = env.contract.crowd;

        // One service called again and again, with failures that a layer may answer with more calls.
        let mut service = Some(rig.service.duplicate());
        for reply in [Reply::answer(), Reply::fail(), Reply::answer().after_polls(1), Reply::unavailable()] {
            rig.probe.reply_next([reply]);
            let Some(own) = service.take() else { break };
            let mut call = [rig.call_through(own)];
            rig.elapse(&mut call, LONG).await;
            service = call[0].take_service();
        }

        // A crowd that a layer may make wait, and that is let go one by one.
        rig.probe.reply(Reply::answer().held());
        let mut calls = rig.crowd(crowd);
        rig.settle(&mut calls).await;
        for _ in 0..crowd {
            rig.probe.release(1);
            rig.settle(&mut calls).await;
        }
        let unready = |violation: &Violation| matches!(violation, Violation::NotReady { .. });
        if let Some(violation) = rig.probe.violations().into_iter().find(unready) {
            return Err(violation.to_string());
        }
    }
    Ok(())
}

pub(super) fn describe(stage: &Stage) -> String {
    match stage {
        Stage::Unready => "the service does not become ready".to_owned(),
        Stage::Idle => "the service is ready".to_owned(),
        Stage::Running => "does not end".to_owned(),
        Stage::Reading => "its response does not end".to_owned(),
        Stage::Answered(None) => "was answered".to_owned(),
        Stage::Answered(Some(how)) => format!("was answered with a changed response ({how})"),
        Stage::Failed(error) => format!("failed with \"{}\"", error.as_error()),
        Stage::Panicked => "panicked".to_owned(),
    }
}
