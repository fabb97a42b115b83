use donjon_core::Ratio;

use super::*;
use crate::trip::{Trip, Window};

const FAILURE: Verdict = Verdict::Failure { retry_after: None };

fn circuit(trip: Trip) -> Circuit {
    Circuit::new(Tally::new(trip.0), Settings::new(), Some(1))
}

const fn hinted(seconds: u64) -> Verdict {
    Verdict::Failure { retry_after: Some(Duration::from_secs(seconds)) }
}

/// Ends the test if the clock is read.
fn no_clock() -> Instant {
    unreachable!("there is nothing to be timed")
}

#[test]
fn a_closed_circuit_reads_no_clock_until_it_opens() {
    for trip in [Trip::score(), Trip::consecutive(9), Trip::failure_rate(Window::calls(9), Ratio::ONE)] {
        let circuit = circuit(trip);
        for verdict in [Verdict::Success, FAILURE, Verdict::Nothing, Verdict::Dropped, Verdict::Success, FAILURE] {
            let ticket = circuit.admit(no_clock).expect("it is closed");
            circuit.finish(ticket, verdict, None, no_clock);
        }
        assert_eq!(circuit.kind(), Kind::Closed);
    }
}

#[test]
fn a_success_on_a_score_of_zero_writes_nothing() {
    let circuit = circuit(Trip::score());
    let ticket = circuit.admit(no_clock).expect("it is closed");
    assert!(circuit.tally.is_untouched_by_success(&circuit.word, 0));
    circuit.finish(ticket, FAILURE, None, no_clock);
    assert!(!circuit.tally.is_untouched_by_success(&circuit.word, 0));
    assert!(
        !circuit.tally.is_untouched_by_success(&circuit.word, 1),
        "of another epoch it has to be told that it is late"
    );
}

#[test]
fn an_open_circuit_refuses_without_its_lock() {
    let circuit = circuit(Trip::consecutive(1));
    let now = Instant::now();
    let ticket = circuit.admit(|| now).expect("it is closed");
    circuit.finish(ticket, FAILURE, None, || now);
    let held = lock(&circuit.inner);
    let Err(Refused(Some(left))) = circuit.admit(|| now + Duration::from_secs(1)) else { panic!("it is open") };
    assert!(left >= Duration::from_secs(4) && left <= Duration::from_secs(5), "{left:?}");
    drop(held);
}

#[test]
fn a_failure_takes_no_lock_unless_it_opens_the_circuit_or_says_retry_after() {
    for trip in [Trip::score(), Trip::failure_rate(Window::time(Duration::from_secs(9)), Ratio::ONE)] {
        let circuit = circuit(trip);
        let now = Instant::now();
        let (ticket, hinted) = (circuit.admit(no_clock).expect("it is closed"), hinted(60));
        let held = lock(&circuit.inner);
        circuit.finish(ticket, FAILURE, None, || now);
        circuit.finish(ticket, FAILURE, None, || now);
        drop(held);
        circuit.finish(ticket, hinted, None, || now);
        assert!(lock(&circuit.inner).gate.is_hinted());
        // Late, and not of the epoch before an opening.
        circuit.command(Command::Reset);
        let held = lock(&circuit.inner);
        circuit.finish(ticket, hinted, None, || now);
        drop(held);
    }
}

#[test]
fn a_window_takes_the_furthest_retry_after_of_the_failures_that_it_holds() {
    let second = Duration::from_secs(1);
    let half = Ratio::new(0.5).expect("0.5 is from 0 to 1");
    for window in [Window::calls(4), Window::time(10 * second)] {
        let circuit = circuit(Trip::failure_rate(window, half).min_calls(4));
        let ends = |verdict, at| {
            let ticket = circuit.admit(|| at).expect("it is closed");
            circuit.finish(ticket, verdict, None, || at);
        };
        let start = Instant::now();
        ends(hinted(500), start);
        // It leaves the window, and the next failure is the first again.
        for _ in 0..4 {
            ends(Verdict::Success, start + second);
        }
        let now = start + 12 * second;
        for verdict in [Verdict::Success, hinted(60), Verdict::Success, hinted(30), FAILURE] {
            if circuit.kind() == Kind::Closed {
                ends(verdict, now);
            }
        }
        let Err(Refused(Some(left))) = circuit.admit(|| now) else { panic!("it is open") };
        assert!(left >= 60 * second && left <= 72 * second, "{left:?} of {window:?}");
    }
}

#[test]
fn a_throttle_has_no_use_for_a_retry_after() {
    let circuit = Circuit::new(Tally::throttle(crate::Throttle::sre()), Settings::new(), Some(1));
    let now = Instant::now();
    let ticket = circuit.admit(|| now).expect("it is closed");
    let held = lock(&circuit.inner);
    circuit.finish(ticket, hinted(60), None, || now);
    drop(held);
}

#[test]
fn each_change_is_told_even_if_nobody_has_seen_the_state_between() {
    let circuit = circuit(Trip::consecutive(1));
    let now = Instant::now();
    let ticket = circuit.admit(|| now).expect("it is closed");
    circuit.finish(ticket, FAILURE, None, || now);
    let hour = Duration::from_secs(3600);
    assert!(matches!(circuit.admit(|| now + hour), Ok(Ticket::Probe { .. })));
    let mut inner = lock(&circuit.inner);
    assert!(matches!(inner.gate.ask(now + 2 * hour, 0), Asked::Probe(_)));
    let changes = circuit.publish(&mut inner.gate, Some(now + 2 * hour));
    assert_eq!(changes.iter().collect::<Vec<_>>(), [Kind::Open, Kind::HalfOpen]);
    assert_eq!(Word(circuit.word.load(Relaxed)).epoch(), inner.gate.epoch());
}

#[test]
fn it_has_no_more_than_the_tasks_of_a_moment_among_those_who_wait() {
    let circuit = circuit(Trip::score());
    circuit.command(Command::ForceOpen);
    let mut key = None;
    for _ in 0..10 {
        assert_eq!(circuit.look(&mut key, Waker::noop(), Instant::now), Look::WhenTold);
    }
    assert_eq!(lock(&circuit.inner).waiters.len(), 1, "one that asks again stays one");
    circuit.forget(key.expect("it waits"));
    assert_eq!(lock(&circuit.inner).waiters.len(), 0);
}
