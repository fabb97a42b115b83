//! Who shares what, and what nobody may hold.

use super::{Env, Verdict, ensure};
use crate::{
    Reply,
    contract::rig::{Admission, Rig, Through},
};

pub(super) async fn idle_holds_nothing(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    let expected = env.rig().admits(crowd, Through::Clones).await;

    let mut rig = env.rig();
    let mut idle = Vec::new();
    for _ in 0..crowd {
        let clone = rig.service.duplicate();
        idle.push(rig.idle(clone).await);
    }
    let admission = rig.admits(crowd, Through::Clones).await;
    ensure!(
        admission == expected,
        "with {crowd} clones that are ready and never called, of {crowd} calls {admission}; without them {expected}"
    );
    drop(idle);
    Ok(())
}

pub(super) async fn refusal_gives_back(env: &Env<'_>) -> Verdict {
    let mut rig = env.rig();
    let mut calls = rig.held(env.contract.crowd, Through::Clones).await;
    let admission = rig.admission(&calls);
    let reserved = rig.probe.stats().reserved;
    ensure!(
        reserved == 0,
        "of {} calls {admission}, and their services hold {reserved} reservations of the inner service",
        calls.len()
    );
    // The same once they have ended.
    rig.probe.reply(Reply::answer());
    rig.probe.release_all();
    rig.settle(&mut calls).await;
    let reserved = rig.probe.stats().reserved;
    ensure!(reserved == 0, "after all calls have ended, {reserved} reservations of the inner service are held");

    // The same request again, which a layer may answer by itself.
    let mut rig = env.rig();
    let mut calls = vec![rig.call()];
    rig.settle(&mut calls).await;
    let id = calls[0].id();
    calls.extend((0..2).map(|_| rig.same(id)));
    rig.settle(&mut calls).await;
    let reserved = rig.probe.stats().reserved;
    ensure!(
        reserved == 0,
        "after the same request was sent three times, {reserved} reservations of the inner service are held"
    );
    Ok(())
}

pub(super) async fn clones_share(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    let one = env.rig().admits(crowd, Through::One).await;
    let clones = env.rig().admits(crowd, Through::Clones).await;
    same(crowd, one, "through one service", clones, "through a clone each")
}

pub(super) async fn applications_share(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    let one = env.rig().admits(crowd, Through::Clones).await;
    let two = env.rig().admits(crowd, Through::Applications).await;
    same(crowd, one, "through one application of the layer", two, "through two")
}

pub(super) async fn fresh_starts_anew(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    let expected = env.rig().admits(crowd, Through::Clones).await;

    let mut old = env.rig();
    let Some(fresh) = old.recipe.fresh() else { return Ok(()) };
    let mut new = Rig::new(fresh);
    let full = old.held(crowd, Through::Clones).await;
    let admission = new.admits(crowd, Through::Clones).await;
    ensure!(
        admission == expected,
        "with the old layer full, of {crowd} calls through its `fresh` one {admission}; a new layer: {expected}"
    );
    drop(full);

    let mut old = env.rig();
    let Some(fresh) = old.recipe.fresh() else { return Ok(()) };
    let mut new = Rig::new(fresh);
    let full = new.held(crowd, Through::Clones).await;
    let admission = old.admits(crowd, Through::Clones).await;
    ensure!(
        admission == expected,
        "with its `fresh` layer full, of {crowd} calls through the old one {admission}; a new layer: {expected}"
    );
    drop(full);
    Ok(())
}

pub(super) async fn bypass_lets_through(env: &Env<'_>) -> Verdict {
    let crowd = env.contract.crowd;
    let mut old = env.rig();
    let Some(bypass) = old.recipe.bypass() else { return Ok(()) };
    let full = old.held(crowd, Through::Clones).await;
    let admission = Rig::new(bypass).admits(crowd, Through::Clones).await;
    ensure!(admission.admitted == crowd, "with the layer full, of {crowd} calls through its `bypass` {admission}");
    drop(full);
    Ok(())
}

fn same(crowd: usize, a: Admission, through_a: &str, b: Admission, through_b: &str) -> Verdict {
    ensure!(a == b, "of {crowd} calls {through_a}: {a}; {through_b}: {b}");
    Ok(())
}
