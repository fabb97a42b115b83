//! The checks themselves. Each gets a factory of layers, and says what it saw that should not be.

mod deadline;
mod give_back;
mod pass;
mod progress;
mod script;
mod share;

use std::time::Duration;

use super::{Check, Env, message, paused, timeless};

type Verdict = Result<(), String>;

/// Longer than any layer sleeps between two attempts, and than any wait.
const LONG: Duration = Duration::from_secs(3600);
/// Longer than most layers wait for an inner call that does not end.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) fn run(check: Check, env: &Env<'_>) -> Verdict {
    match check {
        Check::PassesThrough => paused(Box::pin(pass::passes_through(env))),
        Check::RequestUnchanged => paused(Box::pin(pass::request_unchanged(env))),
        Check::ResponseUnchanged => paused(Box::pin(pass::response_unchanged(env))),
        Check::ErrorUnchanged => paused(Box::pin(pass::error_unchanged(env))),
        Check::SameInstance => paused(Box::pin(pass::same_instance(env))),
        Check::IdleHoldsNothing => paused(Box::pin(share::idle_holds_nothing(env))),
        Check::RefusalGivesBack => paused(Box::pin(share::refusal_gives_back(env))),
        Check::ClonesShare => paused(Box::pin(share::clones_share(env))),
        Check::ApplicationsShare => paused(Box::pin(share::applications_share(env))),
        Check::DropGivesBack => paused(Box::pin(give_back::drop_gives_back(env))),
        Check::DropWakes => paused(Box::pin(give_back::drop_wakes(env))),
        Check::DropFailsNobody => paused(Box::pin(give_back::drop_fails_nobody(env))),
        Check::PanicInCallGivesBack => paused(Box::pin(give_back::panic_in_call(env))),
        Check::PanicInFutureGivesBack => paused(Box::pin(give_back::panic_in_future(env))),
        Check::CompletionGivesBack => paused(Box::pin(give_back::completion(env))),
        Check::ReadinessErrorGivesBack => paused(Box::pin(give_back::readiness_error(env))),
        Check::PendingRegistersWaker => paused(Box::pin(progress::pending_registers_waker(env))),
        Check::PollsBounded => paused(Box::pin(progress::polls_bounded(env))),
        Check::NoTimerWhenReady => progress::no_timer_when_ready(env),
        Check::NothingSpawned => paused(Box::pin(progress::nothing_spawned(env))),
        Check::ProgressOverReservations => paused(Box::pin(progress::progress_over_reservations(env))),
        Check::DeadlineRespected => paused(Box::pin(deadline::deadline_respected(env))),
        Check::ScopeReachesInner => paused(Box::pin(deadline::scope_reaches_inner(env))),
        Check::FreshStartsAnew => paused(Box::pin(share::fresh_starts_anew(env))),
        Check::BypassLetsThrough => paused(Box::pin(share::bypass_lets_through(env))),
        Check::AnyScript => script::any_script(env),
    }
}

/// Fails with the message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
use ensure;
