use donjon_core::Ratio;

use super::*;
use crate::trip::{Trip, Window};

const FAILURE: Verdict = Verdict::Failure { retry_after: None };

fn circuit(trip: Trip) -> Circuit {
    Circuit::new(Tally::new(trip.0), Settings::new(), Some(1))
}

/// Ends the test if the clock is read.
fn no_clock() -> Instant {
    unreachable!("there is nothing to be timed")
}

#[test]
fn a_closed_circuit_reads_no_clock_until_it_opens() {
    for trip in [Trip::score(), Trip::consecutive(9), Trip::failure_rate(Window::calls(9), Ratio::ONE)] {
        let circuit = circuit(trip);
        for verdict in [Verdict::Success, FAILURE, Verdict::Nothing, Verdict::Success, FAILURE] {
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
