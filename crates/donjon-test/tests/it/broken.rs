//! Each broken layer fails the check of the law that it breaks, and besides it at most the central one.

use std::time::Duration;

use donjon_test::{
    Number, Streaming,
    contract::{Check, Contract, Report},
};

use crate::layers::{
    CoalesceFault, CoalesceLayer, Fault, HeldFault, HeldLayer, LimitLayer, RetryFault, RetryLayer, TimeoutFault,
    TimeoutLayer, Wrap, WrapLayer,
};

/// The checks that failed.
fn failed(result: Result<(), Report>) -> (Vec<Check>, String) {
    match result {
        Ok(()) => (Vec::new(), String::new()),
        Err(report) => (report.failures().iter().map(|failure| failure.check()).collect(), report.to_string()),
    }
}

#[track_caller]
fn fails(result: Result<(), Report>, check: Check, what: &str) {
    let (failed, report) = failed(result);
    assert!(failed.contains(&check), "{what} passes {check}; {report}");
    let others: Vec<_> = failed.iter().filter(|&&other| other != check && other != Check::AnyScript).collect();
    assert!(others.is_empty(), "{what} fails {others:?} too; {report}");
}

fn limit(fault: Fault) -> Result<(), Report> {
    let contract = Contract::new().crowd(12);
    // Those that wait, and those that are refused.
    contract.check_fresh_over(Number, || LimitLayer::new(3, 4, fault))
}

fn retry(fault: RetryFault) -> Result<(), Report> {
    Contract::new().crowd(12).check_over(Number, || RetryLayer(fault))
}

fn wrap(how: Wrap) -> Result<(), Report> {
    Contract::new().crowd(12).check_over(Number, || WrapLayer(how))
}

fn wrap_http(how: Wrap) -> Result<(), Report> {
    Contract::new().crowd(12).check(|| WrapLayer(how))
}

fn timeout(fault: TimeoutFault) -> Result<(), Report> {
    Contract::new().crowd(12).check_over(Number, || TimeoutLayer(Duration::from_secs(1), fault))
}

fn coalesce(fault: CoalesceFault) -> Result<(), Report> {
    Contract::new().crowd(12).check_over(Number, || CoalesceLayer::new(fault))
}

fn held(fault: HeldFault) -> Result<(), Report> {
    Contract::new().crowd(12).check_over(Streaming::new(), || HeldLayer::new(3, fault))
}

macro_rules! broken {
    ($($name:ident: $make:ident($fault:expr) fails $check:ident;)+) => {
        $(
            #[test]
            fn $name() {
                fails($make($fault), Check::$check, stringify!($name));
            }
        )+

        #[test]
        fn every_check_has_a_broken_layer() {
            let broken = [$(Check::$check),+];
            for check in Check::all() {
                assert!(broken.contains(check), "no layer fails {check}");
            }
        }
    };
}

broken! {
    a_layer_that_sends_twice: retry(RetryFault::SendsTwiceWhatIsAnsweredAtOnce) fails PassesThrough;
    a_layer_that_changes_requests: wrap_http(Wrap::ChangesTheRequest) fails RequestUnchanged;
    a_layer_that_changes_response_bodies: wrap_http(Wrap::ChangesTheResponse) fails ResponseUnchanged;
    a_body_that_loses_its_trailers: held(HeldFault::LosesTrailers) fails ResponseUnchanged;
    a_layer_that_changes_responses: wrap(Wrap::ChangesTheResponse) fails ResponseUnchanged;
    a_layer_that_changes_errors: wrap(Wrap::ChangesTheError) fails ErrorUnchanged;
    a_layer_that_changes_errors_of_readiness: wrap(Wrap::ChangesTheErrorOfReadiness) fails ErrorUnchanged;
    a_retry_that_changes_errors_of_readiness: retry(RetryFault::ChangesTheErrorOfReadiness) fails ErrorUnchanged;
    a_layer_that_calls_a_clone: wrap(Wrap::CallsAClone) fails SameInstance;
    a_retry_that_calls_what_is_not_ready: retry(RetryFault::CallsWhatIsNotReady) fails SameInstance;
    a_limit_that_admits_in_poll_ready: limit(Fault::AdmitsInPollReady) fails IdleHoldsNothing;
    a_limit_whose_refusal_keeps_the_readied_instance: limit(Fault::RefusalKeepsTheReadied) fails RefusalGivesBack;
    a_cache_whose_hit_keeps_the_readied_instance: coalesce(CoalesceFault::HitKeepsTheReadied) fails RefusalGivesBack;
    a_limit_whose_clones_count_apart: limit(Fault::CloneHasItsOwnState) fails ClonesShare;
    a_limit_whose_applications_count_apart: limit(Fault::ApplicationHasItsOwnState) fails ApplicationsShare;
    a_limit_that_leaks_when_dropped_before_the_first_poll: limit(Fault::DropBeforeThePollLeaks) fails DropGivesBack;
    a_limit_that_leaks_when_dropped_in_the_queue: limit(Fault::DropInTheQueueLeaks) fails DropGivesBack;
    a_body_that_leaks_when_dropped_unread: held(HeldFault::UnreadBodyLeaks) fails DropGivesBack;
    a_limit_whose_drop_wakes_nobody: limit(Fault::DropWakesNobody) fails DropWakes;
    a_single_flight_whose_first_call_fails_the_others: coalesce(CoalesceFault::DropOfTheFirstFailsTheOthers) fails DropFailsNobody;
    a_single_flight_whose_first_call_forgets_the_others: coalesce(CoalesceFault::DropOfTheFirstForgetsTheOthers) fails DropFailsNobody;
    a_limit_that_leaks_on_a_panic_in_call: limit(Fault::PanicInCallLeaks) fails PanicInCallGivesBack;
    a_limit_that_leaks_on_a_panic_in_the_future: limit(Fault::PanicInFutureLeaks) fails PanicInFutureGivesBack;
    a_single_flight_whose_panic_poisons_the_key: coalesce(CoalesceFault::PanicPoisonsTheKey) fails PanicInFutureGivesBack;
    a_limit_that_holds_on_after_an_answer: limit(Fault::AnswerHeldUntilDrop) fails CompletionGivesBack;
    a_body_that_holds_on_after_its_end: held(HeldFault::EndedBodyHoldsOn) fails CompletionGivesBack;
    a_body_that_holds_on_after_it_was_truncated: held(HeldFault::TruncatedBodyHoldsOn) fails CompletionGivesBack;
    a_limit_that_holds_on_after_an_error: limit(Fault::ErrorHeldUntilDrop) fails CompletionGivesBack;
    a_limit_whose_completion_wakes_nobody: limit(Fault::CompletionWakesNobody) fails CompletionGivesBack;
    a_timeout_whose_inner_call_goes_on: timeout(TimeoutFault::InnerCallHeldUntilDrop) fails CompletionGivesBack;
    a_limit_that_holds_on_after_a_readiness_error: limit(Fault::ReadinessErrorHeldUntilDrop) fails ReadinessErrorGivesBack;
    a_limit_that_hangs_on_a_readiness_error: limit(Fault::ReadinessErrorHangs) fails ReadinessErrorGivesBack;
    a_limit_that_wakes_the_first_waker_only: limit(Fault::FirstWakerOnly) fails PendingRegistersWaker;
    a_layer_that_wakes_the_first_waker_only: wrap(Wrap::WakesTheFirstOnly) fails PendingRegistersWaker;
    a_layer_that_forgets_to_wake: wrap(Wrap::ForgetsToWake) fails PendingRegistersWaker;
    a_timeout_that_polls_its_timer_once: timeout(TimeoutFault::TimerPolledOnce) fails PendingRegistersWaker;
    a_layer_that_wakes_itself: wrap(Wrap::WakesItself) fails PollsBounded;
    a_layer_that_polls_at_intervals: wrap(Wrap::PollsAtIntervals) fails PollsBounded;
    a_layer_that_polls_twice: wrap(Wrap::PollsTwice) fails PollsBounded;
    a_layer_that_polls_after_the_end: wrap(Wrap::PollsAfterTheEnd) fails PollsBounded;
    a_layer_that_always_makes_a_timer: wrap(Wrap::MakesATimer) fails NoTimerWhenReady;
    a_layer_that_spawns_a_task: wrap(Wrap::Spawns) fails NothingSpawned;
    a_layer_that_spawns_the_call: wrap(Wrap::SpawnsTheCall) fails NothingSpawned;
    a_layer_that_keeps_a_clone: wrap(Wrap::KeepsAClone) fails NothingSpawned;
    a_layer_that_readies_a_second_instance: wrap(Wrap::ReadiesASecondOneFirst) fails ProgressOverReservations;
    a_limit_that_waits_beyond_the_deadline: limit(Fault::WaitsBeyondTheDeadline) fails DeadlineRespected;
    a_limit_that_starts_work_after_the_deadline: limit(Fault::StartsAfterTheDeadline) fails DeadlineRespected;
    a_limit_that_waits_for_readiness_beyond_the_deadline: limit(Fault::ReadiesBeyondTheDeadline) fails DeadlineRespected;
    a_retry_that_sleeps_beyond_the_deadline: retry(RetryFault::SleepsBeyondTheDeadline) fails DeadlineRespected;
    a_retry_that_starts_work_after_the_deadline: retry(RetryFault::StartsAfterTheDeadline) fails DeadlineRespected;
    a_retry_that_waits_for_readiness_beyond_the_deadline: retry(RetryFault::ReadiesBeyondTheDeadline) fails DeadlineRespected;
    a_layer_that_readies_in_the_call_and_starts_late: wrap(Wrap::ReadiesInTheCallAndStartsLate) fails DeadlineRespected;
    a_layer_that_readies_in_the_call_for_ever: wrap(Wrap::ReadiesInTheCallForEver) fails DeadlineRespected;
    a_layer_that_loses_the_criticality: wrap(Wrap::LosesTheCriticality) fails ScopeReachesInner;
    a_layer_that_loses_the_scope: wrap(Wrap::LosesTheScope) fails ScopeReachesInner;
    a_retry_that_repeats_without_the_scope: retry(RetryFault::RepeatsWithoutTheScope) fails ScopeReachesInner;
    a_limit_whose_fresh_one_shares: limit(Fault::FreshShares) fails FreshStartsAnew;
    a_limit_whose_bypass_limits: limit(Fault::BypassLimits) fails BypassLetsThrough;
    a_limit_that_leaks_on_a_drop_after_a_panic: limit(Fault::DropAfterAPanicLeaks) fails AnyScript;
}
