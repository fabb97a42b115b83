//! What a call allocates, counted on this thread.

use std::{
    future::{Future, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use donjon_breaker::{BreakerLayer, OnCancel, State, Throttle, Trip, Window};
use donjon_core::{Fresh, Ratio, Rejection, RejectionKind};
use tower::{Layer, Service, service_fn};

/// Allocations of one call that is over at its first poll, and of dropping one that was not polled.
fn allocations<S: Service<bool>>(service: &mut S, fails: bool) -> u64 {
    let counted = allocation_counter::measure(|| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let call = pin!(service.call(fails));
        let Poll::Ready(result) = call.poll(&mut cx) else { panic!("it is over at once") };
        assert_eq!(result.is_err(), fails);
    });
    counted.count_total
}

/// Fails and says `Retry-After`.
fn hinted(_: bool) -> std::future::Ready<Result<(), Rejection>> {
    let failure = Rejection::new(RejectionKind::AttemptTimeout, "test").with_phase(donjon_core::Phase::Attempt);
    ready(Err(failure.with_retry_after(Duration::from_secs(60))))
}

fn inner(fails: bool) -> std::future::Ready<Result<(), Rejection>> {
    // An error that allocates nothing itself, and counts as a failure.
    let failure = Rejection::new(RejectionKind::AttemptTimeout, "test").with_phase(donjon_core::Phase::Attempt);
    ready(if fails { Err(failure) } else { Ok(()) })
}

fn layers() -> Vec<BreakerLayer> {
    let half = Ratio::new(0.5).unwrap();
    let second = Duration::from_secs(1);
    vec![
        BreakerLayer::new(),
        BreakerLayer::new().backpressure(),
        BreakerLayer::new().on_cancel(OnCancel::FailAfter(second)),
        BreakerLayer::new().trip(Trip::consecutive(100)),
        BreakerLayer::new().trip(Trip::failure_rate(Window::calls(100), half)),
        BreakerLayer::new().trip(Trip::failure_rate(Window::time(second), half).or_slow(second, half)),
        BreakerLayer::throttling(Throttle::sre()),
        BreakerLayer::new().bypass(),
    ]
}

#[test]
fn a_closed_circuit_allocates_nothing() {
    for layer in layers() {
        let mut service = layer.layer(service_fn(inner));
        // The first call of a thread makes its share of the layer.
        allocations(&mut service, false);
        for fails in [false, false, true, false] {
            assert_eq!(allocations(&mut service, fails), 0, "{layer:?}");
        }
        let mut clone = service.clone();
        assert_eq!(allocations(&mut clone, false), 0, "nor does a clone");
        let mut again = layer.layer(service_fn(inner));
        assert_eq!(allocations(&mut again, false), 0, "nor another application");
    }
}

#[test]
fn the_first_call_of_a_thread_allocates_once() {
    let mut service = BreakerLayer::new().layer(service_fn(inner));
    assert_eq!(allocations(&mut service, false), 1);
}

#[test]
fn a_failure_that_says_retry_after_allocates_nothing_even_if_it_opens_the_circuit() {
    for layer in layers().into_iter().chain([BreakerLayer::new().trip(Trip::consecutive(2))]) {
        let mut service = layer.layer(service_fn(hinted));
        allocations(&mut service, true);
        for _ in 0..2 {
            assert_eq!(allocations(&mut service, true), 0, "{layer:?}");
        }
    }
}

#[test]
fn of_all_threads_together_sixteen_calls_allocate() {
    let service = BreakerLayer::new().layer(service_fn(inner));
    // So many that those of other tests, which come in between, hide no share.
    let threads = (0..256).map(|_| {
        let mut service = service.clone();
        let counts = move || [(); 2].map(|()| allocations(&mut service, false));
        std::thread::spawn(counts).join().expect("no panic")
    });
    let counts: Vec<_> = threads.collect();
    assert_eq!(counts.iter().map(|[first, _]| first).sum::<u64>(), 16);
    assert!(counts.iter().all(|[first, second]| *first <= 1 && *second == 0));
}

#[test]
fn a_refusal_allocates_nothing() {
    for forced in [true, false] {
        let layer = BreakerLayer::new().trip(Trip::consecutive(1));
        let mut service = layer.layer(service_fn(inner));
        if forced {
            layer.handle().force_open();
        } else {
            allocations(&mut service, true);
            assert_eq!(layer.handle().state(), State::Open);
        }
        let counted = allocation_counter::measure(|| {
            let mut cx = Context::from_waker(Waker::noop());
            let call = pin!(service.call(false));
            assert!(matches!(call.poll(&mut cx), Poll::Ready(Err(_))));
        });
        assert_eq!(counted.count_total, 0);
    }
}
