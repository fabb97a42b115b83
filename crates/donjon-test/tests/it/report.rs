//! What a report says, and what is left out.

use donjon_test::{
    Number,
    contract::{self, Check, Contract, Report},
};
use tower_layer::Identity;

use crate::layers::{Fault, LimitLayer, RateLayer, TimeoutFault, TimeoutLayer, Wrap, WrapLayer};

fn fail(make: impl Fn() -> LimitLayer) -> Report {
    Contract::new().crowd(12).check_over(Number, make).expect_err("it is broken")
}

#[test]
fn a_report_names_the_check_the_reason_and_the_law() {
    let report = Contract::new().check_over(Number, || WrapLayer(Wrap::ChangesTheError)).unwrap_err();
    let text = "1 check of the contract failed\n- error-unchanged: the inner call failed, and the caller got another \
                error: wrapped: the probe's call error number 1\n  law: A layer hands on the inner service's errors as \
                they are, those of its readiness included.";
    assert_eq!(report.to_string(), text);
    assert_eq!(format!("{report:?}"), text, "so that unwrap is readable");
    let [failure] = report.failures() else { panic!("one check failed") };
    assert_eq!(failure.check(), Check::ErrorUnchanged);
    assert!(failure.reason().starts_with("the inner call failed"));
}

#[test]
fn a_script_shrinks_to_a_readable_list() {
    let report = fail(|| LimitLayer::new(3, 4, Fault::DropAfterAPanicLeaks));
    assert!(report.failed(Check::AnyScript), "{report}");
    let steps: Vec<_> = report.failures()[0].reason().lines().skip_while(|line| *line != "  the script:").collect();
    assert!(steps.len() <= 3, "a panic, and a call that is dropped:\n{report}");
    assert!(steps[1].starts_with("  1. a call through the first service; inside, a panic in "), "{report}");
    assert!(steps[2].starts_with("  2. a call through the first service; inside, "), "{report}");
}

#[test]
fn the_same_layer_gives_the_same_report() {
    let make = || LimitLayer::new(3, 4, Fault::DropInTheQueueLeaks);
    assert_eq!(fail(make), fail(make));
}

#[test]
fn a_check_that_is_skipped_does_not_run_and_says_why() {
    let contract = Contract::new().skip(Check::ErrorUnchanged, "it says more than the inner error does");
    contract.check_over(Number, || WrapLayer(Wrap::ChangesTheError)).unwrap();
    let skipped: Vec<_> = contract.skipped().collect();
    assert_eq!(skipped, [(Check::ErrorUnchanged, "it says more than the inner error does")]);
}

#[test]
fn a_layer_that_remembers_for_a_time_is_given_that_time() {
    let report = Contract::new().check_over(Number, || RateLayer::new(16)).unwrap_err();
    assert!(report.failed(Check::AnyScript) && report.failed(Check::DropGivesBack), "{report}");
    let contract = Contract::new().forgets_in(std::time::Duration::from_secs(1));
    contract.check_over(Number, || RateLayer::new(16)).unwrap();
    contract.check(|| RateLayer::new(16)).unwrap();
}

#[test]
fn no_crowd_and_no_scripts_check_little_and_fail_nothing() {
    for crowd in 0..3 {
        let contract = Contract::new().crowd(crowd).scripts(0);
        contract.check(Identity::new).unwrap();
        contract.check_fresh(|| LimitLayer::new(1, 1, Fault::None)).unwrap();
        contract.check_over(Number, || TimeoutLayer(std::time::Duration::ZERO, TimeoutFault::None)).unwrap();
    }
}

#[test]
fn a_panic_of_the_layer_is_a_failure_and_not_the_end() {
    #[derive(Clone)]
    struct Panics;
    impl<S> tower::Layer<S> for Panics {
        type Service = S;
        fn layer(&self, _: S) -> S {
            panic!("it has no service for you")
        }
    }
    let report = contract::check(|| Panics).unwrap_err();
    assert!(report.failures().len() > 10, "all those that apply a layer");
    assert_eq!(report.failures()[0].reason(), "it panicked: it has no service for you");
}

#[test]
fn names_are_unique_and_in_kebab_case() {
    let mut names: Vec<_> = Check::all().iter().map(|check| check.name()).collect();
    assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Check::all().len());
    assert!(Check::all().iter().all(|check| check.law().ends_with('.')));
}

#[tokio::test]
#[should_panic(expected = "call it from a plain #[test]")]
async fn inside_a_runtime_it_says_what_to_do() {
    let _ = contract::check(Identity::new);
}
