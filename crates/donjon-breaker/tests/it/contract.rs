//! The laws that hold for every layer.

use donjon_breaker::{BreakerLayer, OnCancel, State, Throttle, Trip};
use donjon_core::{CallError, Outcome, Sent};
use donjon_test::{
    Number, Probe, Reply,
    contract::{Check, Contract},
};
use tower::{Layer, ServiceExt};

/// The kit looks whether a layer is as new after calls that fail or are dropped. A breaker that opens is not, on purpose:
/// here nothing is a failure of the service.
fn nothing_fails<T>(_: Result<&T, &CallError>) -> Outcome {
    Outcome::Success
}

/// Says nothing of any call, but for the numbers that trip it.
#[derive(Clone, Copy, Debug)]
struct OnlyTrips;

impl<T> donjon_core::Classify<T, CallError> for OnlyTrips {
    fn classify(&self, result: Result<&T, &CallError>) -> Outcome {
        match result {
            Err(error) if error.to_string() == "trip" => Outcome::Transient { sent: Sent::Unknown, retry_after: None },
            _ => Outcome::Cancelled,
        }
    }
}

/// Half open, or about to be, since its probes say nothing and it is open for no time: it lets three calls through at once.
fn half_open() -> BreakerLayer<OnlyTrips> {
    let layer = BreakerLayer::new().trip(Trip::consecutive(1)).open_for(std::time::Duration::ZERO).classify(OnlyTrips);
    let trips = tower::service_fn(|_: u64| std::future::ready(Err::<u64, _>(CallError::new("trip"))));
    let mut call = tokio_test::task::spawn(layer.layer(trips).oneshot(0));
    tokio_test::assert_ready_err!(call.poll());
    assert_eq!(layer.handle().state(), State::Open);
    layer
}

fn keeps(report: Result<(), donjon_test::contract::Report>) {
    report.unwrap_or_else(|report| panic!("{report}"));
}

#[test]
fn a_closed_breaker_keeps_the_laws() {
    let layer = || BreakerLayer::new().classify(nothing_fails);
    keeps(Contract::new().check_fresh(layer));
    keeps(Contract::new().check_fresh_over(Number, || BreakerLayer::new().classify(nothing_fails)));
    keeps(Contract::new().check_fresh(|| layer().on_cancel(OnCancel::FailAfter(std::time::Duration::MAX))));
    keeps(Contract::new().check_fresh(|| layer().backpressure()));
}

#[test]
fn a_breaker_that_is_half_open_keeps_the_laws() {
    let contract = || Contract::new().skip(Check::FreshStartsAnew, "a fresh one is closed");
    keeps(contract().check(half_open));
    keeps(contract().check_over(Number, half_open));
}

#[test]
fn a_breaker_that_is_half_open_with_backpressure_keeps_the_laws() {
    keeps(Contract::new().check(|| half_open().backpressure()));
}

#[test]
fn a_breaker_that_is_forced_keeps_the_laws() {
    let forced_closed = || {
        let layer = BreakerLayer::new();
        layer.handle().force_closed();
        layer
    };
    keeps(Contract::new().check(forced_closed));
    let disabled = || {
        let layer = BreakerLayer::new();
        layer.handle().disable();
        layer
    };
    keeps(Contract::new().check(disabled));
    let forced_open = || {
        let layer = BreakerLayer::new();
        layer.handle().force_open();
        layer
    };
    keeps(
        Contract::new()
            .skip(Check::PassesThrough, "it refuses all")
            .skip(Check::ProgressOverReservations, "it answers none")
            .skip(Check::ErrorUnchanged, "nothing reaches the inner service, so it cannot fail")
            .check(forced_open),
    );
}

#[test]
fn a_throttle_keeps_the_laws() {
    keeps(Contract::new().check_fresh(|| BreakerLayer::throttling(Throttle::sre()).classify(nothing_fails)));
}

#[cfg(feature = "http")]
#[test]
fn the_http_form_keeps_the_laws_until_it_opens() {
    // Never opens: the window is larger than what the kit sends.
    let layer = || BreakerLayer::http().trip(Trip::consecutive(u32::MAX));
    keeps(Contract::new().check_fresh(layer));
}

#[test]
fn the_probe_of_the_kit_opens_a_breaker() {
    // What the other tests keep from happening does happen.
    let layer = BreakerLayer::new().trip(Trip::consecutive(1));
    let probe = Probe::<Number>::number();
    probe.handle().reply(Reply::fail());
    let mut call = tokio_test::task::spawn(layer.layer(probe).oneshot(0));
    tokio_test::assert_ready_err!(call.poll());
    assert_eq!(layer.handle().state(), State::Open);
}
