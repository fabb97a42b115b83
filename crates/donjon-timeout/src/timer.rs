use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    task::coop::has_budget_remaining,
    time::{Instant, Sleep, sleep_until},
};

/// Whether the timer has fired; not, if none is armed.
///
/// It is asked before the inner future is polled, and acted upon only if that one is pending: what is ready in time
/// wins, and an inner future that always uses up the task's cooperative budget cannot hide the timer. The clock is
/// asked where the task's budget is used up before it comes here: a timer does nothing without budget.
#[inline]
pub(crate) fn fired(sleep: Pin<&mut Option<Sleep>>, cx: &mut Context<'_>) -> bool {
    sleep.as_pin_mut().is_some_and(|sleep| has_fired(sleep, cx))
}

/// Whether this timer has fired, by itself or by the clock.
#[inline]
pub(crate) fn has_fired(mut sleep: Pin<&mut Sleep>, cx: &mut Context<'_>) -> bool {
    sleep.as_mut().poll(cx).is_ready() || (!has_budget_remaining() && sleep.deadline() <= Instant::now())
}

/// Arms the timer, and asks it.
pub(crate) fn arm(mut sleep: Pin<&mut Option<Sleep>>, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
    sleep.set(Some(sleep_until(at)));
    sleep.as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx))
}
