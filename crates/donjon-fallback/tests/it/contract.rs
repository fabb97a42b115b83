//! The laws that hold for every layer.

use donjon_core::{CallError, Outcome};
use donjon_fallback::FallbackLayer;
use donjon_test::{
    Number, Probe,
    contract::{Check, Contract, Report},
};

fn keeps(report: Result<(), Report>) {
    report.unwrap_or_else(|report| panic!("{report}"));
}

#[test]
fn a_function_that_hands_the_failure_on_keeps_the_laws() {
    let layer = || FallbackLayer::function(|_: u64, failed: Result<u64, CallError>| failed);
    keeps(Contract::new().check_fresh_over(Number, layer));
}

#[test]
fn a_value_keeps_the_laws() {
    let contract = Contract::new().skip(Check::ErrorUnchanged, "it answers in the place of the error");
    keeps(contract.check_fresh_over(Number, || FallbackLayer::value(0_u64)));
    // And all of them where nothing is asked for.
    keeps(Contract::new().check_fresh_over(Number, || FallbackLayer::value(0_u64).on(|_| false)));
    let refusals = |outcome: &Outcome| matches!(outcome, Outcome::Refused { .. });
    keeps(Contract::new().check_fresh_over(Number, move || FallbackLayer::value(0_u64).on(refusals)));
}

#[test]
fn a_second_service_keeps_the_laws() {
    // One that answers at once, and one that is slow to be ready.
    for readiness in [donjon_test::Readiness::Ready, donjon_test::Readiness::Slow] {
        let contract = Contract::new().skip(Check::ErrorUnchanged, "the second service answers in its place");
        keeps(contract.check_fresh_over(Number, || {
            let second = Probe::number();
            second.handle().set_readiness(readiness);
            FallbackLayer::service(second)
        }));
    }
}

#[cfg(feature = "http")]
#[test]
fn an_http_form_keeps_the_laws() {
    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;

    // Over HTTP the request is kept by its `Replay`, and a 503 is a failure.
    let layer = || {
        FallbackLayer::function(|_: Request<Full<Bytes>>, failed: Result<Response<Full<Bytes>>, CallError>| failed)
            .http()
    };
    keeps(Contract::new().check_fresh(layer));
}
