//! The checks themselves. Each gets a factory of layers, and says what it saw that should not be.

mod give_back;
mod pass;
mod share;

use super::{Check, Env, paused};

type Verdict = Result<(), String>;

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
        Check::PanicInCallGivesBack => paused(Box::pin(give_back::panic_in_call(env))),
        Check::PanicInFutureGivesBack => paused(Box::pin(give_back::panic_in_future(env))),
        Check::CompletionGivesBack => paused(Box::pin(give_back::completion(env))),
        Check::ReadinessErrorGivesBack => paused(Box::pin(give_back::readiness_error(env))),
        Check::FreshStartsAnew => paused(Box::pin(share::fresh_starts_anew(env))),
        Check::BypassLetsThrough => paused(Box::pin(share::bypass_lets_through(env))),
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
